"""Programs of a single op: what is measured depends on this op and its candidate alone."""

from collections.abc import Sequence
from dataclasses import replace

from tflm_reds.codegen.passes.pack_weights import pack_weights
from tflm_reds.codegen.passes.place import align
from tflm_reds.codegen.passes.select_kernels import Candidate
from tflm_reds.codegen.program import Edge, Memory, Op, Program

NAME = "alone"


def alone(program: Program, op: Op, candidate: Candidate) -> Program:
    """`op` of a prepared program, computed by `candidate` with memory of its own.

    Its name and those of its edges are always the same ones.
    """
    edges, end = [], 0
    names = [f"source_{i}" for i in range(len(op.sources))]
    for old, name in zip((*op.sources, op.target), (*names, "target"), strict=True):
        edges.append(replace(_place(program.edges[old], end), name=name))
        end += align(edges[-1].size)
    op = replace(
        op,
        name="op",
        sources=tuple(names),
        target="target",
        kernel=candidate.kernel,
        scratch_bytes=candidate.scratch_bytes,
        scratch_offset=end,
    )
    arena = end + align(candidate.scratch_bytes)
    return pack_weights(_program(edges, [op], program.budgets, arena))


def together(programs: Sequence[Program]) -> Program:
    """The ops of all `programs`, in order, none of which reads what another made."""
    edges, ops = [], []
    for i, program in enumerate(programs):
        (op,) = program.ops
        sources, target = tuple(f"{name}_{i}" for name in op.sources), f"{op.target}_{i}"
        for old, name in zip((*op.sources, op.target), (*sources, target), strict=True):
            edges.append(replace(program.edges[old], name=name))
        ops.append(replace(op, name=f"{op.name}_{i}", sources=sources, target=target))
    arena = max(program.arena_sizes[-1] for program in programs)
    return _program(edges, ops, programs[0].budgets, arena)


def _place(edge: Edge, offset: int) -> Edge:
    return replace(edge, shares=None, memory=Memory.ARENA, offset=offset)


def _program(edges: list[Edge], ops: list[Op], budgets: tuple[float, ...], arena: int) -> Program:
    sizes, widths = (arena,) * len(budgets), (1,) * len(budgets)
    unused = Edge("unused", 1, 1, widths, 1, 1.0, 0, memory=Memory.INPUT)  # a model has an input
    by_name = {edge.name: edge for edge in (*edges, unused)}
    return Program(NAME, by_name, tuple(ops), "unused", "unused", budgets, (), sizes, sizes)
