"""The layers of which `kernels` measures prefixes: all widths from one full layer's weights."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np
from random_nets import NetBuilder

from tflm_reds.quantized import QuantizedNet

SPEECH, SPEECH_MAP, CHANNELS = (49, 10, 1), (25, 5, 64), 64
ZERO_POINT = -128  # of ReLU's outputs, as TensorFlow Lite quantises them


@dataclass(frozen=True)
class Layer:
    """One full layer and the widths at which it is measured.

    Attributes:
        kernel: what its rows and `cmsis_nn` call it.
        shape: of the full input.
        append: adds the op to a builder.
        widths: the channels that the subnets keep: of the outputs if the input is never cut, else
            of the inputs.
        cut: which sides have these widths: "both", "inputs", "outputs" or "none".
    """

    kernel: str
    shape: tuple[int, ...]
    append: Callable[[NetBuilder], NetBuilder]
    widths: tuple[int, ...]
    cut: str = "both"

    def subnets(self, widths: Sequence[int]) -> list[int]:
        """`widths` in ascending order, and the full one last."""
        return sorted({*widths, max(self.widths)})

    def at(self, widths: Sequence[int]) -> QuantizedNet:
        """The layer with a subnet of each of `subnets(widths)`."""
        subnets = self.subnets(widths)
        builder = _Builder(self.shape, len(subnets), outputs=self._cut("outputs", subnets))
        channels = self._cut("inputs", subnets) or (self.shape[-1],) * len(subnets)
        first = builder.tensors[0]
        builder.tensors[0] = replace(first, channels=channels, zero_point=ZERO_POINT)
        self.append(builder)
        if getattr(builder.ops[-1], "activation", "none") == "relu":
            builder.tensors[-1] = replace(builder.tensors[-1], zero_point=ZERO_POINT)
        return builder.build(self.kernel)

    def _cut(self, side: str, subnets: Sequence[int]) -> tuple[int, ...]:
        return tuple(subnets) if self.cut in ("both", side) else ()


class _Builder(NetBuilder):
    """Appends layers with given instead of random widths."""

    def __init__(self, shape: tuple[int, ...], subnets: int, outputs: tuple[int, ...]) -> None:
        self._outputs = outputs
        super().__init__(shape, subnets)

    def widths(self, full: int, cut: bool = True) -> tuple[int, ...]:
        """The given widths, or the full one."""
        return self._outputs or (full,) * self.subnets


def _convolution(filters: int, kernel: tuple[int, int], stride=(1, 1), padding="SAME"):
    return lambda builder: builder.convolution(filters, kernel, stride=stride, padding=padding)


def _depthwise(stride=(1, 1)):
    return lambda builder: builder.depthwise((3, 3), stride=stride, padding="SAME")


def _dense(units: int, activation: str = "relu"):
    return lambda builder: builder.dense(units, activation, cut=True)


QUARTERS = (16, 32, 48, 64)
ALL_WIDTHS = tuple(range(16, 65))
LAYERS = (
    Layer("pointwise 64-64", SPEECH_MAP, _convolution(64, (1, 1)), ALL_WIDTHS),
    Layer("depthwise 3x3", SPEECH_MAP, _depthwise(), ALL_WIDTHS),
    Layer(
        "convolution 10x4 s2 1-64", SPEECH, _convolution(64, (10, 4), (2, 2)), ALL_WIDTHS, "outputs"
    ),
    Layer("dense 250-144", (250,), _dense(144), (36, 72, 108, 144), "outputs"),
    Layer("dense 144-144", (144,), _dense(144), (33, 36, 72, 108, 144)),
    Layer("dense 64-12", (CHANNELS,), _dense(12, "none"), QUARTERS, "inputs"),
    Layer("dense 64-256", (CHANNELS,), _dense(256), (CHANNELS,), "none"),
    Layer("dense 256-64", (256,), _dense(64), (256,), "none"),
    Layer("convolution 3x3 16-16", (32, 32, 16), _convolution(16, (3, 3)), (4, 8, 13, 16)),
    Layer("convolution 3x3 64-64", (8, 8, 64), _convolution(64, (3, 3)), QUARTERS),
    Layer(
        "convolution 10x4 s2 28-30", (40, 7, 28), _convolution(30, (10, 4), (2, 1), "VALID"), (28,),
        "none",
    ),
    Layer("depthwise 3x3 s2", (48, 48, 16), _depthwise((2, 2)), (4, 8, 13, 16)),
    Layer("average pool 25x5", SPEECH_MAP, lambda b: b.pool("AVERAGE_POOL_2D", (25, 5)), QUARTERS),
    Layer("mean 25x5", SPEECH_MAP, lambda b: b.mean(), QUARTERS),
    Layer("max pool 2x2", (32, 32, 16), lambda b: b.pool("MAX_POOL_2D", (2, 2)), (8, 16)),
    Layer("add", (32, 32, 16), lambda b: b.add("input"), (8, 16)),
    Layer("leaky relu", SPEECH_MAP, lambda b: b.leaky_relu(), (16, 64)),
    Layer("softmax", (12,), lambda b: b.softmax(), (12,), "none"),
)  # fmt: skip


def find_layer(kernel: str) -> Layer:
    """The layer of this name."""
    return next(layer for layer in LAYERS if layer.kernel == kernel)


def work(net: QuantizedNet, subnet: int) -> int:
    """Multiplications of the layer's subnet; where it has none, the values that it reads."""
    op = net.ops[-1]
    return net.op_macs(op, subnet) or int(np.prod(net.source(op).active_shape(subnet)))
