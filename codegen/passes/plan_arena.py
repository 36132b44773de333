"""Give each tensor and each scratch buffer one arena offset, valid for all subnets."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from tflm_reds.codegen.program import Edge, Memory, Op, Program
from tflm_reds.errors import QuantizationError

ALIGNMENT = 16
IN_PLACE = ("reds_lookup_s8", "reds_softmax_s8", "reds_prelu_s8", "reds_add_s8")


@dataclass(frozen=True)
class Block:
    """Memory that is live from op `first` to op `last`, both included."""

    name: str
    size: int
    first: int
    last: int

    def meets(self, other: "Block") -> bool:
        """Whether both are live during the same op."""
        return self.first <= other.last and other.first <= self.last


def plan_arena(program: Program) -> Program:
    """Set memory and offset of each edge, scratch offsets, and the size of the arena.

    Raises:
        QuantizationError: if the output is only a view of the input.
    """
    program = _share_in_place(program)
    owners = {name: _owner(program.edges, name) for name in program.edges}
    if owners[program.input] == owners[program.output]:
        raise QuantizationError(
            f"{program.name} computes nothing: its output is a view of its input. Add a layer."
        )
    blocks = _tensor_blocks(program, owners) + _scratch_blocks(program)
    offsets = place(blocks)
    edges = {
        name: _locate(edge, owners[name], owners, program, offsets)
        for name, edge in program.edges.items()
    }
    ops = tuple(replace(op, scratch_offset=offsets.get(_scratch(op), 0)) for op in program.ops)
    return replace(program, edges=edges, ops=ops, arena_sizes=(arena_size(blocks, offsets),))


def place(blocks: Sequence[Block]) -> dict[str, int]:
    """Offset of each block: the better of largest first and earliest first."""
    orders = [
        sorted(blocks, key=lambda block: (-block.size, block.first, block.name)),
        sorted(blocks, key=lambda block: (block.first, -block.size, block.name)),
    ]
    return min(map(_place_in_order, orders), key=lambda offsets: arena_size(blocks, offsets))


def arena_size(blocks: Sequence[Block], offsets: dict[str, int]) -> int:
    """Bytes from the start to the end of the highest block; never 0, which C has no array for."""
    return max([ALIGNMENT, *(offsets[block.name] + align(block.size) for block in blocks)])


def _place_in_order(blocks: Sequence[Block]) -> dict[str, int]:
    """Each block at the lowest offset that is free while it lives."""
    offsets: dict[str, int] = {}
    placed: list[Block] = []
    for block in blocks:
        offset = 0
        for other in sorted(placed, key=lambda other: offsets[other.name]):
            start = offsets[other.name]
            if block.meets(other) and start < offset + align(block.size):
                offset = max(offset, start + align(other.size))
        offsets[block.name] = offset
        placed.append(block)
    return offsets


def align(size: int) -> int:
    """`size` rounded up to the alignment of the arena."""
    return -(-size // ALIGNMENT) * ALIGNMENT


def _share_in_place(program: Program) -> Program:
    """Let an op that allows it write over one of its inputs, where nobody reads that any more."""
    edges = dict(program.edges)
    for op in program.ops:
        if op.kernel in IN_PLACE:
            free = (name for name in op.sources if _is_last_reader(program, edges, op, name))
            edges[op.target] = replace(edges[op.target], shares=next(free, None))
    return replace(program, edges=edges)


def _is_last_reader(program: Program, edges: dict[str, Edge], op: Op, name: str) -> bool:
    owner = _owner(edges, name)
    readers = [r for r in program.ops if any(_owner(edges, s) == owner for s in r.sources)]
    return readers[-1] is op and owner != program.input


def _owner(edges: dict[str, Edge], name: str) -> str:
    while edges[name].shares is not None:
        name = edges[name].shares
    return name


def _tensor_blocks(program: Program, owners: dict[str, str]) -> list[Block]:
    outside = (owners[program.input], owners[program.output])
    blocks = []
    for name in dict.fromkeys(owners.values()):
        if name not in outside:
            uses = [
                i
                for i, op in enumerate(program.ops)
                if name in [owners[edge] for edge in (*op.sources, op.target)]
            ]
            blocks.append(Block(name, program.edges[name].size, uses[0], uses[-1]))
    return blocks


def _scratch_blocks(program: Program) -> list[Block]:
    return [
        Block(_scratch(op), op.scratch_bytes, i, i)
        for i, op in enumerate(program.ops)
        if op.scratch_bytes
    ]


def _scratch(op: Op) -> str:
    return f"scratch of {op.name} for {op.target}"


def _locate(edge: Edge, owner: str, owners, program: Program, offsets) -> Edge:
    if owner == owners[program.input]:
        return replace(edge, memory=Memory.INPUT)
    if owner == owners[program.output]:
        return replace(edge, memory=Memory.OUTPUT)
    return replace(edge, memory=Memory.ARENA, offset=offsets[owner])
