"""Placement of blocks: never in each other's way, never below the bound, best on small cases."""

from dataclasses import replace
from itertools import permutations

from hypothesis import given
from hypothesis import strategies as st

from tflm_reds.codegen.passes.place import (
    ALIGNMENT,
    Block,
    Placed,
    lower_bound,
    lowest,
    place,
    top,
)


@st.composite
def block_lists(draw, most: int = 15) -> list[Block]:
    """Blocks of one network: at each time one of those made may lie over those that end then."""
    times = st.tuples(st.integers(0, 9), st.integers(0, 3))
    drawn = draw(st.lists(st.tuples(st.integers(1, 999), times), max_size=most))
    blocks = [Block(str(i), size, at, at + span) for i, (size, (at, span)) in enumerate(drawn)]
    for time in range(10):
        made = [block for block in blocks if block.first == time]
        ended = [block for block in blocks if block.first < time == block.last]
        if made and ended:
            reach = {block.name: draw(st.integers(-50, 1200)) for block in ended}
            blocks[blocks.index(made[0])] = replace(made[0], reach=reach)
    return blocks


@given(block_lists())
def test_blocks_that_live_together_overlap_no_further_than_they_may(blocks):
    placed = place(blocks)
    assert sorted(one.block.name for one in placed) == sorted(block.name for block in blocks)
    assert all(one.start % ALIGNMENT == 0 and one.start >= 0 for one in placed)
    for i, one in enumerate(placed):
        for other in placed[:i]:
            if one.block.meets(other.block):
                low, high = sorted([one, other], key=lambda p: p.start)
                need = low.block.reach.get(high.block.name, low.block.size)
                swapped = high.block.reach.get(low.block.name, 1)
                start = high.start - low.start
                assert start >= min(need, low.block.size) or (start == 0 and swapped <= 0)


@given(block_lists())
def test_no_placement_is_below_the_bound(blocks):
    bound = lower_bound(blocks)
    assert lower_bound(blocks, granule=1) <= bound <= top(place(blocks))


def in_order(blocks) -> int:
    placed: list[Placed] = []
    for block in blocks:
        placed.append(Placed(block, lowest(block, placed)))
    return top(placed)


@given(block_lists(most=5))
def test_small_cases_are_placed_as_well_as_by_any_order(blocks):
    """Some order of lowest offsets is best: sort a best placement by its offsets."""
    assert top(place(blocks)) == min(map(in_order, permutations(blocks)), default=0)


def test_the_bound_is_met_where_simple_orders_miss_it():
    """By size and by time these blocks need 1,232 bytes."""
    sizes = [200, 100, 200, 60, 200, 260, 40, 300, 60, 360, 18, 57, 48, 597, 693, 40]
    lives = [(0, 1), (1, 2), (2, 4), (3, 5), (4, 5), (5, 7), (6, 7), (7, 9), (8, 9), (9, 10)]
    lives += [(10, 11), (0, 0), (3, 3), (6, 6), (8, 8), (11, 11)]
    pairs = zip(sizes, lives, strict=True)
    blocks = [Block(str(i), size, *life) for i, (size, life) in enumerate(pairs)]
    assert top(place(blocks)) == lower_bound(blocks) == 1072


def test_chain_of_equal_tensors_needs_two_of_them():
    blocks = [Block(str(i), 160, i, i + 1) for i in range(6)]
    assert top(place(blocks)) == 320


def test_chain_of_ops_that_work_in_order_needs_one_tensor_and_what_they_look_back():
    blocks = [Block("0", 160, 0, 1)]
    blocks += [Block(str(i), 160, i, i + 1, {str(i - 1): 20}) for i in range(1, 3)]
    assert top(place(blocks)) == 160 + 2 * 32
    assert lower_bound(blocks) == 160 + 20
