"""Where the output of an op may lie over the input that it has read: a contract of each kernel.

`works_in_place`: at the same address. `reach`: the output may begin anywhere from that many bytes
below the input on down, because the kernel makes positions in order and never looks back further.
"""

import numpy as np

from tflm_reds.codegen.passes.select_kernels import DEPTHWISE_3X3
from tflm_reds.codegen.program import Edge, Op, Program

IN_PLACE = ("reds_lookup_s8", "reds_softmax_s8", "reds_prelu_s8", "reds_add_s8")
IN_ORDER = ("reds_max_pool_s8", "reds_average_pool_s8", "reds_depthwise_conv_s8")


def works_in_place(program: Program, op: Op) -> bool:
    """Whether the output may take over the memory of an input of the same size."""
    if op.kernel == DEPTHWISE_3X3:
        source, target = program.edges[op.source], program.edges[op.target]
        # Of each channel, a line of the input is read before that of the output is written.
        same = (source.height, source.width) == (target.height, target.width)
        return same and op.stride == (1, 1) and max(op.padding) <= 2
    return op.kernel in IN_PLACE


def reach(program: Program, op: Op) -> int | None:
    """Least bytes from the start of the output up to that of the input; None: no overlap."""
    if op.kernel not in IN_ORDER:
        return None
    source, target = program.edges[op.source], program.edges[op.target]
    # The window of a position is read until all of its channels are written.
    written = np.arange(1, target.height * target.width + 1) * target.stride
    return _reach(written, _first_bytes(op, source, target))


def _reach(written: np.ndarray, needed: np.ndarray) -> int:
    """Steps in order: bytes `written` while input bytes from `needed` on are still to be read."""
    still_needed = np.minimum.accumulate(needed[::-1])[::-1]
    return int((written - still_needed).max())


def _first_bytes(op: Op, source: Edge, target: Edge) -> np.ndarray:
    """First input byte of the window of each output position, or one before it."""
    rows = np.maximum(np.arange(target.height) * op.stride[0] - op.padding[0], 0)
    columns = np.maximum(np.arange(target.width) * op.stride[1] - op.padding[1], 0)
    return ((rows[:, np.newaxis] * source.width + columns) * source.stride).reshape(-1)
