"""Place blocks of memory that are live at different times, so that they need few bytes.

Which order of placement is best is an NP-hard question. A few simple orders reach the lower bound
on most networks; where none does, hill climbing over orders goes on from the best of them.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from random import Random

ALIGNMENT = 16
CLIMBING_STEPS = 300


@dataclass(frozen=True)
class Block:
    """Memory that is live from op `first` to op `last`, both included.

    Attributes:
        reach: for some blocks the distance in bytes, from the start of this block to that of the
            other above it, which is enough although both are live: the op that makes this block
            may write over what it has read of the other. For all others the distance is `size`.
    """

    name: str
    size: int
    first: int
    last: int
    reach: Mapping[str, int] = field(default_factory=dict)

    def meets(self, other: "Block") -> bool:
        """Whether both are live during the same op."""
        return self.first <= other.last and other.first <= self.last

    def distance(self, upper: "Block") -> int:
        """Least distance, aligned, from this block's start to that of `upper` above it."""
        return align(max(0, min(self.size, self.reach.get(upper.name, self.size))))


@dataclass(frozen=True)
class Placed:
    """A block at its offset."""

    block: Block
    start: int

    @property
    def end(self) -> int:
        """Behind the last byte, aligned."""
        return self.start + align(self.block.size)


def align(size: int, granule: int = ALIGNMENT) -> int:
    """`size` rounded up to the alignment of the arena, or to another granule."""
    return -(-size // granule) * granule


def place(blocks: Sequence[Block]) -> list[Placed]:
    """Each block at an aligned offset; those that meet overlap no further than they may."""
    order = min(_orders(blocks), key=lambda order: top(_in_order(order)))
    return _climb(order, lower_bound(blocks))


def top(placed: Sequence[Placed]) -> int:
    """The end of the highest block."""
    return max((one.end for one in placed), default=0)


def lower_bound(blocks: Sequence[Block], granule: int = ALIGNMENT) -> int:
    """Bytes that no placement can do without: the most that is live during one op.

    Args:
        granule: sizes are rounded up to a multiple of this.
    """
    times = range(1 + max((block.last for block in blocks), default=-1))
    return max((live_bytes(blocks, time, granule) for time in times), default=0)


def live_bytes(blocks: Sequence[Block], time: int, granule: int = ALIGNMENT) -> int:
    """Bytes of the blocks that are live during op `time`, where they overlap as far as they may."""
    live = {block.name: block for block in blocks if block.first <= time <= block.last}
    total = 0
    for block in live.values():
        size = align(block.size, granule)
        uppers = block.reach.keys() & live.keys()
        # They do not overlap each other, so this block lies over at most its own size of them.
        nearest = min((block.reach[name] for name in uppers), default=size)
        covered = sum(align(live[name].size, granule) for name in uppers)
        total += size - max(0, min(covered, size - max(0, nearest)))
    return total


def _orders(blocks: Sequence[Block]) -> Iterator[list[Block]]:
    """Orders of placement that do well: large blocks first, early, late or long-lived ones."""
    for key in (
        lambda block: -block.size,
        lambda block: block.first,
        lambda block: -block.first,  # a chain of outputs that run into their inputs from below
        lambda block: -block.size * (block.last - block.first + 1),
    ):
        yield sorted(blocks, key=lambda block: (key(block), -block.size, block.first, block.name))


def _in_order(blocks: Sequence[Block]) -> list[Placed]:
    """Each block at the lowest offset that those before it leave."""
    placed: list[Placed] = []
    for block in blocks:
        placed.append(Placed(block, lowest(block, placed)))
    return placed


def lowest(block: Block, placed: Sequence[Placed]) -> int:
    """The lowest offset of `block` that is free while it is live."""
    others = [one for one in placed if one.block.meets(block)]
    starts = {0, *(one.start + one.block.distance(block) for one in others)}
    return min(start for start in starts if all(_free(block, start, one) for one in others))


def _free(block: Block, start: int, other: Placed) -> bool:
    above = start >= other.start + other.block.distance(block)
    return above or start + block.distance(other.block) <= other.start


def _climb(order: list[Block], bound: int) -> list[Placed]:
    """Better and better orders: a topmost block goes to a random earlier place, two others swap."""
    random = Random(0)
    best = _in_order(order)
    for _ in range(CLIMBING_STEPS):
        if top(best) == bound:
            break
        order = [one.block for one in best]
        high = [i for i, one in enumerate(best) if one.end == top(best)]
        order.insert(random.randrange(high[0] + 1), order.pop(random.choice(high)))
        i, j = random.randrange(len(order)), random.randrange(len(order))
        order[i], order[j] = order[j], order[i]
        best = min(_in_order(order), best, key=top)
    return best
