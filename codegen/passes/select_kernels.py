"""Choose the C kernel of each op and list the sizes of scratch memory that it can work with."""

from dataclasses import replace

from tflm_reds.codegen.program import Op, Program

_KERNELS = {
    "DEPTHWISE_CONV_2D": "reds_depthwise_conv_s8",
    "FULLY_CONNECTED": "reds_fully_connected_s8",
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


def select_kernels(program: Program) -> Program:
    """Set `kernel` and `scratch_candidates` of each op."""
    return replace(program, ops=tuple(_select(program, op) for op in program.ops))


def _select(program: Program, op: Op) -> Op:
    kernel = _KERNELS[op.kind] if op.kind != "CONV_2D" else _convolution(op)
    op = replace(op, kernel=kernel)
    return replace(op, scratch_candidates=scratch_candidates(program, op))


def scratch_candidates(program: Program, op: Op) -> tuple[int, ...]:
    """Bytes of scratch that the kernel of `op` takes in every subnet, largest (fastest) first.

    Empty where it needs none. `plan_arena` chooses; the kernel is told what it got.
    """
    source = program.edges[op.source]
    size = max(scratch_bytes(op.kernel, op.window, c, source.stride) for c in source.channels)
    return (size,) if size else ()


def _convolution(op: Op) -> str:
    pointwise = op.window == op.stride == (1, 1) and op.padding == (0, 0)
    return "reds_convolve_1x1_s8" if pointwise else "reds_convolve_s8"


def scratch_bytes(kernel: str, window: tuple[int, int], channels: int, stride: int) -> int:
    """What `<kernel>_get_buffer_size` returns in C for `channels` of `stride` inputs."""
    taps = window[0] * window[1]
    segments, length = (1, taps * channels) if channels == stride else (taps, channels)
    groups = segments * -(-length // 4)
    if kernel == "reds_convolve_s8":
        return 16 * groups + taps * channels
    if kernel == "reds_convolve_1x1_s8":
        return 16 * groups
    return 8 * groups if kernel == "reds_fully_connected_s8" else 0
