"""How each supported Keras layer becomes nodes and weights of a LayerGraph.

One function for each layer type; a layer that is not in `HANDLERS` is refused by name.
"""

from collections.abc import Callable

import keras
import numpy as np

from tflm_reds.channels import Part, joined, repeated, uncut
from tflm_reds.graph import LINEAR_OPS, Node
from tflm_reds.graph_builder import GraphBuilder, refuse
from tflm_reds.keras_activations import ACTIVATION_HANDLERS, append_activation
from tflm_reds.keras_tokens import TOKEN_HANDLERS

_SUPPORTED = (
    "Conv2D, DepthwiseConv2D, SeparableConv2D, Dense, BatchNormalization, ReLU, LeakyReLU, PReLU, "
    "Activation, Add, Concatenate, MaxPooling2D, AveragePooling2D, GlobalAveragePooling2D, "
    "Flatten, Reshape, ZeroPadding2D, Dropout, Softmax; float only: MultiHeadAttention, "
    "LayerNormalization, GlobalAveragePooling1D, tflm_reds.token_layers.PositionEmbedding"
)


def read_layer(builder: GraphBuilder, layer: keras.Operation) -> None:
    """Append the nodes of `layer` behind the builder's inputs.

    Raises:
        ModelError: if the layer or an option of it is not supported.
    """
    handler = HANDLERS.get(type(layer).__name__)
    if handler is None:
        raise refuse(layer, f"is not supported. Supported layers: {_SUPPORTED}. {_hint(layer)}")
    handler(builder, layer)


def _hint(layer: keras.Operation) -> str:
    kind = type(layer).__name__
    if kind in ("Rescaling", "Normalization", "Resizing") or kind.startswith("Random"):
        return "Move preprocessing into the data pipeline."
    return "Replace it by one of these and train again."


def _read_input(builder: GraphBuilder, layer: keras.layers.InputLayer) -> None:
    shape = tuple(layer.batch_shape[1:])
    if None in shape or len(shape) not in (1, 2, 3):
        raise refuse(
            layer,
            f"has shape {shape}; a fixed shape of 1 to 3 axes is needed. "
            "Rebuild the model with keras.Input((height, width, channels)).",
        )
    builder.append(layer.name, "input", shape, parts=uncut(shape[-1]))


def _read_conv(builder: GraphBuilder, layer: keras.layers.Conv2D) -> None:
    _require_image(builder, layer)
    if layer.groups != 1:
        raise refuse(layer, f"has groups={layer.groups}. Use DepthwiseConv2D or groups=1.")
    _append_conv(builder, layer, layer.name, layer.kernel, layer.bias, _geometry(layer))
    append_activation(builder, layer)


def _append_conv(builder: GraphBuilder, layer, name: str, kernel, bias, geometry: dict) -> None:
    has_bias = builder.store_linear(name, kernel, bias)
    shape = (*layer.output.shape[1:3], kernel.shape[-1])
    parts = (Part(name, shape[-1]),)
    builder.append(name, "conv2d", shape, parts=parts, bias=has_bias, **geometry)


def _read_depthwise(builder: GraphBuilder, layer: keras.layers.DepthwiseConv2D) -> None:
    _append_depthwise(builder, layer, layer.name, layer.kernel, layer.bias)
    append_activation(builder, layer)


def _append_depthwise(builder: GraphBuilder, layer, name: str, kernel, bias) -> None:
    _require_image(builder, layer)
    if builder.last.parts == uncut(1) and layer.depth_multiplier > 1:
        # Depthwise on one channel is a convolution, whose filters can be cut.
        _append_conv(builder, layer, name, kernel, bias, _geometry(layer))
        return
    has_bias = builder.store_linear(name, kernel, bias)
    multiplier = layer.depth_multiplier
    builder.append(
        name,
        "depthwise_conv2d",
        (*layer.output.shape[1:3], builder.last.channels * multiplier),
        parts=repeated(builder.last.parts, multiplier),
        multiplier=multiplier,
        bias=has_bias,
        **_geometry(layer),
    )


def _read_separable(builder: GraphBuilder, layer: keras.layers.SeparableConv2D) -> None:
    depthwise, pointwise = (
        builder.free_name(f"{layer.name}_{part}") for part in ("depthwise", "pointwise")
    )
    _append_depthwise(builder, layer, depthwise, layer.depthwise_kernel, None)
    _append_conv(builder, layer, pointwise, layer.pointwise_kernel, layer.bias, {})
    append_activation(builder, layer)


def _read_dense(builder: GraphBuilder, layer: keras.layers.Dense) -> None:
    if len(builder.last.shape) == 3:
        raise refuse(
            layer,
            f"reads a tensor of shape {builder.last.shape}. Put Flatten or GlobalAveragePooling2D "
            "before it, or use Conv2D with kernel_size=1.",
        )
    bias = builder.store_linear(layer.name, layer.kernel, layer.bias)
    shape, parts = (*builder.last.shape[:-1], layer.units), (Part(layer.name, layer.units),)
    builder.append(layer.name, "dense", shape, parts=parts, positions=1, bias=bias)
    append_activation(builder, layer)


def _read_batch_norm(builder: GraphBuilder, layer: keras.layers.BatchNormalization) -> None:
    """Folds into the linear layer before it, or else into a depthwise 1x1 of ones put there."""
    source = builder.last
    if tuple(np.atleast_1d(layer.axis)) not in ((-1,), (len(source.shape),)):
        raise refuse(layer, f"normalises axis {layer.axis}. Normalise the channels (axis=-1).")
    if source.op in LINEAR_OPS and source.name not in builder.shared:
        _append_batch_norm(builder, layer)
    elif len(source.shape) == 3:
        _append_ones(builder, layer)
        _append_batch_norm(builder, layer)
    elif len(source.shape) == 1 and source.positions == 1:
        builder.append(builder.free_name(f"{layer.name}_image"), "reshape", (1, 1, *source.shape))
        _append_ones(builder, layer)
        _append_batch_norm(builder, layer)
        builder.append(builder.free_name(f"{layer.name}_flat"), "flatten", source.shape)
    else:
        raise refuse(
            layer,
            f"normalises {source.shape}, {source.positions} positions of each channel one by one. "
            "Normalise the (height, width, channels) tensor before Flatten.",
        )


def _append_ones(builder: GraphBuilder, layer: keras.layers.BatchNormalization) -> None:
    name = builder.free_name(f"{layer.name}_depthwise")
    builder.store(name, kernel=np.ones((1, 1, builder.last.channels, 1)))
    builder.append(name, "depthwise_conv2d", builder.last.shape)


def _append_batch_norm(builder: GraphBuilder, layer: keras.layers.BatchNormalization) -> None:
    size = builder.last.channels
    builder.store(
        layer.name,
        gamma=np.asarray(layer.gamma) if layer.scale else np.ones(size),
        beta=np.asarray(layer.beta) if layer.center else np.zeros(size),
        mean=np.asarray(layer.moving_mean),
        variance=np.asarray(layer.moving_variance),
    )
    builder.append(layer.name, "batch_norm", builder.last.shape, epsilon=float(layer.epsilon))


def _read_add(builder: GraphBuilder, layer: keras.layers.Add) -> None:
    shapes = [node.shape for node in builder.inputs]
    if len(shapes) < 2 or len(set(shapes)) > 1:
        raise refuse(
            layer,
            f"adds tensors of shapes {', '.join(map(str, shapes))} (constants do not count); two "
            "or more of one shape are supported. Bring them to one shape with Conv2D or Reshape.",
        )
    if len({node.positions for node in builder.inputs}) > 1:
        for node in builder.inputs:  # one flattened, one not: the channels do not correspond
            builder.release(node.name)
        builder.append(layer.name, "add", shapes[0], parts=uncut(shapes[0][-1]), positions=1)
    else:
        builder.tie_inputs()
        builder.append(layer.name, "add", shapes[0])


def _read_concatenate(builder: GraphBuilder, layer: keras.layers.Concatenate) -> None:
    shape = tuple(layer.output.shape[1:])
    if layer.axis not in (-1, len(shape)):
        raise refuse(layer, f"joins axis {layer.axis}. Join the channels (axis=-1).")
    parts = joined([_features(layer, node) for node in builder.inputs])
    builder.append(layer.name, "concatenate", shape, parts=parts, positions=1)


def _features(layer: keras.layers.Concatenate, node: Node) -> tuple[Part, ...]:
    """Parts of a whole last axis, a flattened one as uncut features."""
    if node.positions == 1:
        return node.parts
    if node.parts != uncut(node.channels):
        raise refuse(
            layer,
            f"joins {node.name!r}, flattened from {node.positions} positions. Concatenate the "
            "(height, width, channels) tensors before Flatten, or use GlobalAveragePooling2D.",
        )
    return uncut(node.shape[-1])


def _read_pool(op: str) -> Callable[[GraphBuilder, keras.Operation], None]:
    def read(builder: GraphBuilder, layer: keras.Operation) -> None:
        _require_image(builder, layer)
        builder.append(layer.name, op, layer.output.shape[1:], kernel=tuple(layer.pool_size),
                      stride=tuple(layer.strides), padding=layer.padding)  # fmt: skip

    return read


def _read_global_average(builder: GraphBuilder, layer: keras.layers.GlobalAveragePooling2D) -> None:
    _require_image(builder, layer)
    if layer.keepdims:
        window = builder.last.shape[:2]
        shape = (1, 1, builder.last.channels)
        builder.append(layer.name, "average_pool", shape, kernel=window, stride=window)
    else:
        builder.append(layer.name, "mean", (builder.last.channels,))


def _read_pad(builder: GraphBuilder, layer: keras.layers.ZeroPadding2D) -> None:
    _require_image(builder, layer)
    (top, bottom), (left, right) = layer.padding
    builder.append(layer.name, "pad", layer.output.shape[1:], pads=(top, bottom, left, right))


def _read_flatten(builder: GraphBuilder, layer: keras.Operation) -> None:
    shape = builder.last.shape
    if len(shape) > 1:
        size = int(np.prod(shape))
        builder.append(layer.name, "flatten", (size,), positions=size // shape[-1])


def _read_reshape(builder: GraphBuilder, layer: keras.layers.Reshape) -> None:
    shape, last = tuple(layer.output.shape[1:]), builder.last
    if shape == last.shape:
        return
    if len(shape) == 1:
        _read_flatten(builder, layer)
    elif last.parts == uncut(last.channels):
        builder.append(layer.name, "reshape", shape, parts=uncut(shape[-1]), positions=1)
    elif shape[-1] == last.channels:
        builder.append(layer.name, "reshape", shape, positions=1)
    else:
        raise refuse(
            layer,
            f"moves channels: {last.shape} to {shape}. Keep the last axis, or flatten to one axis.",
        )


def _read_nothing(builder: GraphBuilder, layer: keras.Operation) -> None:
    """Layers that do nothing at inference."""


def _require_image(builder: GraphBuilder, layer: keras.Operation) -> None:
    if len(builder.last.shape) != 3:
        raise refuse(
            layer, f"needs (height, width, channels), got {builder.last.shape}. Reshape it."
        )
    if getattr(layer, "data_format", "channels_last") != "channels_last":
        raise refuse(layer, "is channels_first. Rebuild the model with channels_last.")


def _geometry(layer: keras.Operation) -> dict:
    return {
        "kernel": tuple(layer.kernel_size),
        "stride": tuple(layer.strides),
        "dilation": tuple(layer.dilation_rate),
        "padding": layer.padding,
    }


HANDLERS: dict[str, Callable[[GraphBuilder, keras.Operation], None]] = {
    **ACTIVATION_HANDLERS,
    **TOKEN_HANDLERS,
    "InputLayer": _read_input,
    "Conv2D": _read_conv,
    "DepthwiseConv2D": _read_depthwise,
    "SeparableConv2D": _read_separable,
    "Dense": _read_dense,
    "BatchNormalization": _read_batch_norm,
    "Add": _read_add,
    "Concatenate": _read_concatenate,
    "MaxPooling2D": _read_pool("max_pool"),
    "AveragePooling2D": _read_pool("average_pool"),
    "GlobalAveragePooling2D": _read_global_average,
    "ZeroPadding2D": _read_pad,
    "Flatten": _read_flatten,
    "Reshape": _read_reshape,
    "Dropout": _read_nothing,
    "SpatialDropout2D": _read_nothing,
    "GaussianNoise": _read_nothing,
    "GaussianDropout": _read_nothing,
}
