"""Random but realistic QuantizedNets: every op kind, odd widths, non-zero zero points."""

from dataclasses import dataclass, field

import numpy as np

from tflm_reds.quantized import QuantizedNet, QuantOp, QuantTensor, same_padding


@dataclass
class NetBuilder:
    """Appends ops to a chain; ranges are drawn so that outputs use all of int8, saturations too."""

    shape: tuple[int, ...]
    subnets: int = 3
    seed: int = 0
    tensors: list[QuantTensor] = field(default_factory=list)
    ops: list[QuantOp] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.random = np.random.default_rng(self.seed)
        channels = (self.shape[-1],) * self.subnets
        zero_point = int(self.random.integers(-128, 128))
        self.tensors.append(QuantTensor("input", self.shape, 0.05, zero_point, channels))

    @property
    def last(self) -> QuantTensor:
        return self.tensors[-1]

    def widths(self, full: int, cut: bool = True) -> tuple[int, ...]:
        """Nested random widths, the last one full."""
        if not cut:
            return (full,) * self.subnets
        drawn = np.sort(self.random.integers(1, full + 1, self.subnets - 1))
        return (*map(int, drawn), full)

    def convolution(self, filters: int, kernel=(3, 3), activation="relu", cut=True, **geometry):
        """CONV_2D; `geometry` takes stride, dilation, padding."""
        weights = self._weights((filters, *kernel, self.last.full_channels))
        shape = (*self._spatial(kernel, **geometry), filters)
        return self._linear(
            "CONV_2D", weights, shape, self.widths(filters, cut), activation, **geometry
        )

    def depthwise(self, kernel=(3, 3), activation="relu", **geometry):
        weights = self._weights((*kernel, self.last.full_channels))
        shape = (*self._spatial(kernel, **geometry), self.last.full_channels)
        return self._linear(
            "DEPTHWISE_CONV_2D", weights, shape, self.last.channels, activation, **geometry
        )

    def dense(self, units: int, activation="none", cut=False):
        weights = self._weights((units, self.last.full_channels, self.last.positions))
        return self._linear(
            "FULLY_CONNECTED", weights, (units,), self.widths(units, cut), activation
        )

    def pool(
        self, kind="MAX_POOL_2D", window=(2, 2), stride=(2, 2), padding="VALID", activation="none"
    ):
        height, width = self._spatial(window, stride=stride, padding=padding)
        return self._same_scale(
            kind,
            (height, width, self.last.full_channels),
            window=window,
            stride=stride,
            padding=padding,
            activation=activation,
        )

    def pad(self, top=1, bottom=1, left=1, right=1):
        height, width, channels = self.last.shape
        shape = (height + top + bottom, width + left + right, channels)
        return self._same_scale("PAD", shape, pads=(top, bottom, left, right))

    def flatten(self):
        height, width, channels = self.last.shape
        return self._same_scale("RESHAPE", (height * width * channels,), positions=height * width)

    def mean(self):
        return self._rescaled("MEAN", (self.last.full_channels,), self.last.scale * 0.6)

    def leaky_relu(self, alpha=0.3):
        return self._rescaled("LEAKY_RELU", self.last.shape, self.last.scale * 0.8, alpha=alpha)

    def relu(self, kind="RELU"):
        if kind == "RELU6":  # TFLM's stand-alone RELU6 keeps the scale
            return self._same_scale(kind, self.last.shape)
        return self._rescaled(kind, self.last.shape, self.last.scale)

    def softmax(self):
        self._append("SOFTMAX", self.last.shape, 1 / 256, -128, self.last.channels)
        return self

    def build(self, name: str = "random_net") -> QuantizedNet:
        budgets = tuple((k + 1) / self.subnets for k in range(self.subnets))
        tensors = {tensor.name: tensor for tensor in self.tensors}
        labels = tuple(f"class {i}" for i in range(self.last.full_channels))
        return QuantizedNet(name, tensors, tuple(self.ops), budgets, labels)

    def _weights(self, shape: tuple[int, ...]) -> np.ndarray:
        return self.random.integers(-127, 128, shape).astype(np.int8)

    def _spatial(self, kernel, stride=(1, 1), dilation=(1, 1), padding="VALID"):
        sizes = []
        for size, k, s, d in zip(self.last.shape[:2], kernel, stride, dilation, strict=True):
            if padding == "SAME":
                size += sum(same_padding(size, k, s, d))
            sizes.append((size - (k - 1) * d - 1) // s + 1)
        return tuple(sizes)

    def _linear(self, kind, weights, shape, channels, activation, **geometry):
        fan_in = weights.size / (1 if kind == "DEPTHWISE_CONV_2D" else shape[-1])
        if kind == "DEPTHWISE_CONV_2D":
            fan_in /= shape[-1]
        out_scale, zero_point = 0.04, int(self.random.integers(-128, 128))
        # A random accumulator spans about 74 * 74 * sqrt(fan_in); spread it over +-200 steps.
        gain = 60 * out_scale / (74 * 74 * np.sqrt(fan_in) * self.last.scale)
        scales, biases = [], []
        for count in channels:
            spread = self.random.uniform(0.3, 3.0, count)
            scales.append((gain * spread).astype(np.float32))
            biases.append(self.random.integers(-20000, 20000, count).astype(np.int32))
        self._append(
            kind,
            shape,
            out_scale,
            zero_point,
            channels,
            weights=weights,
            scales=tuple(scales),
            biases=tuple(biases),
            activation=activation,
            **geometry,
        )
        return self

    def _same_scale(self, kind, shape, positions=1, **attributes):
        self._append(
            kind,
            shape,
            self.last.scale,
            self.last.zero_point,
            self.last.channels,
            positions=positions,
            **attributes,
        )
        return self

    def _rescaled(self, kind, shape, scale, **attributes):
        zero_point = int(self.random.integers(-128, 128))
        self._append(kind, shape, scale, zero_point, self.last.channels, **attributes)
        return self

    def _append(self, kind, shape, scale, zero_point, channels, positions=1, **attributes):
        name = f"{kind.lower()}_{len(self.ops)}"
        scale = float(np.float32(scale))
        source = self.last.name
        self.tensors.append(QuantTensor(name, shape, scale, zero_point, channels, positions))
        self.ops.append(QuantOp(kind, name, (source,), name, **attributes))


def ds_cnn(seed: int = 0, channels: int = 16) -> QuantizedNet:
    """A small DS-CNN shaped like the KWS network."""
    net = NetBuilder((12, 8, 1), subnets=4, seed=seed)
    net.convolution(channels, (10, 4), stride=(2, 2), padding="SAME")
    for _ in range(2):
        net.depthwise(padding="SAME").convolution(channels, (1, 1))
    return net.mean().dense(12).build("ds_cnn")


def every_op(seed: int = 0) -> QuantizedNet:
    """A chain that holds every op kind once."""
    net = NetBuilder((11, 9, 3), subnets=3, seed=seed)
    net.pad(1, 0, 0, 1).convolution(10, (3, 2), "relu6", stride=(2, 1), padding="VALID")
    net.leaky_relu().depthwise((3, 3), "none", padding="SAME").relu()
    net.pool("MAX_POOL_2D", (2, 2), (1, 1), "SAME").convolution(13, (1, 1), "none").relu("RELU6")
    net.pool("AVERAGE_POOL_2D", (3, 2), (2, 1), "SAME", "relu").flatten()
    return net.dense(9, "relu", cut=True).dense(6).softmax().build("every_op")


def dense_net(seed: int = 0) -> QuantizedNet:
    """Fully connected layers only, odd sizes."""
    net = NetBuilder((25,), subnets=4, seed=seed)
    return net.dense(17, "relu", cut=True).dense(23, "relu", cut=True).dense(12).build("dense_net")


def random_inputs(net: QuantizedNet, count: int, seed: int = 0) -> np.ndarray:
    """int8 inputs [count, *input.shape] over the whole range."""
    values = np.random.default_rng(seed).integers(-128, 128, (count, *net.input.shape))
    return values.astype(np.int8)
