"""Calls the C kernel of one QuantOp with buffers built from the op alone (no code generator)."""

import itertools
import struct

import numpy as np

from tflm_reds.channel_order import concatenation_runs
from tflm_reds.codegen.lower import output_table
from tflm_reds.codegen.packing import filter_stride, pack_pairs, segments_of
from tflm_reds.codegen.passes.select_kernels import (
    CONVOLVE_DIRECT,
    DEPTHWISE_3X3,
    is_depthwise_3x3,
    is_narrow,
)
from tflm_reds.element_wise import (
    TABLES,
    add_multipliers,
    lookup_table,
    prelu_multipliers,
    without_zero,
)
from tflm_reds.quantized import QuantizedNet, QuantOp, same_padding
from tflm_reds.quantized_tensor import QuantTensor
from tflm_reds.reference import mean_multiplier
from tflm_reds.softmax import softmax_exponentials

CANARY = 0x5A


class KernelCall:
    """One kernel call on `machine`: `run` returns the active output, or the error code.

    `lookup` is the table of a fused element-wise op, int8 [256]. With `below`, the output begins
    that many bytes below the (first) input and overlaps it; less than 0: above it. `room` is the
    share of a convolution's scratch, from the least to that of full speed. `kernel` is one of the
    smaller kernels of a convolution or a fully connected layer.
    """

    def __init__(
        self,
        machine,
        net: QuantizedNet,
        op: QuantOp,
        subnet: int,
        lookup: np.ndarray | None = None,
        below: int | None = None,
        room: float = 1.0,
        kernel: str = "",
    ) -> None:
        self.machine, self.net, self.op, self.subnet = machine, net, op, subnet
        self.lookup, self.below, self.room, self.smaller = lookup, below, room, kernel
        self.source, self.target = net.source(op), net.target(op)

    def run(self, *inputs: np.ndarray, count: bool = False) -> np.ndarray | int:
        """inputs: int8 [*active input shape]; with `count`, the number of instructions instead."""
        name, arguments = self.prepare(*inputs)
        if count:
            return self.machine.count_instructions(name, *arguments)
        status = self.machine.call(name, *arguments)
        assert status == 0, f"{name}: status {status}"
        return self._output(arguments[-1])

    def prepare(self, *inputs: np.ndarray) -> tuple[str, list[int]]:
        """Place all buffers; the kernel's name and arguments, the output's address last."""
        name, leading, middle = _BUILDERS[self.op.kind](self)
        tensors = [self.net.tensors[name] for name in self.op.inputs]
        dims = [self.dims_of(tensor) for tensor in tensors]
        arrays = [self.embed(*pair) for pair in zip(tensors, inputs, strict=True)]
        self.size = self.target.size
        output, places = self._output_and_inputs(arrays)
        if self.op.kind == "CONCATENATION":
            data = [self.ints(*itertools.chain(*dims)), self.pointers(*places)]
        else:
            data = [
                argument
                for pair in zip(dims, places, strict=True)
                for argument in (self.ints(*pair[0]), pair[1])
            ]
        return name, [*leading, *data, *middle, self.dims(self.target), output]

    def _output_and_inputs(self, arrays: list[np.ndarray]) -> tuple[int, list[int]]:
        """Addresses; without `below` each has a buffer of its own."""
        if self.below is None:
            places = [self.variable(array) for array in arrays]
            return self.variable(np.full(self.size, CANARY, np.uint8)), places
        first, *others = (array.astype(np.int8).tobytes() for array in arrays)
        above = max(-self.below, 0)
        shared = bytes([CANARY]) * (above + self.below) + first
        output = above + self.machine.place(shared.ljust(above + self.size, bytes([CANARY])))
        return output, [output + self.below, *map(self.machine.place, others)]

    def embed(self, tensor: QuantTensor, x: np.ndarray) -> np.ndarray:
        """The active values in a tensor of full stride, garbage in the inactive tail."""
        if tensor.positions > 1:
            x = channel_major(x, tensor.positions)
            return np.concatenate([x, np.full(tensor.size - x.size, 77, np.int8)])
        full = np.full(tensor.shape, 77, np.int8)
        full[..., : x.shape[-1]] = x
        return full

    def _output(self, address: int) -> np.ndarray:
        raw = np.frombuffer(self.machine.read(address, self.size), np.int8)
        active = self.target.active_shape(self.subnet)
        if self.target.positions > 1:
            self._check_tail(raw[active[0] :])
            return position_major(raw[: active[0]], self.target.positions)
        raw = raw.reshape(self.target.shape)
        self._check_tail(raw[..., active[-1] :])
        return raw[..., : active[-1]]

    def _check_tail(self, tail: np.ndarray) -> None:
        over_input = self.below is not None
        assert over_input or (tail == CANARY).all(), "the inactive tail was written"

    def variable(self, array: np.ndarray) -> int:
        return self.machine.place(array.tobytes())

    def bytes(self, array: np.ndarray) -> int:
        return self.machine.place(np.ascontiguousarray(array).tobytes(), constant=True)

    def ints(self, *values: int) -> int:
        return self.machine.place(struct.pack(f"<{len(values)}i", *values), constant=True)

    def linear_params(self, *values: int) -> int:
        """int32 fields, then the pointer to the table of a fused op."""
        table = 0 if self.lookup is None else self.bytes(self.lookup)
        fields = struct.pack(f"<{len(values)}i", *values)
        return self.machine.place(fields + struct.pack(f"<{self.machine.pointer}", table))

    def pointers(self, *values: int) -> int:
        data = struct.pack(f"<{len(values)}{self.machine.pointer}", *values)
        return self.machine.place(data, constant=True)

    def dims(self, tensor: QuantTensor) -> int:
        return self.ints(*self.dims_of(tensor))

    def dims_of(self, tensor: QuantTensor) -> tuple[int, int, int, int]:
        height, width = (1, 1, *tensor.shape)[-3:-1]
        active = tensor.channels[self.subnet] * tensor.positions
        return height, width, active, tensor.shape[-1]

    def factors(self, *pairs: tuple[int, int]) -> list[int]:
        """Fixed-point factors as the kernels take them."""
        return [part for pair in map(without_zero, pairs) for part in pair]

    def requantisation(self) -> int:
        table = output_table(self.net, self.op, self.subnet)
        return self.pointers(self.bytes(table.multiplier), self.bytes(table.shift))

    @property
    def kernel(self) -> str:
        """Of a convolution."""
        op = self.op
        if self.smaller:
            return self.smaller
        if op.kind != "CONV_2D":
            return ""
        if op.kernel_size == (1, 1) and op.stride == (1, 1):
            return "reds_convolve_1x1_s8"
        narrow = is_narrow(op.kernel_size, op.dilation, self.source.full_channels, self.is_cut)
        return "reds_convolve_narrow_s8" if narrow else "reds_convolve_s8"

    @property
    def is_cut(self) -> bool:
        return min(self.source.channels) < self.source.full_channels

    def filter_stride(self) -> int:
        """Inputs from tap to tap, as the kernel is told."""
        return filter_stride(self.op.kernel_size, self.source.full_channels, self.is_cut)

    def packed_weights(self) -> int:
        weights, full = self.op.weights, self.source.full_channels
        segments = segments_of(self.op.kernel_size, full, self.is_cut)
        return self.bytes(pack_pairs(weights.reshape(len(weights), *segments)))

    def bias(self) -> int:
        return self.bytes(self.op.biases[self.subnet])

    def scratch(self, name: str, *arguments: int) -> int:
        if name == CONVOLVE_DIRECT:
            return 0
        size = self.machine.call(f"{name}_get_buffer_size", *arguments)
        if self.room < 1:
            target = self.dims(self.target)
            least = self.machine.call(f"{name}_get_least_buffer_size", *arguments, target)
            assert least <= size
            size = least + int(self.room * (size - least))
        padded = -(-size // 4) * 4
        return self.pointers(self.variable(np.full(padded, CANARY, np.uint8)), size)

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
    params = call.linear_params(*offsets, *geometry, *call.net.activation_range(op))
    if op.kind == "DEPTHWISE_CONV_2D":
        return _depthwise(call, params)
    active = call.source.channels[call.subnet]
    filter_dims = call.ints(*op.kernel_size, active, call.filter_stride())
    name = call.kernel
    leading = [call.scratch(name, filter_dims), params, call.requantisation()]
    return name, leading, [filter_dims, call.packed_weights(), call.bias()]


def _depthwise(call: KernelCall, params: int):
    op, multiplier = call.op, call.target.full_channels // call.source.full_channels
    channels = (call.target.channels[call.subnet], call.target.full_channels)
    filter_dims = call.ints(*op.kernel_size, *channels)
    name, context, weights = "reds_depthwise_conv_s8", 0, op.weights
    if is_depthwise_3x3(op.kernel_size, op.stride, op.dilation, multiplier):
        name, weights = DEPTHWISE_3X3, op.weights.reshape(9, -1).T
        context = call.scratch(name, params, call.dims(call.target))
    leading = [context, params, call.requantisation()]
    return name, leading, [filter_dims, call.bytes(weights), call.bias()]


def _fully_connected(call: KernelCall):
    offsets = (-call.source.zero_point, call.target.zero_point)
    geometry = (1, 1, 0, 0, 1, 1) if call.smaller else ()
    params = call.linear_params(*offsets, *geometry, *call.net.activation_range(call.op))
    length = call.source.channels[call.subnet] * call.source.positions
    filter_dims = call.ints(1, 1, length, call.source.shape[-1])
    name = call.smaller or "reds_fully_connected_s8"
    leading = [call.scratch(name, filter_dims), params, call.requantisation()]
    weights = call.op.weights.reshape(len(call.op.weights), 1, -1)
    return name, leading, [filter_dims, call.bytes(pack_pairs(weights)), call.bias()]


def _pool(call: KernelCall):
    op = call.op
    params = call.ints(*op.stride, *call.padding(), *call.net.activation_range(op))
    name = "reds_max_pool_s8" if op.kind == "MAX_POOL_2D" else "reds_average_pool_s8"
    return name, [params], [call.ints(*op.window, 0, 0)]


def _mean(call: KernelCall):
    multiplier, shift = mean_multiplier(call.net, call.op)
    offsets = (-call.source.zero_point, call.target.zero_point)
    return "reds_mean_s8", [call.ints(*offsets, multiplier, shift)], []


def _lookup(call: KernelCall):
    return "reds_lookup_s8", [call.bytes(lookup_table(call.net, call.op))], []


def _add(call: KernelCall):
    factors = add_multipliers(call.net, call.op)
    zero_points = [call.net.tensors[name].zero_point for name in call.op.inputs]
    offsets = (-zero_points[0], -zero_points[1], call.target.zero_point)
    scaling = call.factors(*factors.inputs, factors.output)
    params = call.ints(*offsets, *scaling, *call.net.activation_range(call.op))
    return "reds_add_s8", [params], []


def _prelu(call: KernelCall):
    factors = prelu_multipliers(call.net, call.op)
    offsets = (-call.source.zero_point, call.target.zero_point)
    params = call.ints(*offsets, *call.factors(factors.identity, factors.slope))
    height, width, channels = call.op.weights.shape
    dims = call.ints(height, width, call.source.channels[call.subnet], channels)
    return "reds_prelu_s8", [params], [dims, call.bytes(call.op.weights)]


def _concatenate(call: KernelCall):
    """Of a net of sorted channels."""
    widths = [call.net.tensors[name].channels for name in call.op.inputs]
    runs = [run for run in concatenation_runs(widths) if run.subnet <= call.subnet]
    table = call.ints(*(value for r in runs for value in (r.input, r.first, r.channels)))
    # A struct of a pointer and two int32.
    counts = struct.pack("<2i", len(runs), len(widths))
    params = call.machine.place(struct.pack(f"<{call.machine.pointer}", table) + counts, True)
    return "reds_concatenate_s8", [params], []


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
    **dict.fromkeys(TABLES, _lookup),
    "ADD": _add,
    "PRELU": _prelu,
    "CONCATENATION": _concatenate,
    "SOFTMAX": _softmax,
    "PAD": _pad,
    "RESHAPE": _flatten,
}
