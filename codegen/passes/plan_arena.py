"""Give each tensor and each scratch buffer one arena offset, valid for all subnets."""

from collections.abc import Mapping, Sequence
from dataclasses import replace

from tflm_reds.codegen.passes.overlap import reach, reach_above, works_in_place
from tflm_reds.codegen.passes.place import (
    ALIGNMENT,
    Block,
    Placed,
    align,
    live_bytes,
    lower_bound,
    lowest,
    place,
    top,
)
from tflm_reds.codegen.passes.select_kernels import FULLY_CONNECTED
from tflm_reds.codegen.program import Edge, Memory, Op, Program
from tflm_reds.errors import QuantizationError


def plan_arena(
    program: Program, slack: float, ram: int | None = None, live: int | None = None
) -> Program:
    """Set memory and offset of each edge, the scratch of each op, and the size of the arena.

    Each op gets the largest of its candidates for scratch that keeps the arena within `slack` times
    the live tensors and within `ram` bytes; the smallest, where none does.

    Args:
        live: bytes that the tensors need at least; `least_bytes` of the program where left out.

    Raises:
        QuantizationError: if the output is only a view of the input.
    """
    program = _share_in_place(program)
    owners = {name: _owner(program.edges, name) for name in program.edges}
    if owners[program.input] == owners[program.output]:
        raise QuantizationError(
            f"{program.name} computes nothing: its output is a view of its input. Add a layer."
        )
    tensors = tensor_blocks(program)
    scratch = [_scratch(op, i) for i, op in enumerate(program.ops) if op.scratch_candidates]
    placed = place([*tensors, *scratch])
    live = least_bytes(program) if live is None else live
    wanted = int(slack * live)
    limit = max(top(placed), wanted if ram is None else min(wanted, ram))
    placed = [one for one in placed if one.block in tensors]
    starts = {one.block.name: one.start for one in placed}
    ops = [_with_scratch(op, i, placed, limit) for i, op in enumerate(program.ops)]
    ends = [align(op.scratch_offset + op.scratch_bytes) for op in ops]
    return replace(
        program,
        edges={n: _locate(e, owners[n], owners, program, starts) for n, e in program.edges.items()},
        ops=tuple(ops),
        # Never 0: C has no array of that size.
        arena_sizes=(max(ALIGNMENT, top(placed), *ends),),
        live_sizes=(live,),
    )


def least_bytes(program: Program) -> int:
    """Bytes that the tensors need at least: the most that is live during one op.

    An output that runs into its input counts once where it lies over what has been read. Not so
    that of a fully connected layer: each output needs all inputs, so a copy of them is live.
    """
    program = _share_in_place(program)
    copied = {op.target for op in program.ops if op.kernel == FULLY_CONNECTED}
    blocks = tensor_blocks(program)
    apart = [replace(one, reach={}) if one.name in copied else one for one in blocks]
    return lower_bound(apart, granule=1)


def needed_bytes(program: Program) -> list[int]:
    """Bytes that are live during each op at least: tensors and the smallest scratch."""
    program = _share_in_place(program)
    scratch = [_scratch(op, i) for i, op in enumerate(program.ops) if op.scratch_candidates]
    blocks = [*tensor_blocks(program), *scratch]
    return [live_bytes(blocks, time) for time in range(len(program.ops))]


def tensor_blocks(program: Program) -> list[Block]:
    """The tensors with arena memory of their own, once `shares` of every edge is set."""
    owners = {name: _owner(program.edges, name) for name in program.edges}
    outside = (owners[program.input], owners[program.output])
    blocks = []
    for name in dict.fromkeys(owners.values()):
        uses = _uses(program, owners, name)
        if name not in outside and uses:
            reaches = _reaches(program, owners, name, uses)
            blocks.append(Block(name, program.edges[name].size, uses[0], uses[-1], reaches))
    return blocks


def _uses(program: Program, owners: Mapping[str, str], name: str) -> list[int]:
    """Indices of the ops that read or write the memory of `name`."""
    return [
        i
        for i, op in enumerate(program.ops)
        if name in [owners[edge] for edge in (*op.sources, op.target)]
    ]


def _reaches(
    program: Program, owners: Mapping[str, str], name: str, uses: Sequence[int]
) -> dict[str, int]:
    """How near above the start of `name` another tensor may begin.

    The input of the op that makes `name`, or the output of the last op that reads it.
    """
    first, last = program.ops[uses[0]], program.ops[uses[-1]]
    reaches = {}
    if _may_run_over(program, owners, first):
        reaches[owners[first.source]] = reach(program, first)
    if owners[last.source] == name and _may_run_over(program, owners, last):
        reaches[owners[last.target]] = reach_above(program, last)
    return {other: least for other, least in reaches.items() if least is not None}


def _may_run_over(program: Program, owners: Mapping[str, str], op: Op) -> bool:
    """Whether `op` makes a tensor of its own, and nobody reads its input later."""
    source, target = owners[op.source], owners[op.target]
    last = program.ops[_uses(program, owners, source)[-1]]
    return last is op and source != target


def _share_in_place(program: Program) -> Program:
    """Let an op that allows it write over one of its inputs, where nobody reads that any more."""
    in_place = [op for op in program.ops if works_in_place(program, op)]
    edges = dict(program.edges)
    edges |= {op.target: replace(edges[op.target], shares=None) for op in in_place}
    for op in program.ops:
        if works_in_place(program, op):
            free = (name for name in op.sources if _is_last_reader(program, edges, op, name))
            edges[op.target] = replace(edges[op.target], shares=next(free, None))
    return replace(program, edges=edges)


def _is_last_reader(program: Program, edges: dict[str, Edge], op: Op, name: str) -> bool:
    owner = _owner(edges, name)
    readers = [r for r in program.ops if any(_owner(edges, s) == owner for s in r.sources)]
    return readers[-1] is op and owner != program.input


def _owner(edges: Mapping[str, Edge], name: str) -> str:
    while edges[name].shares is not None:
        name = edges[name].shares
    return name


def _scratch(op: Op, time: int, choice: int = -1) -> Block:
    """One of the candidates for the scratch of op number `time`; the smallest is the last."""
    return Block(f"scratch of op {time}", op.scratch_candidates[choice], time, time)


def _with_scratch(op: Op, time: int, tensors: Sequence[Placed], limit: int) -> Op:
    """The largest candidate that fits between the tensors below `limit`; the smallest does."""
    for choice, size in enumerate(op.scratch_candidates):
        offset = lowest(_scratch(op, time, choice), tensors)
        if offset + align(size) <= limit:
            return replace(op, scratch_bytes=size, scratch_offset=offset)
    return replace(op, scratch_bytes=0, scratch_offset=0)


def _locate(
    edge: Edge,
    owner: str,
    owners: Mapping[str, str],
    program: Program,
    starts: Mapping[str, int],
) -> Edge:
    if owner == owners[program.input]:
        return replace(edge, memory=Memory.INPUT)
    if owner == owners[program.output]:
        return replace(edge, memory=Memory.OUTPUT)
    return replace(edge, memory=Memory.ARENA, offset=starts[owner])
