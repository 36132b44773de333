"""Fold a PAD into the convolution that follows: the kernel takes explicit padding."""

from dataclasses import replace

from tflm_reds.codegen.program import Op, Program


def fuse_pad(program: Program) -> Program:
    """Remove each PAD whose only reader is a convolution without padding of its own."""
    pads = {op.target: op for op in program.ops if op.kind == "PAD"}
    readers = {op.source: op for op in program.ops if op.source in pads}
    fused = {name for name, op in readers.items() if _fits(program, pads[name], op)}
    ops = (
        replace(op, sources=pads[op.source].sources, padding=pads[op.source].padding)
        if op.source in fused
        else op
        for op in program.ops
        if op.target not in fused
    )
    edges = {name: edge for name, edge in program.edges.items() if name not in fused}
    return replace(program, ops=tuple(ops), edges=edges)


def _fits(program: Program, pad: Op, op: Op) -> bool:
    readers = [reader for reader in program.ops if pad.target in reader.sources]
    return (
        readers == [op]
        and op.kind in ("CONV_2D", "DEPTHWISE_CONV_2D")
        and op.padding == (0, 0)
        # The kernel pads with the zero point of its input.
        and program.edges[pad.source].zero_point == program.edges[pad.target].zero_point
    )
