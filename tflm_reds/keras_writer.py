"""Build a Keras model from a LayerGraph: stock layers here, nested ones in `nested_layers`."""

from collections.abc import Callable

import keras
import numpy as np
from keras import layers

from tflm_reds.graph import LayerGraph, Node, Weights
from tflm_reds.token_layers import DotProductAttention, PositionEmbedding

LayerFactory = Callable[[LayerGraph, Node], keras.Layer]


def write_model(graph: LayerGraph, weights: Weights, name: str = "model") -> keras.Model:
    """A plain functional Keras model that computes `graph` with `weights`."""
    model = build_model(graph, stock_layer, name)
    set_weights(model, graph, weights)
    return model


def build_model(graph: LayerGraph, make_layer: LayerFactory, name: str) -> keras.Model:
    """A functional model with one layer for each node, named like it."""
    tensors = {graph.nodes[0].name: keras.Input(graph.nodes[0].shape, name=graph.nodes[0].name)}
    for node in graph.nodes[1:]:
        inputs = [tensors[name] for name in node.inputs]
        tensors[node.name] = make_layer(graph, node)(inputs if len(inputs) > 1 else inputs[0])
    return keras.Model(tensors[graph.nodes[0].name], tensors[graph.nodes[-1].name], name=name)


def set_weights(model: keras.Model, graph: LayerGraph, weights: Weights) -> None:
    """Copy `weights` into a model made by `build_model` with stock layers."""
    for node in graph.nodes:
        set_layer_weights(model.get_layer(node.name), node, weights)


def set_layer_weights(layer: keras.Layer, node: Node, weights: Weights) -> None:
    """Copy the weights of one node into its layer.

    Keras's alpha of PReLU has an axis of 1 for each shared one, ours has none.
    """
    pairs = zip(node.weight_kinds, layer.weights, strict=True)
    layer.set_weights([weights[f"{node.name}/{k}"].reshape(v.shape) for k, v in pairs])


def layer_weights(layer: keras.Layer, node: Node) -> dict[str, np.ndarray]:
    """The weights of one node's layer by "node/kind"; inverse of `set_layer_weights`."""
    pairs = zip(node.weight_kinds, layer.get_weights(), strict=True)
    named = {f"{node.name}/{kind}": array for kind, array in pairs}
    return {name: a.ravel() if name.endswith("/alpha") else a for name, a in named.items()}


def stock_layer(graph: LayerGraph, node: Node) -> keras.Layer:
    """The stock Keras layer that computes `node`."""
    return _FACTORIES[node.op](node)


def convolution_options(node: Node) -> dict:
    """Constructor arguments that stock and nested convolutions share."""
    return {
        "kernel_size": node.kernel,
        "strides": node.stride,
        "dilation_rate": node.dilation,
        "padding": node.padding,
        "use_bias": node.bias,
        "name": node.name,
    }


def shared_axes(node: Node) -> tuple[int, ...]:
    """The axes along which a PReLU has one slope: all but the last."""
    return tuple(range(1, len(node.shape)))


def _pool(layer: type[keras.Layer]) -> Callable[[Node], keras.Layer]:
    return lambda n: layer(n.kernel, strides=n.stride, padding=n.padding, name=n.name)


_FACTORIES: dict[str, Callable[[Node], keras.Layer]] = {
    "conv2d": lambda n: layers.Conv2D(n.channels, **convolution_options(n)),
    "depthwise_conv2d": lambda n: layers.DepthwiseConv2D(
        depth_multiplier=n.multiplier, **convolution_options(n)
    ),
    "dense": lambda n: layers.Dense(n.channels, use_bias=n.bias, name=n.name),
    "batch_norm": lambda n: layers.BatchNormalization(epsilon=n.epsilon, name=n.name),
    "layer_norm": lambda n: layers.LayerNormalization(epsilon=n.epsilon, name=n.name),
    "position_embedding": lambda n: PositionEmbedding(name=n.name),
    "attention": lambda n: DotProductAttention(n.key_dim, n.value_dim, name=n.name),
    "gelu": lambda n: layers.Activation("gelu", name=n.name),
    "relu": lambda n: layers.ReLU(name=n.name),
    "relu6": lambda n: layers.ReLU(6.0, name=n.name),
    "leaky_relu": lambda n: layers.LeakyReLU(negative_slope=n.slope, name=n.name),
    "prelu": lambda n: layers.PReLU(shared_axes=shared_axes(n), name=n.name),
    "hard_swish": lambda n: layers.Activation("hard_swish", name=n.name),
    "add": lambda n: layers.Add(name=n.name),
    "concatenate": lambda n: layers.Concatenate(name=n.name),
    "max_pool": _pool(layers.MaxPooling2D),
    "average_pool": _pool(layers.AveragePooling2D),
    "mean": lambda n: layers.GlobalAveragePooling2D(name=n.name),
    "token_mean": lambda n: layers.GlobalAveragePooling1D(name=n.name),
    "pad": lambda n: layers.ZeroPadding2D((n.pads[:2], n.pads[2:]), name=n.name),
    "flatten": lambda n: layers.Flatten(name=n.name),
    # The last axis stays open, so that the same layer serves every width.
    "reshape": lambda n: layers.Reshape((*n.shape[:-1], -1), name=n.name),
    "softmax": lambda n: layers.Softmax(name=n.name),
}
