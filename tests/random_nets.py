"""Random but realistic QuantizedNets: every op kind, odd widths, non-zero zero points."""

from dataclasses import dataclass, field, replace

import numpy as np

from tflm_reds.channel_order import sort_channels
from tflm_reds.quantized import QuantizedNet, QuantOp, same_padding
from tflm_reds.quantized_tensor import QuantTensor, join_parts, repeat_parts

KEEPS_SCALE = ("MAX_POOL_2D", "AVERAGE_POOL_2D", "PAD", "RESHAPE", "RELU6", "CONCATENATION")


def with_shared_tables(net: QuantizedNet, *fields: str) -> QuantizedNet:
    """The net with the full network's "biases" or "scales" (or both) in every subnet."""
    net = sort_channels(net)

    def share(op: QuantOp) -> QuantOp:
        old = {name: getattr(op, name) for name in fields if op.is_linear}
        return replace(
            op, **{n: tuple(rows[-1][: len(r)] for r in rows) for n, rows in old.items()}
        )

    return replace(net, ops=tuple(map(share, net.ops)))


@dataclass
class NetBuilder:
    """Appends ops to the last tensor, or to another one after `back_to`.

    Ranges are drawn so that outputs use all of int8, saturations too.
    """

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
        self._last: str | None = None

    @property
    def last(self) -> QuantTensor:
        return self.tensors[-1] if self._last is None else self[self._last]

    def __getitem__(self, name: str) -> QuantTensor:
        return next(tensor for tensor in self.tensors if tensor.name == name)

    def back_to(self, name: str) -> "NetBuilder":
        """Begin a branch: the next op reads this tensor."""
        self._last = name
        return self

    def widths(self, full: int, cut: bool = True) -> tuple[int, ...]:
        """Nested random widths, the last one full."""
        if not cut:
            return (full,) * self.subnets
        drawn = np.sort(self.random.integers(1, full + 1, self.subnets - 1))
        return (*map(int, drawn), full)

    def convolution(self, filters: int, kernel=(3, 3), activation="relu", cut=True, **geometry):
        """CONV_2D; `geometry` takes stride, dilation, padding."""
        return self._convolution(filters, kernel, activation, self.widths(filters, cut), **geometry)

    def convolution_like(self, other: str, kernel=(3, 3), activation="relu", **geometry):
        """CONV_2D with the channels of another tensor, as ADD needs them."""
        tensor = self[other]
        arguments = (tensor.full_channels, kernel, activation, tensor.channels, tensor.parts)
        return self._convolution(*arguments, **geometry)

    def _convolution(self, filters, kernel, activation, channels, parts=(), **geometry):
        weights = self._weights((filters, *kernel, self.last.full_channels))
        shape = (*self._spatial(kernel, **geometry), filters)
        return self._linear("CONV_2D", weights, shape, channels, activation, parts, **geometry)

    def depthwise(self, kernel=(3, 3), activation="relu", multiplier=1, **geometry):
        """DEPTHWISE_CONV_2D with `multiplier` output channels for each input channel."""
        filters = self.last.full_channels * multiplier
        weights = self._weights((*kernel, filters))
        shape = (*self._spatial(kernel, **geometry), filters)
        channels = tuple(count * multiplier for count in self.last.channels)
        parts = repeat_parts(self.last.parts, multiplier)
        return self._linear(
            "DEPTHWISE_CONV_2D", weights, shape, channels, activation, parts, **geometry
        )

    def dense(self, units: int, activation="none", cut=False):
        weights = self._weights((units, self.last.full_channels, self.last.positions))
        return self._linear(
            "FULLY_CONNECTED", weights, (units,), self.widths(units, cut), activation
        )

    def add(self, other: str, activation="none"):
        """ADD of the last tensor and `other`, which has the same channels."""
        return self._rescaled(
            "ADD", self.last.shape, 0.06, inputs=(self.last.name, other), activation=activation
        )

    def concatenate(self, *others: str):
        """CONCATENATION of the last tensor and the others, which take its scale."""
        tensors = [self.last, *(self[name] for name in others)]
        shape = (*self.last.shape[:-1], sum(tensor.shape[-1] for tensor in tensors))
        counts = zip(*([n * t.positions for n in t.channels] for t in tensors), strict=True)
        scale, zero_point = self.last.scale, self.last.zero_point
        inputs = tuple(tensor.name for tensor in tensors)
        parts = join_parts(tensors)
        channels = tuple(map(sum, counts))
        self._append(
            "CONCATENATION", shape, scale, zero_point, channels, parts=parts, inputs=inputs
        )
        self._unify(scale, zero_point)
        return self

    def prelu(self, shared: bool = True):
        """PRELU, one slope for each channel, or for each value."""
        height, width, channels = (self.last.positions, 1, self.last.full_channels)
        if len(self.last.shape) == 3:
            height, width, channels = (1, 1, channels) if shared else self.last.shape
        weights = self._weights((height, width, channels))
        scale = self.last.scale * 0.8
        return self._rescaled("PRELU", self.last.shape, scale, weights=weights, alpha=0.004)

    def hard_swish(self):
        return self._rescaled("HARD_SWISH", self.last.shape, self.last.scale * 0.9)

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

    def _linear(self, kind, weights, shape, channels, activation, parts=(), **geometry):
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
            parts=parts,
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
            parts=self.last.parts,
            **attributes,
        )
        return self

    def _rescaled(self, kind, shape, scale, **attributes):
        zero_point = int(self.random.integers(-128, 128))
        last = self.last
        positions = last.positions if shape == last.shape else 1
        where = {"positions": positions, "parts": last.parts}
        self._append(kind, shape, scale, zero_point, last.channels, **where, **attributes)
        return self

    def _append(
        self, kind, shape, scale, zero_point, channels, positions=1, parts=(), **attributes
    ):
        name = f"{kind.lower()}_{len(self.ops)}"
        scale = float(np.float32(scale))
        attributes = {"inputs": (self.last.name,)} | attributes
        tensor = QuantTensor(name, shape, scale, zero_point, channels, positions, parts)
        self.tensors.append(tensor)
        self.ops.append(QuantOp(kind, name, output=name, **attributes))
        self._last = None

    def _unify(self, scale: float, zero_point: int) -> None:
        """One scale for all tensors that ops which keep scales tie to the last one."""
        tied: set[str] = set()
        found = {self.last.name}
        while found != tied:
            tied = set(found)
            for op in self.ops:
                tensors = {*op.inputs, op.output}
                if op.kind in KEEPS_SCALE and tensors & found:
                    found |= tensors
        self.tensors = [
            replace(tensor, scale=scale, zero_point=zero_point) if tensor.name in tied else tensor
            for tensor in self.tensors
        ]


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


def residual(seed: int = 0) -> QuantizedNet:
    """Residual blocks like ResNet-8's: an identity shortcut, then a projected one."""
    net = NetBuilder((9, 8, 3), subnets=3, seed=seed)
    trunk = net.convolution(10, padding="SAME").last.name
    net.convolution(7, padding="SAME").convolution_like(trunk, activation="none", padding="SAME")
    trunk = net.add(trunk, "relu").last.name
    net.convolution(13, (3, 3), stride=(2, 2), padding="SAME")
    branch = net.convolution(12, (3, 3), "none", padding="SAME").last.name
    net.back_to(trunk).convolution_like(branch, (1, 1), "none", stride=(2, 2), padding="SAME")
    return net.add(branch, "relu6").mean().dense(5).softmax().build("residual")


def concatenating(seed: int = 0) -> QuantizedNet:
    """Concatenations that are concatenated, flattened, added, with PReLU and hard-swish between."""
    net = NetBuilder((8, 6, 2), subnets=4, seed=seed)
    stem = net.convolution(6, (3, 3), "none", padding="SAME").prelu().last.name
    left = net.depthwise((3, 3), "relu", multiplier=3, padding="SAME").last.name
    right = net.back_to(stem).convolution(5, (1, 1), "none").hard_swish().last.name
    joined = net.concatenate(left, stem).last.name
    net.pool("AVERAGE_POOL_2D", (3, 3), (1, 1), "SAME").depthwise((2, 2), "none", 2, padding="SAME")
    net.convolution(4, (1, 1), cut=False).concatenate(right).prelu(shared=False)
    trunk = net.pool("MAX_POOL_2D").last.name
    net.convolution_like(trunk, (3, 3), "none", padding="SAME").add(trunk)
    flat = net.flatten().prelu().last.name
    pooled = net.back_to(joined).relu("RELU6").mean().last.name
    hidden = net.dense(9, "relu", cut=True).last.name
    return net.back_to(flat).concatenate(pooled, hidden).dense(7).build("concatenating")


NETS = (ds_cnn, every_op, dense_net, residual, concatenating)


def random_inputs(net: QuantizedNet, count: int, seed: int = 0) -> np.ndarray:
    """int8 inputs [count, *input.shape] over the whole range."""
    values = np.random.default_rng(seed).integers(-128, 128, (count, *net.input.shape))
    return values.astype(np.int8)
