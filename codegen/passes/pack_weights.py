"""Put the weights of each op in the order in which its kernel reads them."""

from dataclasses import replace

import numpy as np

from tflm_reds.codegen.packing import pack_pairs, segments_of
from tflm_reds.codegen.passes.select_kernels import DEPTHWISE_3X3
from tflm_reds.codegen.program import PAIR_KERNELS, Op, Program


def pack_weights(program: Program) -> Program:
    """The program with the weights of each op in the order of its kernel."""
    return replace(program, ops=tuple(_pack(program, op) for op in program.ops))


def _pack(program: Program, op: Op) -> Op:
    if op.kernel == DEPTHWISE_3X3:  # the weights of a channel together
        return replace(op, weights=np.ascontiguousarray(op.weights.T))
    return replace(op, weights=_pairs(program, op)) if op.kernel in PAIR_KERNELS else op


def _pairs(program: Program, op: Op) -> np.ndarray:
    """int8 [row pairs, bytes of a pair]; see reds_block.h."""
    source, rows = program.edges[op.source], len(op.weights)
    segments = segments_of(op.window, source.stride, source.is_cut)
    packed = pack_pairs(op.weights.reshape(rows, *segments))
    return packed.reshape((rows + 1) // 2, -1)
