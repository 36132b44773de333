"""Choose the C kernel of each op and list the sizes of scratch memory that it can work with.

By shape alone, unless `tuning` has measured which of an op's candidates is the fastest.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import chain

from tflm_reds.codegen.packing import GROUP, filter_stride, groups, halves, segments_of
from tflm_reds.codegen.program import PAIR_KERNELS, Edge, Op, Program

CONVOLVE = "reds_convolve_s8"
CONVOLVE_1X1 = "reds_convolve_1x1_s8"
CONVOLVE_1X1_SMALL = "reds_convolve_1x1_small_s8"
CONVOLVE_DIRECT = "reds_convolve_direct_s8"
CONVOLVE_NARROW = "reds_convolve_narrow_s8"
DEPTHWISE = "reds_depthwise_conv_s8"
DEPTHWISE_3X3 = "reds_depthwise_conv_3x3_s8"
FULLY_CONNECTED = "reds_fully_connected_s8"
POSITIONS = 4  # that a convolution computes together
HALF_BYTES = 4  # two inputs as int16
SUM_BYTES = 4

_KERNELS = {
    "MAX_POOL_2D": "reds_max_pool_s8",
    "AVERAGE_POOL_2D": "reds_average_pool_s8",
    "MEAN": "reds_mean_s8",
    "LEAKY_RELU": "reds_lookup_s8",
    "RELU": "reds_lookup_s8",
    "RELU6": "reds_lookup_s8",
    "HARD_SWISH": "reds_lookup_s8",
    "PRELU": "reds_prelu_s8",
    "ADD": "reds_add_s8",
    "CONCATENATION": "reds_concatenate_s8",
    "SOFTMAX": "reds_softmax_s8",
    "PAD": "reds_pad_s8",
    "RESHAPE": "reds_flatten_s8",
}


@dataclass(frozen=True)
class Candidate:
    """A way to compute an op: its kernel, and the scratch memory that decides its blocking."""

    kernel: str
    scratch_bytes: int


def select_kernels(program: Program, chosen: Mapping[str, Candidate] | None = None) -> Program:
    """Set `kernel` and `scratch_candidates` of each op.

    Args:
        chosen: the best candidate of some ops, by name; the others are chosen by shape.
    """
    chosen = chosen or {}
    ops = tuple(_select(program, op, chosen.get(op.name)) for op in program.ops)
    return replace(program, ops=ops)


def candidates(program: Program, op: Op, small: bool = False) -> tuple[Candidate, ...]:
    """Every way to compute `op`; the choice by shape with all scratch that it can use is first.

    Args:
        small: also by `smaller_kernels`, which only images that need them hold.
    """
    kernels = kernels_of(program, op)
    if small:
        others = (smaller_kernels(program, replace(op, kernel=kernel)) for kernel in kernels)
        kernels = tuple(dict.fromkeys([*kernels, *chain(*others)]))
    return tuple(
        Candidate(kernel, size)
        for kernel in kernels
        for size in scratch_candidates(program, replace(op, kernel=kernel)) or (0,)
    )


def _select(program: Program, op: Op, chosen: Candidate | None) -> Op:
    op = replace(op, kernel=chosen.kernel if chosen else kernels_of(program, op)[0])
    sizes = scratch_candidates(program, op)
    if chosen and chosen.scratch_bytes in sizes:  # more than the best size would be a waste
        sizes = sizes[sizes.index(chosen.scratch_bytes) :]
    return replace(op, scratch_candidates=sizes)


def kernels_of(program: Program, op: Op) -> tuple[str, ...]:
    """The kernels that can compute `op`, the choice by shape first."""
    source, target = program.edges[op.source], program.edges[op.target]
    is_vector = source.height * source.width * target.height * target.width == 1
    if op.kind == "CONV_2D":
        return _convolutions(op, source, is_vector)
    if op.kind == "FULLY_CONNECTED":
        return (FULLY_CONNECTED, CONVOLVE_1X1) if is_vector else (FULLY_CONNECTED,)
    if op.kind == "DEPTHWISE_CONV_2D":
        multiplier = target.stride // source.stride
        fits = is_depthwise_3x3(op.window, op.stride, op.dilation, multiplier)
        return (DEPTHWISE_3X3, DEPTHWISE) if fits else (DEPTHWISE,)
    return (_KERNELS[op.kind],)


def smaller_kernels(program: Program, op: Op) -> tuple[str, ...]:
    """Kernels for `op` that take less scratch than its own and more time, the fastest first."""
    source, target = program.edges[op.source], program.edges[op.target]
    if op.kernel == DEPTHWISE_3X3:
        return (DEPTHWISE,)
    if op.kernel not in PAIR_KERNELS:
        return ()
    if op.kernel == FULLY_CONNECTED:
        return (CONVOLVE_DIRECT,) if source.height * source.width == 1 else ()
    direct = (CONVOLVE_DIRECT,) if _reads_whole_groups(op, source, target) else ()
    return (CONVOLVE_1X1_SMALL, *direct) if op.kernel == CONVOLVE_1X1 else direct


def _reads_whole_groups(op: Op, source: Edge, target: Edge) -> bool:
    """Whether each tap of a convolution begins with a group of weights.

    Or each row of taps, whose inputs lie side by side within a row.
    """
    segments, _ = segments_of(op.window, source.stride, source.is_cut)
    if op.window == (1, 1) or segments > 1 or source.stride % GROUP == 0:
        return True
    last = (target.width - 1) * op.stride[1] + op.window[1]
    is_inside = op.padding[1] == 0 and last <= source.width
    return op.window[1] * source.stride % GROUP == 0 and op.dilation[1] == 1 and is_inside


def _convolutions(op: Op, source: Edge, is_vector: bool) -> tuple[str, ...]:
    fitting = {
        CONVOLVE_1X1: op.is_pointwise,
        CONVOLVE_NARROW: is_narrow(op.window, op.dilation, source.stride, source.is_cut),
        CONVOLVE: True,
        FULLY_CONNECTED: op.is_pointwise and is_vector,  # the same product
    }
    return tuple(kernel for kernel, fits in fitting.items() if fits)


def is_narrow(
    window: tuple[int, int], dilation: tuple[int, int], inputs: int, is_cut: bool
) -> bool:
    """Whether the rows of a convolution's taps are four inputs side by side."""
    return window[1] * inputs == GROUP and dilation[1] == 1 and not is_cut


def is_depthwise_3x3(
    window: tuple[int, int], stride: tuple[int, int], dilation: tuple[int, int], multiplier: int
) -> bool:
    """Whether the kernel for 3x3 windows can compute a depthwise convolution."""
    return window == (3, 3) and max(stride) <= 2 and dilation == (1, 1) and multiplier == 1


def scratch_candidates(program: Program, op: Op) -> tuple[int, ...]:
    """Bytes of scratch that the kernel of `op` takes in every subnet, largest (fastest) first.

    Empty where it needs none. `plan_arena` chooses; the kernel is told what it got.
    """
    source, target = program.edges[op.source], program.edges[op.target]
    if op.kernel == CONVOLVE_DIRECT:
        return ()
    if op.kernel == DEPTHWISE_3X3:
        return (depthwise_scratch_bytes((target.height, target.width), op.stride),)
    if op.kernel == CONVOLVE:
        return convolve_scratch(op.window, source.channels, target.channels, source.stride)
    stride = filter_stride(op.window, source.stride, source.is_cut)
    if op.kernel == CONVOLVE_1X1_SMALL:
        size = scratch_bytes(op.kernel, op.window, max(source.channels), stride)
        return size, size // 2
    size = max(scratch_bytes(op.kernel, op.window, c, stride) for c in source.channels)
    return (size,) if size else ()


def convolve_scratch(
    window: tuple[int, int], inputs: Sequence[int], outputs: Sequence[int], full_inputs: int
) -> tuple[int, ...]:
    """Bytes of scratch that `reds_convolve_s8` takes in every subnet, largest first.

    For whole windows; for some rows of taps at a time, and the sums of all outputs; for one tap.

    Args:
        inputs, outputs: channels of each subnet.
    """
    is_cut = min(inputs) < full_inputs
    stride = filter_stride(window, full_inputs, is_cut)
    size = max(scratch_bytes(CONVOLVE, window, count, stride) for count in inputs)
    if segments_of(window, full_inputs, is_cut)[0] == 1:
        return (size,)
    taps = (*(window[1] * rows for rows in range(window[0] - 1, 0, -1)), 1)
    widths = list(zip(inputs, outputs, strict=True))
    parts = (max(part_bytes(count, *width) for width in widths) for count in taps)
    return (size, *(part for part in parts if part < size))


def part_bytes(taps: int, inputs: int, outputs: int) -> int:
    """Scratch of `reds_convolve_s8` for `taps` taps at a time, and the sums of all outputs."""
    return POSITIONS * (taps * halves(inputs) * HALF_BYTES + (outputs + outputs % 2) * SUM_BYTES)


def scratch_bytes(kernel: str, window: tuple[int, int], channels: int, stride: int) -> int:
    """What `<kernel>_get_buffer_size` returns in C for `channels` of `stride` inputs."""
    if kernel in (FULLY_CONNECTED, CONVOLVE_1X1_SMALL):
        positions = 1 if kernel == FULLY_CONNECTED else 2
        return positions * 2 * GROUP * groups(channels)
    taps = window[0] * window[1]
    segments, inputs = (1, taps * channels) if channels == stride else (taps, channels)
    patches = POSITIONS * segments * halves(inputs) * HALF_BYTES
    if kernel == CONVOLVE and channels == stride and channels % GROUP:
        return patches + taps * channels  # windows gathered as bytes
    return patches if kernel in PAIR_KERNELS else 0


def depthwise_scratch_bytes(outputs: tuple[int, int], stride: tuple[int, int]) -> int:
    """What `reds_depthwise_conv_3x3_s8_get_buffer_size` returns for an output (height, width).

    Three lines of int16 for each of two channels, along the axis whose lines take less time.
    """
    height, width = outputs
    transposed = _time_of_lines(width, height) < _time_of_lines(height, width)
    length, step = (height, stride[0]) if transposed else (width, stride[1])
    words = ((length - 1) * step + 4) // 2
    return 2 * 12 * (words + words % 2)


def _time_of_lines(lines: int, length: int) -> int:
    return lines * ((length + 1) // 2 + 2)
