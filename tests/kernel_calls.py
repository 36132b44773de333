"""Calls the C kernel of one QuantOp with buffers built from the op alone (no code generator)."""

import struct

import numpy as np

from tflm_reds.codegen.lower import output_table
from tflm_reds.quantized import QuantizedNet, QuantOp, QuantTensor, same_padding
from tflm_reds.reference import leaky_relu_table, mean_multiplier, relu_table
from tflm_reds.softmax import softmax_exponentials

CANARY = 0x5A


class KernelCall:
    """One kernel call on `machine`: `run` returns the active output, or the error code."""

    def __init__(self, machine, net: QuantizedNet, op: QuantOp, subnet: int) -> None:
        self.machine, self.net, self.op, self.subnet = machine, net, op, subnet
        self.source, self.target = net.source(op), net.target(op)

    def run(self, x: np.ndarray, count: bool = False) -> np.ndarray | int:
        """x: int8 [*active input shape]; with `count`, the number of instructions instead."""
        name, arguments = self._arguments(x)
        if count:
            return self.machine.count_instructions(name, *arguments)
        status = self.machine.call(name, *arguments)
        assert status == 0, f"{name}: status {status}"
        return self._output(arguments[-1])

    def _arguments(self, x: np.ndarray) -> tuple[str, list[int]]:
        name, leading, middle = _BUILDERS[self.op.kind](self)
        data = [self.dims(self.source), self.bytes(self.embed(x))]
        self.size = self.target.size
        output = self.bytes(np.full(self.size, CANARY, np.uint8))
        return name, [*leading, *data, *middle, self.dims(self.target), output]

    def embed(self, x: np.ndarray) -> np.ndarray:
        """The active values in a tensor of full stride, garbage in the inactive tail."""
        if self.source.positions > 1:
            x = channel_major(x, self.source.positions)
            return np.concatenate([x, np.full(self.source.size - x.size, 77, np.int8)])
        full = np.full(self.source.shape, 77, np.int8)
        full[..., : x.shape[-1]] = x
        return full

    def _output(self, address: int) -> np.ndarray:
        raw = np.frombuffer(self.machine.read(address, self.size), np.int8)
        active = self.target.active_shape(self.subnet)
        if self.target.positions > 1:
            assert (raw[active[0] :] == CANARY).all(), "the inactive tail was written"
            return position_major(raw[: active[0]], self.target.positions)
        raw = raw.reshape(self.target.shape)
        assert (raw[..., active[-1] :] == CANARY).all(), "the inactive tail was written"
        return raw[..., : active[-1]]

    def bytes(self, array: np.ndarray) -> int:
        return self.machine.place(np.ascontiguousarray(array).tobytes())

    def ints(self, *values: int) -> int:
        return self.machine.place(struct.pack(f"<{len(values)}i", *values))

    def pointers(self, *values: int) -> int:
        return self.machine.place(struct.pack(f"<{len(values)}{self.machine.pointer}", *values))

    def dims(self, tensor: QuantTensor) -> int:
        height, width = (1, 1, *tensor.shape)[-3:-1]
        active = tensor.channels[self.subnet] * tensor.positions
        return self.ints(height, width, active, tensor.shape[-1])

    def requantisation(self) -> int:
        table = output_table(self.net, self.op, self.subnet)
        return self.pointers(self.bytes(table.multiplier), self.bytes(table.shift))

    def bias(self) -> int:
        return self.bytes(self.op.biases[self.subnet])

    def scratch(self, name: str, filter_dims: int) -> int:
        size = self.machine.call(f"{name}_get_buffer_size", filter_dims)
        padded = -(-size // 4) * 4
        return self.pointers(self.bytes(np.full(padded, CANARY, np.uint8)), size)

    def padding(self) -> tuple[int, int]:
        """(top, left) of a window op."""
        if self.op.padding == "VALID":
            return 0, 0
        kernel = self.op.window if self.op.weights is None else self.op.kernel_size
        sizes = zip(self.source.shape[:2], kernel, self.op.stride, self.op.dilation, strict=True)
        top, left = (same_padding(*size)[0] for size in sizes)
        return top, left


def channel_major(x: np.ndarray, positions: int) -> np.ndarray:
    """TFLM's flattened order [positions, channels] to [channels, positions]."""
    return x.reshape(positions, -1).T.reshape(-1)


def position_major(x: np.ndarray, positions: int) -> np.ndarray:
    return x.reshape(-1, positions).T.reshape(-1)


def _convolution(call: KernelCall):
    op = call.op
    offsets = (-call.source.zero_point, call.target.zero_point)
    geometry = (*op.stride, *call.padding(), *op.dilation)
    params = call.ints(*offsets, *geometry, *call.net.activation_range(op))
    channels = call.source.channels[call.subnet]
    filter_dims = call.ints(*op.kernel_size, channels, call.source.full_channels)
    if op.kind == "DEPTHWISE_CONV_2D":
        name, context = "reds_depthwise_conv_s8", 0
    else:
        pointwise = op.kernel_size == (1, 1) and op.stride == (1, 1)
        name = "reds_convolve_1x1_s8" if pointwise else "reds_convolve_s8"
        context = call.scratch(name, filter_dims)
    leading = [context, params, call.requantisation()]
    return name, leading, [filter_dims, call.bytes(op.weights), call.bias()]


def _fully_connected(call: KernelCall):
    offsets = (-call.source.zero_point, call.target.zero_point)
    params = call.ints(*offsets, *call.net.activation_range(call.op))
    length = call.source.channels[call.subnet] * call.source.positions
    filter_dims = call.ints(1, 1, length, call.source.shape[-1])
    name = "reds_fully_connected_s8"
    leading = [call.scratch(name, filter_dims), params, call.requantisation()]
    return name, leading, [filter_dims, call.bytes(call.op.weights), call.bias()]


def _pool(call: KernelCall):
    op = call.op
    params = call.ints(*op.stride, *call.padding(), *call.net.activation_range(op))
    name = "reds_max_pool_s8" if op.kind == "MAX_POOL_2D" else "reds_average_pool_s8"
    return name, [params], [call.ints(*op.window, 0, 0)]


def _mean(call: KernelCall):
    multiplier, shift = mean_multiplier(call.net, call.op)
    offsets = (-call.source.zero_point, call.target.zero_point)
    return "reds_mean_s8", [call.ints(*offsets, multiplier, shift)], []


def _leaky_relu(call: KernelCall):
    return "reds_lookup_s8", [call.bytes(leaky_relu_table(call.net, call.op))], []


def _relu(call: KernelCall):
    return "reds_lookup_s8", [call.bytes(relu_table(call.net, call.op))], []


def _softmax(call: KernelCall):
    return "reds_softmax_s8", [call.bytes(softmax_exponentials(call.source.scale))], []


def _pad(call: KernelCall):
    top, _, left, _ = call.op.pads
    return "reds_pad_s8", [call.ints(top, left, call.target.zero_point)], []


def _flatten(call: KernelCall):
    return "reds_flatten_s8", [], []


_BUILDERS = {
    "CONV_2D": _convolution,
    "DEPTHWISE_CONV_2D": _convolution,
    "FULLY_CONNECTED": _fully_connected,
    "MAX_POOL_2D": _pool,
    "AVERAGE_POOL_2D": _pool,
    "MEAN": _mean,
    "LEAKY_RELU": _leaky_relu,
    "RELU": _relu,
    "RELU6": _relu,
    "SOFTMAX": _softmax,
    "PAD": _pad,
    "RESHAPE": _flatten,
}
