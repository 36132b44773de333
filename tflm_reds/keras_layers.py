"""How each supported Keras layer becomes nodes and weights of a LayerGraph.

One function for each layer type; a layer that is not in `HANDLERS` is refused by name.
"""

from collections.abc import Callable

import keras
import numpy as np

from tflm_reds.errors import ModelError
from tflm_reds.graph import LINEAR_OPS, Node

_SUPPORTED = (
    "Conv2D, DepthwiseConv2D, SeparableConv2D, Dense, BatchNormalization, ReLU, LeakyReLU, "
    "Activation, MaxPooling2D, AveragePooling2D, GlobalAveragePooling2D, Flatten, Reshape, "
    "ZeroPadding2D, Dropout, Softmax"
)


class ChainReader:
    """Appends nodes to a chain, layer by layer."""

    def __init__(self) -> None:
        self.nodes: list[Node] = []
        self.weights: dict[str, np.ndarray] = {}

    @property
    def last(self) -> Node:
        return self.nodes[-1]

    def read(self, layer: keras.Layer) -> None:
        handler = HANDLERS.get(type(layer).__name__)
        if handler is None:
            raise refuse(layer, f"is not supported. Supported layers: {_SUPPORTED}. {_hint(layer)}")
        handler(self, layer)

    def append(self, name: str, op: str, shape: tuple[int, ...], **attributes) -> None:
        """Append a node that keeps the channels of the last one unless told otherwise."""
        inherited = {"group": self.last.group, "positions": self.last.positions}
        attributes = inherited | attributes
        self.nodes.append(Node(name, op, (self.last.name,), tuple(shape), **attributes))

    def store(self, layer: keras.Layer, name: str, **arrays: np.ndarray) -> None:
        for kind, array in arrays.items():
            if not np.isfinite(array).all():
                raise refuse(layer, f"has NaN or infinity in its {kind}. Train it again.")
            self.weights[f"{name}/{kind}"] = np.asarray(array, np.float32)

    def store_linear(self, layer: keras.Layer, name: str, kernel, bias) -> bool:
        self.store(layer, name, kernel=np.asarray(kernel))
        if bias is not None:
            self.store(layer, name, bias=np.asarray(bias))
        return bias is not None


def refuse(layer: keras.Layer, why: str) -> ModelError:
    return ModelError(f"Layer {layer.name!r} ({type(layer).__name__}) {why}")


def _hint(layer: keras.Layer) -> str:
    kind = type(layer).__name__
    if kind in ("Rescaling", "Normalization", "Resizing") or kind.startswith("Random"):
        return "Move preprocessing into the data pipeline."
    if kind in ("Sequential", "Functional"):
        return "Rebuild the model flat, without models inside models."
    if kind in ("Add", "Concatenate"):
        return "Only chains are supported so far; remove the branch."
    return "Replace it by one of these and train again."


def _read_input(reader: ChainReader, layer: keras.Layer) -> None:
    shape = tuple(layer.batch_shape[1:])
    if None in shape or len(shape) not in (1, 2, 3):
        raise refuse(
            layer,
            f"has shape {shape}; a fixed shape of 1 to 3 axes is needed. "
            "Rebuild the model with keras.Input((height, width, channels)).",
        )
    reader.nodes.append(Node(layer.name, "input", (), shape))


def _read_conv(reader: ChainReader, layer: keras.layers.Conv2D) -> None:
    _require_image(reader, layer)
    if layer.groups != 1:
        raise refuse(layer, f"has groups={layer.groups}. Use DepthwiseConv2D or groups=1.")
    bias = reader.store_linear(layer, layer.name, layer.kernel, layer.bias)
    reader.append(layer.name, "conv2d", layer.output.shape[1:], group=layer.name, bias=bias,
                  **_geometry(layer))  # fmt: skip
    _append_activation(reader, layer)


def _read_depthwise(reader: ChainReader, layer: keras.layers.DepthwiseConv2D) -> None:
    _append_depthwise(reader, layer, layer.name, layer.kernel, layer.bias, layer.output.shape[1:])
    _append_activation(reader, layer)


def _append_depthwise(reader, layer, name, kernel, bias, shape) -> None:
    _require_image(reader, layer)
    if layer.depth_multiplier != 1:
        raise refuse(
            layer,
            f"has depth_multiplier={layer.depth_multiplier}. Use 1, and a wider Conv2D after.",
        )
    has_bias = reader.store_linear(layer, name, kernel, bias)
    reader.append(name, "depthwise_conv2d", shape, bias=has_bias, **_geometry(layer))


def _read_separable(reader: ChainReader, layer: keras.layers.SeparableConv2D) -> None:
    shape = tuple(layer.output.shape[1:])
    depthwise, pointwise = f"{layer.name}_depthwise", f"{layer.name}_pointwise"
    between = (*shape[:2], reader.last.channels)
    _append_depthwise(reader, layer, depthwise, layer.depthwise_kernel, None, between)
    bias = reader.store_linear(layer, pointwise, layer.pointwise_kernel, layer.bias)
    reader.append(pointwise, "conv2d", shape, group=pointwise, bias=bias)
    _append_activation(reader, layer)


def _read_dense(reader: ChainReader, layer: keras.layers.Dense) -> None:
    if len(reader.last.shape) != 1:
        raise refuse(
            layer,
            f"reads a tensor of shape {reader.last.shape}. Put Flatten or GlobalAveragePooling2D "
            "before it, or use Conv2D with kernel_size=1.",
        )
    bias = reader.store_linear(layer, layer.name, layer.kernel, layer.bias)
    reader.append(
        layer.name, "dense", layer.output.shape[1:], group=layer.name, positions=1, bias=bias
    )
    _append_activation(reader, layer)


def _read_batch_norm(reader: ChainReader, layer: keras.layers.BatchNormalization) -> None:
    if reader.last.op not in LINEAR_OPS:
        raise refuse(
            layer,
            f"follows {reader.last.name!r} ({reader.last.op}). It can be folded only directly "
            "after a convolution or Dense without activation; move it there.",
        )
    if tuple(np.atleast_1d(layer.axis)) not in ((-1,), (len(reader.last.shape),)):
        raise refuse(layer, f"normalises axis {layer.axis}. Normalise the channels (axis=-1).")
    size = reader.last.channels
    reader.store(
        layer,
        layer.name,
        gamma=np.asarray(layer.gamma) if layer.scale else np.ones(size),
        beta=np.asarray(layer.beta) if layer.center else np.zeros(size),
        mean=np.asarray(layer.moving_mean),
        variance=np.asarray(layer.moving_variance),
    )
    reader.append(layer.name, "batch_norm", reader.last.shape, epsilon=float(layer.epsilon))


def _read_relu(reader: ChainReader, layer: keras.layers.ReLU) -> None:
    if layer.threshold or (layer.max_value is not None and layer.negative_slope):
        raise refuse(layer, "has a threshold, or a slope and a maximum. Use plain ReLU or ReLU6.")
    if layer.max_value is None:
        slope = float(np.asarray(layer.negative_slope))
        op = "leaky_relu" if slope else "relu"
        reader.append(layer.name, op, reader.last.shape, slope=slope)
    elif float(layer.max_value) == 6.0:
        reader.append(layer.name, "relu6", reader.last.shape)
    else:
        raise refuse(layer, f"has max_value={layer.max_value}; TFLM has ReLU and ReLU6. Use 6.")


def _read_leaky_relu(reader: ChainReader, layer: keras.layers.LeakyReLU) -> None:
    slope = float(np.asarray(layer.negative_slope))
    reader.append(layer.name, "leaky_relu", reader.last.shape, slope=slope)


def _read_activation(reader: ChainReader, layer: keras.layers.Activation) -> None:
    _append_activation(reader, layer, name=layer.name)


def _append_activation(reader: ChainReader, layer: keras.Layer, name: str | None = None) -> None:
    function = getattr(layer.activation, "__name__", str(layer.activation))
    if function == "linear":
        return
    if function not in ("relu", "relu6", "leaky_relu", "softmax"):
        raise refuse(
            layer, f"has activation {function!r}. Use relu, relu6, leaky_relu, softmax or linear."
        )
    # keras.activations.leaky_relu without arguments has slope 0.2.
    slope = 0.2 if function == "leaky_relu" else 0.0
    name = name or f"{layer.name}_{function}"
    reader.append(name, function, reader.last.shape, slope=slope)


def _read_softmax(reader: ChainReader, layer: keras.layers.Softmax) -> None:
    if layer.axis not in (-1, len(reader.last.shape)):
        raise refuse(layer, f"works on axis {layer.axis}. Use the last axis (-1).")
    reader.append(layer.name, "softmax", reader.last.shape)


def _read_pool(op: str) -> Callable[[ChainReader, keras.Layer], None]:
    def read(reader: ChainReader, layer: keras.Layer) -> None:
        _require_image(reader, layer)
        reader.append(layer.name, op, layer.output.shape[1:], kernel=tuple(layer.pool_size),
                      stride=tuple(layer.strides), padding=layer.padding)  # fmt: skip

    return read


def _read_global_average(reader: ChainReader, layer: keras.layers.GlobalAveragePooling2D) -> None:
    _require_image(reader, layer)
    if layer.keepdims:
        window = reader.last.shape[:2]
        shape = (1, 1, reader.last.channels)
        reader.append(layer.name, "average_pool", shape, kernel=window, stride=window)
    else:
        reader.append(layer.name, "mean", (reader.last.channels,))


def _read_pad(reader: ChainReader, layer: keras.layers.ZeroPadding2D) -> None:
    _require_image(reader, layer)
    (top, bottom), (left, right) = layer.padding
    reader.append(layer.name, "pad", layer.output.shape[1:], pads=(top, bottom, left, right))


def _read_flatten(reader: ChainReader, layer: keras.Layer) -> None:
    shape = reader.last.shape
    if len(shape) > 1:
        size = int(np.prod(shape))
        reader.append(layer.name, "flatten", (size,), positions=size // shape[-1])


def _read_reshape(reader: ChainReader, layer: keras.layers.Reshape) -> None:
    shape, last = tuple(layer.output.shape[1:]), reader.last
    if shape == last.shape:
        return
    if len(shape) == 1:
        _read_flatten(reader, layer)
    elif last.group is None or (shape[-1] == last.channels and last.positions == 1):
        reader.append(layer.name, "reshape", shape, positions=1)
    else:
        raise refuse(
            layer,
            f"moves channels: {last.shape} to {shape}. Keep the last axis, or flatten to one axis.",
        )


def _read_nothing(reader: ChainReader, layer: keras.Layer) -> None:
    """Layers that do nothing at inference."""


def _require_image(reader: ChainReader, layer: keras.Layer) -> None:
    if len(reader.last.shape) != 3:
        raise refuse(
            layer, f"needs (height, width, channels), got {reader.last.shape}. Reshape it."
        )
    if getattr(layer, "data_format", "channels_last") != "channels_last":
        raise refuse(layer, "is channels_first. Rebuild the model with channels_last.")


def _geometry(layer: keras.Layer) -> dict:
    return {
        "kernel": tuple(layer.kernel_size),
        "stride": tuple(layer.strides),
        "dilation": tuple(layer.dilation_rate),
        "padding": layer.padding,
    }


HANDLERS: dict[str, Callable[[ChainReader, keras.Layer], None]] = {
    "InputLayer": _read_input,
    "Conv2D": _read_conv,
    "DepthwiseConv2D": _read_depthwise,
    "SeparableConv2D": _read_separable,
    "Dense": _read_dense,
    "BatchNormalization": _read_batch_norm,
    "ReLU": _read_relu,
    "LeakyReLU": _read_leaky_relu,
    "Activation": _read_activation,
    "Softmax": _read_softmax,
    "MaxPooling2D": _read_pool("max_pool"),
    "AveragePooling2D": _read_pool("average_pool"),
    "GlobalAveragePooling2D": _read_global_average,
    "ZeroPadding2D": _read_pad,
    "Flatten": _read_flatten,
    "Reshape": _read_reshape,
    "Dropout": _read_nothing,
}
