"""QuantizedNet: the int8 network as TFLM's op list, one weight set, a small table per subnet.

Numpy only. `QuantizedNet.run` is the reference that every other implementation must equal.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path

import numpy as np

from tflm_reds.errors import DataError
from tflm_reds.fixed_point import quantize_multipliers, round_half_away
from tflm_reds.quantized_tensor import QuantTensor, keep_parts

LINEAR_KINDS = ("CONV_2D", "DEPTHWISE_CONV_2D", "FULLY_CONNECTED")
"""Ops that multiply and accumulate; each has biases and scales of every subnet."""

LARGEST_BIAS = 2**28
"""Of a bias as `quantize` makes it, so that there is room for the sum."""


@dataclass(frozen=True)
class QuantOp:
    """One TFLM op.

    Attributes:
        kind: TFLM's builtin name: CONV_2D, DEPTHWISE_CONV_2D, FULLY_CONNECTED, MAX_POOL_2D,
            AVERAGE_POOL_2D, MEAN (over height and width), LEAKY_RELU, PRELU, HARD_SWISH, RELU,
            RELU6, SOFTMAX, PAD, RESHAPE, ADD (of two tensors), CONCATENATION (of the channels).
        name: unique in the net, from the Keras layer.
        inputs: names of the activation tensors read: one, but for ADD and CONCATENATION.
        output: name of the activation tensor written.
        activation: fused clamp, "none", "relu" or "relu6".
        stride, dilation, window: (height, width); `window` is the pooling window.
        padding: "SAME" or "VALID".
        pads: PAD only: (top, bottom, left, right).
        alpha: LEAKY_RELU's slope; the scale of PRELU's slopes.
        weights: int8 in [-127, 127], full: CONV_2D [out, kh, kw, in]; DEPTHWISE_CONV_2D
            [kh, kw, out] (out = channels * depth multiplier, those of one channel together);
            FULLY_CONNECTED [out, in_channels, positions] (channel-major, so that a prefix of the
            channels is a prefix of each row); PRELU's slopes [height or 1, width or 1, channels],
            [positions, 1, channels] for a flattened tensor.
        scales: per subnet, the float32 effective weight scale of each active output channel
            (kernel scale x batch-norm scale).
        biases: per subnet, int32 for each active output channel, in units of
            input scale x weight scale. The input zero point is not folded in, as in TFLM.
    """

    kind: str
    name: str
    inputs: tuple[str, ...]
    output: str
    activation: str = "none"
    stride: tuple[int, int] = (1, 1)
    dilation: tuple[int, int] = (1, 1)
    window: tuple[int, int] = (1, 1)
    padding: str = "VALID"
    pads: tuple[int, int, int, int] = (0, 0, 0, 0)
    alpha: float = 0.0
    weights: np.ndarray | None = field(default=None, compare=False)
    scales: tuple[np.ndarray, ...] = field(default=(), compare=False)
    biases: tuple[np.ndarray, ...] = field(default=(), compare=False)

    @property
    def is_linear(self) -> bool:
        """Whether this op multiplies and accumulates."""
        return self.kind in LINEAR_KINDS

    @property
    def kernel_size(self) -> tuple[int, int]:
        """(height, width) of a convolution's kernel."""
        assert self.weights is not None
        return self.weights.shape[1:3] if self.kind == "CONV_2D" else self.weights.shape[:2]


@dataclass(frozen=True)
class QuantizedNet:
    """The nested int8 network; subnets are numbered 0 (smallest) to K-1 (full network).

    Attributes:
        name: a C identifier.
        tensors: by name, in order of definition; the first is the input.
        ops: in execution order; the last one writes the output.
        budgets: fraction of the full network's true MACs of each subnet, the last is 1.0.
        labels: class names, may be empty.
    """

    name: str
    tensors: Mapping[str, QuantTensor]
    ops: tuple[QuantOp, ...]
    budgets: tuple[float, ...]
    labels: tuple[str, ...] = ()

    @property
    def subnet_count(self) -> int:
        """K, the full network included."""
        return len(self.budgets)

    @property
    def input(self) -> QuantTensor:
        """The model's input tensor; never cut."""
        return next(iter(self.tensors.values()))

    @property
    def output(self) -> QuantTensor:
        """The model's output tensor; never cut."""
        return self.tensors[self.ops[-1].output]

    @cached_property
    def weight_bytes(self) -> int:
        """Bytes of the one int8 weight set."""
        return sum(op.weights.size for op in self.ops if op.weights is not None)

    def source(self, op: QuantOp) -> QuantTensor:
        """The (first) tensor that `op` reads."""
        return self.tensors[op.inputs[0]]

    def target(self, op: QuantOp) -> QuantTensor:
        """The tensor that `op` writes."""
        return self.tensors[op.output]

    def requantisation(self, op: QuantOp, subnet: int) -> tuple[np.ndarray, np.ndarray]:
        """(multiplier, shift), int32 per active output channel, in double from float32 scales."""
        product = np.float64(np.float32(self.source(op).scale)) * op.scales[subnet].astype(float)
        return quantize_multipliers(product / np.float64(np.float32(self.target(op).scale)))

    def activation_range(self, op: QuantOp) -> tuple[int, int]:
        """(lowest, highest) int8 value that the fused activation of `op` lets through."""
        return activation_range(op.activation, self.target(op))

    def macs(self, subnet: int) -> int:
        """True multiply-accumulates of one inference of `subnet` (padding taps counted)."""
        return sum(self.op_macs(op, subnet) for op in self.ops)

    def op_macs(self, op: QuantOp, subnet: int) -> int:
        """Multiply-accumulates of `op` in `subnet`; 0 for ops that are not linear."""
        if not op.is_linear:
            return 0
        weights = active_weights(self, op, subnet)
        if op.kind == "FULLY_CONNECTED":
            return weights.size
        height, width, _ = self.target(op).shape
        return height * width * weights.size

    def depth_multiplier(self, op: QuantOp) -> int:
        """Output channels that a DEPTHWISE_CONV_2D makes of each input channel."""
        return self.target(op).full_channels // self.source(op).full_channels

    def quantize_input(self, x: np.ndarray) -> np.ndarray:
        """Float input [n, *input.shape] to int8, as the TFLM host API does."""
        self._check_input(x)
        scaled = round_half_away(np.asarray(x, np.float32) / np.float32(self.input.scale))
        return np.clip(scaled + self.input.zero_point, -128, 127).astype(np.int8)

    def dequantize_output(self, y: np.ndarray) -> np.ndarray:
        """int8 output [n, classes] to float32."""
        return (y.astype(np.float32) - self.output.zero_point) * np.float32(self.output.scale)

    def run(self, x: np.ndarray, subnet: int, batch: int = 128) -> np.ndarray:
        """Run `subnet` on int8 `x` [n, *input.shape]; return int8 [n, *output.shape].

        Raises:
            DataError: if `x` has another shape or dtype, or `subnet` is out of range.
        """
        self._check_run(x, subnet)
        chunks = [
            self.trace(x[start : start + batch], subnet)[self.output.name]
            for start in range(0, len(x), batch)
        ]
        return np.concatenate(chunks) if chunks else np.empty((0, *self.output.shape), np.int8)

    def trace(self, x: np.ndarray, subnet: int) -> dict[str, np.ndarray]:
        """Like `run`, but return every activation tensor by name, in its active shape."""
        from tflm_reds.reference import run_op

        self._check_run(x, subnet)
        values = {self.input.name: x}
        for op in self.ops:
            values[op.output] = run_op(self, op, subnet, [values[name] for name in op.inputs])
        return values

    def slice(self, subnet: int) -> "QuantizedNet":
        """The stand-alone network of one subnet: the same integers, nothing shared."""
        return self.keep((subnet,))

    def keep(self, subnets: Sequence[int]) -> "QuantizedNet":
        """The network of some subnets, ascending, cut to the widths of the largest of them."""
        subnets = tuple(subnets)
        return replace(
            self,
            tensors={name: _keep_tensor(t, subnets) for name, t in self.tensors.items()},
            ops=tuple(self._keep_op(op, subnets) for op in self.ops),
            budgets=tuple(self.budgets[k] for k in subnets),
        )

    def _keep_op(self, op: QuantOp, subnets: tuple[int, ...]) -> QuantOp:
        if op.weights is None:
            return op
        weights = active_weights(self, op, subnets[-1])
        if not op.is_linear:
            return replace(op, weights=weights)
        scales = tuple(op.scales[k] for k in subnets)
        return replace(
            op, weights=weights, scales=scales, biases=tuple(op.biases[k] for k in subnets)
        )

    def _check_input(self, x: np.ndarray) -> None:
        if x.shape[1:] != self.input.shape:
            raise DataError(
                f"Input of {self.name} must have shape (n, {_commas(self.input.shape)}), "
                f"got ({_commas(x.shape)}). Reshape the data to match the Keras model's input."
            )

    def _check_run(self, x: np.ndarray, subnet: int) -> None:
        self._check_input(x)
        if x.dtype != np.int8:
            raise DataError(f"run() takes int8, got {x.dtype}. Call quantize_input() first.")
        if not 0 <= subnet < self.subnet_count:
            raise DataError(
                f"Subnet {subnet} does not exist: {self.name} has 0..{self.subnet_count - 1}."
            )

    def save(self, path: str | Path) -> Path:
        """Write one `.npz` file; the same net gives the same bytes."""
        from tflm_reds.quantized_file import save_net

        return save_net(self, path)

    @classmethod
    def load(cls, path: str | Path) -> "QuantizedNet":
        """Read a file written by `save`.

        Raises:
            ModelError: if the file is missing or corrupt.
        """
        from tflm_reds.quantized_file import load_net

        return load_net(path)


def activation_range(activation: str, tensor: QuantTensor) -> tuple[int, int]:
    """Clamp of a fused activation on `tensor` (TFLM's CalculateActivationRangeQuantized)."""
    if activation == "none":
        return -128, 127
    low = max(-128, tensor.zero_point)
    if activation == "relu":
        return low, 127
    six = tensor.zero_point + int(round_half_away(np.float32(6.0) / np.float32(tensor.scale)))
    return low, min(127, six)


def active_weights(net: QuantizedNet, op: QuantOp, subnet: int) -> np.ndarray:
    """The slice of `op.weights` that `subnet` uses, in the layout of `op.weights`."""
    weights, source, target = op.weights, net.source(op), net.target(op)
    assert weights is not None
    if op.kind in ("DEPTHWISE_CONV_2D", "PRELU"):
        return target.take(weights, subnet, axis=2)
    rows = target.take(weights, subnet, axis=0)
    return source.take(rows, subnet, axis=3 if op.kind == "CONV_2D" else 1)


def same_padding(size: int, kernel: int, stride: int, dilation: int = 1) -> tuple[int, int]:
    """(before, after) of TensorFlow's SAME padding along one axis."""
    outputs = -(-size // stride)
    total = max((outputs - 1) * stride + (kernel - 1) * dilation + 1 - size, 0)
    return total // 2, total - total // 2


def _keep_tensor(tensor: QuantTensor, subnets: tuple[int, ...]) -> QuantTensor:
    return replace(
        tensor,
        shape=tensor.active_shape(subnets[-1]),
        channels=tuple(tensor.channels[k] for k in subnets),
        parts=keep_parts(tensor.parts, subnets),
    )


def _commas(shape: tuple[int, ...]) -> str:
    return ", ".join(map(str, shape))
