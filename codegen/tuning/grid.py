"""One op of a full network at many widths, each a subnet of a program of its own."""

from collections.abc import Sequence
from dataclasses import replace

from tflm_reds.codegen.program import Op, OutputTable, Program

TWO_WAY = ("CONV_2D", "FULLY_CONNECTED")
"""Ops whose inputs are not told by their outputs."""


def at_widths(program: Program, op: Op, points: Sequence[tuple[int, int]]) -> Program:
    """`program` with `op` alone, and for each of `points` a subnet of that width.

    Args:
        program: of one subnet, prepared.
        points: (active features of the source, of the target); of an op that is not TWO_WAY the
            target's alone count, and every source keeps the same share.
    """
    target = program.edges[op.target]
    outputs = tuple(output for _, output in points)
    edges = {name: program.edges[name] for name in (*op.sources, op.target)}
    for name in op.sources:
        source = edges[name]
        inputs = tuple(max(1, source.stride * output // target.stride) for output in outputs)
        if op.kind in TWO_WAY:
            inputs = tuple(i for i, _ in points)
        edges[name] = replace(source, channels=inputs)
    if op.kind == "CONCATENATION":  # the shares are rounded down
        outputs = tuple(map(sum, zip(*(edges[name].channels for name in op.sources), strict=True)))
    edges[op.target] = replace(target, channels=outputs)
    op = replace(
        op,
        tables=tuple(_prefix(op.tables[-1], n) for n in outputs) if op.tables else (),
        macs=(0,) * len(points),
    )
    return replace(program, edges=edges, ops=(op,), budgets=(1.0,) * len(points))


def _prefix(table: OutputTable, outputs: int) -> OutputTable:
    return OutputTable(table.bias[:outputs], table.multiplier[:outputs], table.shift[:outputs])
