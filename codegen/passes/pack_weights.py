"""Order the weights as the chosen kernels read them."""

from collections.abc import Callable, Mapping
from dataclasses import replace

import numpy as np

from tflm_reds.codegen.passes.select_kernels import DEPTHWISE_3X3
from tflm_reds.codegen.program import Op, Program


def pack_weights(program: Program) -> Program:
    """The program with the weights of each op in the order of its kernel."""
    return replace(program, ops=tuple(map(_pack, program.ops)))


def _pack(op: Op) -> Op:
    return replace(op, weights=_PACKERS[op.kernel](op)) if op.kernel in _PACKERS else op


def _pack_depthwise_3x3(op: Op) -> np.ndarray:
    """int8 [taps, channels] to [channels, taps]: the weights of a channel together."""
    return np.ascontiguousarray(op.weights.T)


_PACKERS: Mapping[str, Callable[[Op], np.ndarray]] = {DEPTHWISE_3X3: _pack_depthwise_3x3}
