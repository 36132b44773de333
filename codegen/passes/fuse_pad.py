"""Fold a PAD into the convolution that follows: the kernel takes explicit padding."""

from dataclasses import replace

from tflm_reds.codegen.program import Op, Program


def fuse_pad(program: Program) -> Program:
    """Remove each PAD whose only reader is a convolution without padding of its own."""
    ops: list[Op] = []
    edges = dict(program.edges)
    for op in program.ops:
        pad = ops[-1] if ops else None
        if pad and _fits(program, pad, op):
            del edges[pad.target]
            ops[-1] = replace(op, source=pad.source, padding=pad.padding)
        else:
            ops.append(op)
    return replace(program, ops=tuple(ops), edges=edges)


def _fits(program: Program, pad: Op, op: Op) -> bool:
    readers = [reader for reader in program.ops if reader.source == pad.target]
    return (
        pad.kind == "PAD"
        and readers == [op]
        and op.kind in ("CONV_2D", "DEPTHWISE_CONV_2D")
        and op.padding == (0, 0)
        # The kernel pads with the zero point of its input.
        and program.edges[pad.source].zero_point == program.edges[pad.target].zero_point
    )
