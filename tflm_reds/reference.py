"""Numpy kernels of the TFLM op list, bit-exact with TFLM's int8 reference kernels.

Each kernel takes (net, op, subnet, *inputs) with int8 inputs [n, *active shape] and returns the
int8 output [n, *active shape].
"""

from collections.abc import Callable, Sequence

import numpy as np

from tflm_reds.channel_order import concatenation_runs
from tflm_reds.element_wise import (
    ADD_LEFT_SHIFT,
    TABLES,
    add_multipliers,
    lookup_table,
    prelu_multipliers,
)
from tflm_reds.fixed_point import (
    multiply_by_quantized_multiplier,
    quantize_multiplier,
)
from tflm_reds.quantized import QuantizedNet, QuantOp, active_weights, same_padding
from tflm_reds.quantized_tensor import QuantTensor
from tflm_reds.softmax import softmax_int8


def run_op(net: QuantizedNet, op: QuantOp, subnet: int, inputs: Sequence[np.ndarray]) -> np.ndarray:
    """Run one op of `subnet`."""
    return _KERNELS[op.kind](net, op, subnet, *inputs)


def mean_multiplier(net: QuantizedNet, op: QuantOp) -> tuple[int, int]:
    """(multiplier, shift) of MEAN, the division by the number of positions folded in."""
    source, target = net.source(op), net.target(op)
    ratio = float(np.float32(source.scale)) / float(np.float32(target.scale))
    multiplier, shift = quantize_multiplier(ratio)
    count = int(np.prod(source.shape[:2]))
    extra = min(count.bit_length() - 1, 32, 31 + shift)
    return (multiplier << extra) // count, shift - extra


def _convolution(net: QuantizedNet, op: QuantOp, subnet: int, x: np.ndarray) -> np.ndarray:
    weights = active_weights(net, op, subnet)
    windows = _windows(net, op, x, op.kernel_size)
    columns = windows.reshape(*windows.shape[:3], -1)
    # float64 holds every int32 accumulator exactly and runs at BLAS speed.
    accumulators = columns @ weights.reshape(len(weights), -1).T.astype(np.float64)
    return _requantize(net, op, subnet, accumulators)


def _depthwise(net: QuantizedNet, op: QuantOp, subnet: int, x: np.ndarray) -> np.ndarray:
    weights = active_weights(net, op, subnet)
    # Every input channel makes as many output channels as the depth multiplier says.
    repeated = x.repeat(weights.shape[2] // x.shape[-1], axis=-1)
    windows = _windows(net, op, repeated, op.kernel_size)
    accumulators = np.einsum("nhwklc,klc->nhwc", windows, weights.astype(np.float64))
    return _requantize(net, op, subnet, accumulators)


def _fully_connected(net: QuantizedNet, op: QuantOp, subnet: int, x: np.ndarray) -> np.ndarray:
    weights = active_weights(net, op, subnet)
    positions = net.source(op).positions
    centred = x.astype(np.float64) - net.source(op).zero_point
    rows = centred.reshape(len(x), positions, -1).transpose(0, 2, 1).reshape(len(x), -1)
    return _requantize(net, op, subnet, rows @ weights.reshape(len(weights), -1).T)


def _max_pool(net: QuantizedNet, op: QuantOp, subnet: int, x: np.ndarray) -> np.ndarray:
    del subnet
    # Padding never wins: -128 is the least int8.
    windows = _windows(net, op, x, op.window, fill=-128, centre=False)
    low, high = net.activation_range(op)
    return np.clip(windows.max(axis=(3, 4)), low, high).astype(np.int8)


def _average_pool(net: QuantizedNet, op: QuantOp, subnet: int, x: np.ndarray) -> np.ndarray:
    del subnet
    sums = _windows(net, op, x, op.window, fill=0, centre=False).sum(axis=(3, 4))
    counts = _windows(net, op, np.ones_like(x[:1]), op.window, fill=0, centre=False)
    counts = counts.sum(axis=(3, 4))
    rounded = np.where(sums > 0, sums + counts // 2, sums - counts // 2)
    quotients = np.trunc(rounded / counts).astype(np.int64)
    low, high = net.activation_range(op)
    return np.clip(quotients, low, high).astype(np.int8)


def _mean(net: QuantizedNet, op: QuantOp, subnet: int, x: np.ndarray) -> np.ndarray:
    del subnet
    sums = (x.astype(np.int64) - net.source(op).zero_point).sum(axis=(1, 2))
    scaled = multiply_by_quantized_multiplier(sums, *mean_multiplier(net, op))
    return np.clip(scaled + net.target(op).zero_point, -128, 127).astype(np.int8)


def _look_up(net: QuantizedNet, op: QuantOp, subnet: int, x: np.ndarray) -> np.ndarray:
    del subnet
    return lookup_table(net, op)[x.astype(np.int64) + 128]


def _prelu(net: QuantizedNet, op: QuantOp, subnet: int, x: np.ndarray) -> np.ndarray:
    slopes = active_weights(net, op, subnet).astype(np.int64)
    factors = prelu_multipliers(net, op)
    shape = x.shape if x.ndim == 4 else (len(x), len(slopes), 1, slopes.shape[2])
    values = x.astype(np.int64).reshape(shape) - net.source(op).zero_point
    scaled = np.where(
        values >= 0,
        multiply_by_quantized_multiplier(values, *factors.identity),
        multiply_by_quantized_multiplier(values * slopes, *factors.slope),
    )
    outputs = np.clip(scaled + net.target(op).zero_point, -128, 127)
    return outputs.reshape(x.shape).astype(np.int8)


def _add(net: QuantizedNet, op: QuantOp, subnet: int, *inputs: np.ndarray) -> np.ndarray:
    del subnet
    factors = add_multipliers(net, op)
    total = np.int64(0)
    for name, x, factor in zip(op.inputs, inputs, factors.inputs, strict=True):
        values = (x.astype(np.int64) - net.tensors[name].zero_point) << ADD_LEFT_SHIFT
        total = total + multiply_by_quantized_multiplier(values, *factor)
    scaled = multiply_by_quantized_multiplier(total, *factors.output)
    low, high = net.activation_range(op)
    return np.clip(scaled + net.target(op).zero_point, low, high).astype(np.int8)


def _concatenate(net: QuantizedNet, op: QuantOp, subnet: int, *inputs: np.ndarray) -> np.ndarray:
    tensors = [net.tensors[name] for name in op.inputs]
    if net.target(op).parts or not any(tensor.is_cut for tensor in tensors):
        return np.concatenate(inputs, axis=-1)
    # A net of sorted channels: see channel_order.
    rows = [_in_memory_order(t, x) for t, x in zip(tensors, inputs, strict=True)]
    widths = [[n * tensor.positions for n in tensor.channels] for tensor in tensors]
    runs = [run for run in concatenation_runs(widths) if run.subnet <= subnet]
    return np.concatenate(
        [rows[run.input][..., run.first : run.first + run.channels] for run in runs], axis=-1
    )


def _in_memory_order(tensor: QuantTensor, x: np.ndarray) -> np.ndarray:
    """A flattened tensor [n, features] channel by channel where it is cut."""
    if tensor.positions == 1 or not tensor.is_cut:
        return x
    return x.reshape(len(x), tensor.positions, -1).transpose(0, 2, 1).reshape(len(x), -1)


def _softmax(net: QuantizedNet, op: QuantOp, subnet: int, x: np.ndarray) -> np.ndarray:
    del subnet
    return softmax_int8(x, net.source(op).scale)


def _pad(net: QuantizedNet, op: QuantOp, subnet: int, x: np.ndarray) -> np.ndarray:
    del subnet
    top, bottom, left, right = op.pads
    widths = ((0, 0), (top, bottom), (left, right), (0, 0))
    return np.pad(x, widths, constant_values=net.target(op).zero_point)


def _reshape(net: QuantizedNet, op: QuantOp, subnet: int, x: np.ndarray) -> np.ndarray:
    return x.reshape(len(x), *net.target(op).active_shape(subnet))


def _windows(
    net: QuantizedNet,
    op: QuantOp,
    x: np.ndarray,
    kernel: tuple[int, int],
    fill: int = 0,
    centre: bool = True,
) -> np.ndarray:
    """Sliding windows [n, out_h, out_w, kh, kw, c]; `centre` subtracts the zero point first."""
    values = x.astype(np.float64) - net.source(op).zero_point if centre else x.astype(np.int64)
    sizes = zip(x.shape[1:3], kernel, op.stride, op.dilation, strict=True)
    pads = [same_padding(*size) if op.padding == "SAME" else (0, 0) for size in sizes]
    values = np.pad(values, ((0, 0), *pads, (0, 0)), constant_values=fill)
    spans = [(k - 1) * d + 1 for k, d in zip(kernel, op.dilation, strict=True)]
    windows = np.lib.stride_tricks.sliding_window_view(values, spans, axis=(1, 2))
    windows = windows[:, :: op.stride[0], :: op.stride[1], :, :: op.dilation[0], :: op.dilation[1]]
    return windows.transpose(0, 1, 2, 4, 5, 3)


def _requantize(
    net: QuantizedNet, op: QuantOp, subnet: int, accumulators: np.ndarray
) -> np.ndarray:
    multiplier, shift = net.requantisation(op, subnet)
    sums = accumulators.astype(np.int64) + op.biases[subnet]
    scaled = multiply_by_quantized_multiplier(sums, multiplier, shift)
    low, high = net.activation_range(op)
    return np.clip(scaled + net.target(op).zero_point, low, high).astype(np.int8)


_Kernel = Callable[..., np.ndarray]
_KERNELS: dict[str, _Kernel] = {
    "CONV_2D": _convolution,
    "DEPTHWISE_CONV_2D": _depthwise,
    "FULLY_CONNECTED": _fully_connected,
    "MAX_POOL_2D": _max_pool,
    "AVERAGE_POOL_2D": _average_pool,
    "MEAN": _mean,
    "PRELU": _prelu,
    "ADD": _add,
    "CONCATENATION": _concatenate,
    "SOFTMAX": _softmax,
    "PAD": _pad,
    "RESHAPE": _reshape,
} | dict.fromkeys(TABLES, _look_up)
