"""Where the output of an op may lie over the input that it has read: a contract of each kernel.

`works_in_place`: at the same address. `reach`: the output may begin anywhere from that many bytes
below the input on down, because the kernel makes positions in order and never looks back further.
`reach_above`: of a kernel that makes them from the last to the first, anywhere from that many bytes
above the start of the input on up.
"""

from collections.abc import Iterable

import numpy as np

from tflm_reds.codegen.passes.select_kernels import (
    CONVOLVE,
    CONVOLVE_1X1,
    CONVOLVE_1X1_SMALL,
    CONVOLVE_DIRECT,
    CONVOLVE_NARROW,
    DEPTHWISE,
    DEPTHWISE_3X3,
    FULLY_CONNECTED,
    POSITIONS,
)
from tflm_reds.codegen.program import Op, Program

IN_PLACE = ("reds_lookup_s8", "reds_softmax_s8", "reds_prelu_s8", "reds_add_s8")
FOUR_BY_FOUR = (CONVOLVE_1X1, CONVOLVE_NARROW, CONVOLVE)
BACKWARD = (CONVOLVE_1X1, CONVOLVE_1X1_SMALL, CONVOLVE_DIRECT)
IN_ORDER = ("reds_max_pool_s8", "reds_average_pool_s8", DEPTHWISE, CONVOLVE_DIRECT)

Size = tuple[int, int]
"""(height, width)."""


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
    return None if works_backward(program, op) else _lag(program, op)


def reach_above(program: Program, op: Op) -> int | None:
    """Least bytes from the start of the input up to that of the output; None: no overlap."""
    if not works_backward(program, op):
        return None
    return program.edges[op.source].size - program.edges[op.target].size + _lag(program, op)


def works_backward(program: Program, op: Op) -> bool:
    """Whether the kernel begins with the last position, and the output may end with the input.

    So outputs that are smaller and outputs that are larger all end where their inputs end: a chain
    of them needs no more than its largest tensor.
    """
    is_smaller = program.edges[op.target].stride < program.edges[op.source].stride
    return op.kernel in BACKWARD and op.is_pointwise and is_smaller


def _lag(program: Program, op: Op) -> int | None:
    """How many bytes more than it has read an op may have written, at the worst moment."""
    source, target = program.edges[op.source], program.edges[op.target]
    sizes = ((source.height, source.width), (target.height, target.width))
    found = steps(op.kernel, *sizes, op.stride, op.padding)
    if found is None:
        return None
    written, needed = found
    return max(0, int((written * target.stride - needed * source.stride).max()))


def steps(
    kernel: str, source: Size, target: Size, stride: Size, padding: Size
) -> tuple[np.ndarray, np.ndarray] | None:
    """The order in which a kernel works, where its output may lie over its input; else None.

    Returns:
        (written, needed): positions of the output that may be written while positions of the input
        from `needed` on are still to be read, int64 [steps].
    """
    if kernel == FULLY_CONNECTED:  # reads all of its input first
        return np.zeros(1, np.int64), np.zeros(1, np.int64)
    needed = _first_needed(source, target, stride, padding)
    positions = np.arange(len(needed))
    if kernel in IN_ORDER:  # a window is read until all channels of its position are written
        return positions + 1, needed
    if kernel == CONVOLVE_1X1_SMALL:
        return positions, needed
    if kernel not in FOUR_BY_FOUR:
        return None
    written = read = positions[::POSITIONS]
    if kernel == CONVOLVE_1X1:  # the last 1 to 3 are made one by one
        last = len(needed) // POSITIONS * POSITIONS
        written = read = np.concatenate([positions[:last:POSITIONS], positions[last:]])
    if kernel == CONVOLVE:  # the last four are made again with those before them
        read = np.minimum(written, max(0, len(needed) - POSITIONS))
    return written, needed[read]


def corners(points: Iterable[tuple[int, int]]) -> list[tuple[int, int]]:
    """Of some (x, y) >= 0 those that make a x + b y largest for some a, b >= 0."""
    found: list[tuple[int, int]] = []
    for x, y in sorted(points):
        while found and found[-1][1] <= y:
            found.pop()
        while len(found) > 1 and _is_below(*found[-2:], (x, y)):
            found.pop()
        found.append((x, y))
    return found


def _is_below(left: tuple[int, int], middle: tuple[int, int], right: tuple[int, int]) -> bool:
    """Whether `middle` is not above the line from `left` to `right`."""
    rise = (middle[1] - left[1]) * (right[0] - left[0])
    return rise <= (right[1] - left[1]) * (middle[0] - left[0])


def _first_needed(source: Size, target: Size, stride: Size, padding: Size) -> np.ndarray:
    """The first input position that an output position or one after it reads, or one before it."""
    rows = np.maximum(np.arange(target[0]) * stride[0] - padding[0], 0)
    columns = np.maximum(np.arange(target[1]) * stride[1] - padding[1], 0)
    first = (rows[:, np.newaxis] * source[1] + columns).reshape(-1)
    return np.minimum.accumulate(first[::-1])[::-1]
