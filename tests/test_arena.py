"""The arena of whole networks: how near it comes to what is live, and who lies where."""

from dataclasses import replace
from itertools import combinations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from random_graphs import random_graph
from random_nets import NetBuilder, concatenating, dense_net, ds_cnn, every_op, residual

from tflm_reds.codegen.lower import SLACK, lower
from tflm_reds.codegen.passes.overlap import reach, reach_above, works_in_place
from tflm_reds.codegen.passes.place import ALIGNMENT, align, lower_bound
from tflm_reds.codegen.passes.plan_arena import plan_arena, tensor_blocks
from tflm_reds.codegen.program import Memory, Op, Program
from tflm_reds.errors import QuantizationError

NETS = [ds_cnn, every_op, dense_net, residual, concatenating]


def offsets(program: Program, op: int) -> list[int]:
    """Arena offsets of what an op reads and writes."""
    names = (*program.ops[op].sources, program.ops[op].target)
    return [program.edges[name].offset for name in names]


def live_ranges(program: Program) -> dict[str, tuple[int, int, int, int]]:
    """(start, end, first op, last op) of each tensor in the arena and of each scratch."""
    ranges = {}
    for name, edge in program.edges.items():
        uses = [i for i, op in enumerate(program.ops) if name in (*op.sources, op.target)]
        if edge.memory is Memory.ARENA and uses:
            ranges[name] = (edge.offset, edge.offset + edge.size, uses[0], uses[-1])
    for i, op in enumerate(program.ops):
        if op.scratch_bytes:
            ranges[f"scratch {i}"] = (op.scratch_offset, op.scratch_offset + op.scratch_bytes, i, i)
    return ranges


def may_overlap(program: Program, op: Op, one: str, other: str) -> bool:
    """Whether `op` may make one of the two over the other, where they lie."""
    if op.target not in (one, other):
        return False
    source = other if op.target == one else one
    start, over = program.edges[op.target].offset, program.edges[source].offset
    if works_in_place(program, op) and start == over:
        return True
    least, above = reach(program, op), reach_above(program, op)
    runs_below = least is not None and over - start >= least
    return source == op.source and (runs_below or (above is not None and start - over >= above))


def check_places(program: Program) -> None:
    """What is live during the same op lies apart, but for an output over its input."""
    ranges = live_ranges(program)
    for (one, a), (other, b) in combinations(ranges.items(), 2):
        times = range(max(a[2], b[2]), min(a[3], b[3]) + 1)
        if times and a[0] < b[1] and b[0] < a[1]:
            assert len(times) == 1, f"{one} and {other} overlap during ops {times}"
            assert may_overlap(program, program.ops[times[0]], one, other)
    assert max([0, *(align(end) for _, end, _, _ in ranges.values())]) <= program.arena_sizes[-1]
    assert all(start % ALIGNMENT == 0 for start, *_ in ranges.values())


@settings(max_examples=60)
@given(st.integers(0, 10**6), st.integers(1, 8), st.sampled_from(list(SLACK)))
def test_tensors_of_random_graphs_never_get_in_each_others_way(seed, steps, optimize):
    check_places(lower(random_graph(seed, steps), optimize))


@settings(max_examples=60)
@given(st.integers(0, 10**6), st.integers(1, 8))
def test_arena_of_random_graphs_is_what_some_op_needs(seed, steps):
    """Alignment and scratch apart, no graph's tensors need more than are live at one time.

    Where outputs run into inputs they may need less, but not always the least that one op needs.
    """
    net = random_graph(seed, steps)
    for k in range(net.subnet_count):
        program = without_scratch(lower(net.keep(range(k + 1))))
        planned = plan_arena(program, 1.0)
        apart = [replace(block, reach={}) for block in tensor_blocks(planned)]
        most = max(len(live_ranges(program)), 1) * (ALIGNMENT - 1)
        assert planned.live_sizes[-1] <= planned.arena_sizes[-1]
        assert planned.arena_sizes[-1] <= max(1.05 * lower_bound(apart, 1), ALIGNMENT) + most


def without_scratch(program: Program) -> Program:
    """The ops as `select_kernels` left them, none with scratch."""
    ops = (replace(op, scratch_candidates=()) for op in program.ops)
    return replace(program, ops=tuple(ops))


def with_candidates(program: Program, *sizes: int) -> Program:
    """Each op that has scratch gets these candidates."""
    ops = (
        replace(op, scratch_candidates=sizes if op.scratch_candidates else ()) for op in program.ops
    )
    return replace(program, ops=tuple(ops))


def scratch_of(program: Program) -> list[int]:
    return [op.scratch_bytes for op in program.ops if op.scratch_candidates]


def test_the_largest_scratch_that_keeps_the_arena_near_the_tensors_is_chosen():
    builder = NetBuilder((8, 8, 10), seed=1).convolution(10, (3, 3), padding="SAME", cut=False)
    builder.convolution(10, (3, 3), padding="SAME", cut=False)
    builder.convolution(1, (3, 3), cut=False)
    program = with_candidates(lower(builder.build()), 700, 300, 130, 60, 10)
    live = program.live_sizes[-1]
    plans = [plan_arena(program, slack) for slack in (1.05, 1.2, 1.5, 3.0)]
    for slack, plan in zip((1.05, 1.2, 1.5, 3.0), plans, strict=True):
        assert plan.arena_sizes[-1] <= slack * live
    chosen = list(map(scratch_of, plans))
    assert chosen == sorted(chosen) and chosen[-1] == [700, 700, 700]
    assert scratch_of(plan_arena(program, 1.0, ram=0))[1] == 10  # while both tensors are live
    assert plan_arena(program, 3.0, ram=int(1.2 * live)).ops == plans[1].ops


def test_ram_limits_of_subnets_bind_the_images_cut_to_them():
    net = residual(1)
    free = lower(net)
    assert lower(net, ram=(None,) * 3).arena_sizes == free.arena_sizes
    least = lower(net, ram=(0, 0, 0)).arena_sizes
    assert all(a <= b for a, b in zip(least, free.arena_sizes, strict=True))


def test_an_unknown_goal_is_refused():
    with pytest.raises(QuantizationError, match="'size' is none of 'speed', 'ram'"):
        lower(dense_net(), optimize="size")


@pytest.mark.parametrize("make", NETS)
@pytest.mark.parametrize("optimize", SLACK)
def test_arena_is_near_the_live_tensors_unless_the_least_scratch_forbids(make, optimize):
    net = make(3)
    program = lower(net, optimize)
    least = lower(net, optimize, ram=(0,) * net.subnet_count)
    sizes = zip(program.arena_sizes, program.live_sizes, least.arena_sizes, strict=True)
    assert all(arena <= max(SLACK[optimize] * live, small) for arena, live, small in sizes)


def test_element_wise_ops_work_in_place_but_never_on_the_input():
    net = NetBuilder((4, 3, 2)).relu().relu("RELU6").convolution(3).mean().dense(4).build()
    program = lower(net)
    first, second = program.ops[:2]
    assert program.edges[first.source].memory is Memory.INPUT
    assert program.edges[first.target].memory is Memory.ARENA
    assert program.edges[first.target].offset == program.edges[second.target].offset


def test_depthwise_3x3_works_in_place_where_the_size_stays():
    """Fused padding of 1 on each side too; a stride needs a second tensor."""
    builder = NetBuilder((6, 6, 3)).convolution(4, (1, 1)).depthwise(padding="SAME").pad(1, 1, 1, 1)
    builder.depthwise(padding="VALID").depthwise(stride=(2, 1), padding="SAME")
    program = lower(builder.mean().dense(3).build())
    places = [offsets(program, op) for op in (1, 2, 3)]
    assert places[0][0] == places[0][1] == places[1][0] == places[1][1]
    assert places[2][0] != places[2][1]


def test_add_writes_over_an_input_that_nobody_reads_any_more():
    builder = NetBuilder((6, 6, 3)).convolution(4)
    trunk = builder.last.name
    builder.convolution_like(trunk, padding="SAME").add(trunk)
    first, second, result = offsets(lower(builder.mean().dense(3).build()), 2)
    assert result == first != second


def test_add_takes_the_other_input_where_the_first_is_still_read():
    builder = NetBuilder((6, 6, 3)).convolution(4)
    trunk = builder.last.name
    branch = builder.convolution_like(trunk, padding="SAME").last.name
    total = builder.add(trunk).last.name
    net = builder.back_to(branch).add(total).mean().dense(3).build()
    first, second, result = offsets(lower(net), 2)
    assert result == second != first


@pytest.mark.parametrize("make", NETS)
def test_an_arena_planned_again_is_the_same(make):
    program = lower(make(3))
    again = plan_arena(program, SLACK["speed"])
    assert again.edges == program.edges and again.ops == program.ops


def test_element_wise_ops_leave_a_tensor_that_is_read_later():
    builder = NetBuilder((6, 6, 3)).convolution(4)
    trunk = builder.last.name
    net = builder.relu().add(trunk).mean().dense(3).build()
    source, target = offsets(lower(net), 1)
    assert source != target


def pointwise_chain(widths: tuple[int, ...]) -> NetBuilder:
    """1x1 convolutions of 8 x 8 positions, not cut."""
    builder = NetBuilder((8, 8, 3), subnets=1)
    for width in widths:
        builder.convolution(width, (1, 1), cut=False)
    return builder


CHAINS = [(16, 16, 16), (16, 24, 32), (32, 24, 16), (16, 32, 16), (32, 16, 32), (24, 9, 17, 5, 24)]


@pytest.mark.parametrize("widths", CHAINS, ids=str)
def test_a_chain_of_pointwise_convolutions_needs_its_largest_tensor(widths):
    """Also where widths fall and rise again: all outputs end where their inputs end."""
    program = without_scratch(lower(pointwise_chain(widths).mean().dense(3).build()))
    planned = plan_arena(program, 1.0)
    rounding = ALIGNMENT * len(widths)
    most = max(widths) * 64 + max(widths) + rounding
    assert planned.live_sizes[-1] <= planned.arena_sizes[-1] <= most


def test_a_pointwise_convolution_to_fewer_channels_ends_with_its_input():
    program = without_scratch(lower(pointwise_chain((32, 16)).mean().dense(3).build()))
    planned = plan_arena(program, 1.0)
    fall = planned.ops[1]
    assert reach(planned, fall) is None
    assert reach_above(planned, fall) == (32 - 16) * 64
    source, target = offsets(planned, 1)
    assert target - source >= (32 - 16) * 64


def test_where_widths_of_other_convolutions_fall_and_rise_again_a_chain_needs_more():
    """The output grows faster than its input is read: it begins below it, which is below the first.

    So an image cut to small widths can need more than the full network, whose widths are alike.
    """
    builder = NetBuilder((8, 8, 3), subnets=1)
    for width in (32, 16, 32):
        builder.convolution(width, (2, 2), padding="SAME", cut=False)
    planned = plan_arena(without_scratch(lower(builder.mean().dense(3).build())), 1.0)
    assert planned.live_sizes[-1] <= 33 * 64
    assert planned.arena_sizes[-1] >= (32 + 15) * 64


@settings(max_examples=20)
@given(st.integers(0, 10**6), st.integers(1, 8))
def test_arena_of_a_subnet_is_that_of_the_image_cut_to_it(seed, steps):
    net = random_graph(seed, steps)
    sizes = lower(net, ram=(0,) * net.subnet_count).arena_sizes
    for k in range(net.subnet_count):
        assert sizes[k] == lower(net.keep(range(k + 1)), ram=(0,) * (k + 1)).arena_sizes[-1]


def test_convolution_runs_into_its_input_behind_the_rows_it_reads_again():
    builder = NetBuilder((8, 6, 3)).convolution(16, (1, 1), cut=False)
    program = without_scratch(
        lower(builder.convolution(16, padding="SAME").mean().dense(3).build())
    )
    planned = plan_arena(program, 1.0)
    conv = planned.ops[1]
    # The last four positions are made with those before them written: one row and one column back.
    assert reach(planned, conv) == (8 * 6 - 4 - ((7 - 1) * 6 + 2 - 1)) * 16
    source, target = offsets(planned, 1)
    assert source - target == reach(planned, conv)


def test_pooling_runs_into_its_input():
    net = NetBuilder((8, 8, 3)).convolution(16, padding="SAME", cut=False).pool().mean().dense(3)
    program = without_scratch(lower(net.build()))
    planned = plan_arena(program, 1.0)
    pool = planned.ops[1]
    assert reach(planned, pool) == 16  # one position
    assert planned.live_sizes[-1] == 8 * 8 * 16 + 16 == planned.arena_sizes[-1]
    source, target = offsets(planned, 1)
    assert source - target == 16


def test_pooling_does_not_run_into_what_is_read_again():
    builder = NetBuilder((8, 8, 3)).convolution(16, padding="SAME", cut=False)
    trunk = builder.last.name
    pooled = builder.pool("MAX_POOL_2D", (2, 2), (1, 1), "SAME").add(trunk)
    program = lower(pooled.mean().dense(3).build())
    source, target = offsets(program, 1)
    assert abs(source - target) >= 8 * 8 * 16


def test_reach_is_what_a_walk_over_the_positions_finds():
    random = np.random.default_rng(0)
    for seed in range(20):
        builder = NetBuilder((7, 5, 3), seed=seed).convolution(6, (1, 1), cut=False)
        window, stride = random.integers(1, 4, 2), random.integers(1, 4, 2)
        padding = str(random.choice(["SAME", "VALID"]))
        builder.pool("MAX_POOL_2D", tuple(map(int, window)), tuple(map(int, stride)), padding)
        program = lower(builder.mean().dense(3).build())
        assert reach(program, program.ops[1]) == walked_reach(program, program.ops[1])


def walked_reach(program: Program, op: Op) -> int:
    source, target = program.edges[op.source], program.edges[op.target]
    steps = []
    for y in range(target.height):
        for x in range(target.width):
            row = max(y * op.stride[0] - op.padding[0], 0)
            column = max(x * op.stride[1] - op.padding[1], 0)
            steps.append((row * source.width + column) * source.stride)
    written = [(i + 1) * target.stride for i in range(len(steps))]
    return max(w - min(steps[i:]) for i, w in enumerate(written))
