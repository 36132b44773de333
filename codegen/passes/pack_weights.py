"""Put the weights of each op in the order in which its kernel reads them."""

from dataclasses import replace

import numpy as np

from tflm_reds.codegen.packing import pack_rows
from tflm_reds.codegen.passes.select_kernels import DEPTHWISE_3X3
from tflm_reds.codegen.program import PAIR_KERNELS, Op, Program


def pack_weights(program: Program) -> Program:
    """The program with the weights of each op in the order of its kernel."""
    return replace(program, ops=tuple(_pack(program, op) for op in program.ops))


def _pack(program: Program, op: Op) -> Op:
    if op.kernel == DEPTHWISE_3X3:  # the weights of a channel together
        return replace(op, weights=np.ascontiguousarray(op.weights.T))
    if op.kernel not in PAIR_KERNELS:
        return op
    source = program.edges[op.source]
    return replace(op, weights=pack_rows(op.weights, op.window, source.stride, source.is_cut))
