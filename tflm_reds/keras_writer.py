"""Build a Keras model from a LayerGraph: stock layers here, nested ones in `nested_layers`."""

from collections.abc import Callable

import keras
import numpy as np
from keras import layers

from tflm_reds.graph import LayerGraph, Node, Weights

LayerFactory = Callable[[LayerGraph, Node], keras.Layer]

_WEIGHT_ORDER = ("kernel", "gamma", "bias", "beta", "mean", "variance")


def write_model(graph: LayerGraph, weights: Weights, name: str = "model") -> keras.Model:
    """A plain functional Keras model that computes `graph` with `weights`."""
    model = build_model(graph, stock_layer, name)
    set_weights(model, graph, weights)
    return model


def build_model(graph: LayerGraph, make_layer: LayerFactory, name: str) -> keras.Model:
    """A functional model with one layer for each node, named like it."""
    tensors = {graph.nodes[0].name: keras.Input(graph.nodes[0].shape, name=graph.nodes[0].name)}
    for node in graph.nodes[1:]:
        tensors[node.name] = make_layer(graph, node)(tensors[node.inputs[0]])
    return keras.Model(tensors[graph.nodes[0].name], tensors[graph.nodes[-1].name], name=name)


def set_weights(model: keras.Model, graph: LayerGraph, weights: Weights) -> None:
    """Copy `weights` into a model made by `build_model` with stock layers."""
    for node in graph.nodes:
        names = [f"{node.name}/{kind}" for kind in _WEIGHT_ORDER]
        arrays = [weights[name] for name in names if name in weights]
        if arrays:
            layer = model.get_layer(node.name)
            # Keras's DepthwiseConv2D keeps a trailing depth multiplier, as do our weights.
            layer.set_weights([np.asarray(array, np.float32) for array in arrays])


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


def _pool(layer: type[keras.Layer]) -> Callable[[Node], keras.Layer]:
    return lambda n: layer(n.kernel, strides=n.stride, padding=n.padding, name=n.name)


_FACTORIES: dict[str, Callable[[Node], keras.Layer]] = {
    "conv2d": lambda n: layers.Conv2D(n.channels, **convolution_options(n)),
    "depthwise_conv2d": lambda n: layers.DepthwiseConv2D(**convolution_options(n)),
    "dense": lambda n: layers.Dense(n.channels, use_bias=n.bias, name=n.name),
    "batch_norm": lambda n: layers.BatchNormalization(epsilon=n.epsilon, name=n.name),
    "relu": lambda n: layers.ReLU(name=n.name),
    "relu6": lambda n: layers.ReLU(6.0, name=n.name),
    "leaky_relu": lambda n: layers.LeakyReLU(negative_slope=n.slope, name=n.name),
    "max_pool": _pool(layers.MaxPooling2D),
    "average_pool": _pool(layers.AveragePooling2D),
    "mean": lambda n: layers.GlobalAveragePooling2D(name=n.name),
    "pad": lambda n: layers.ZeroPadding2D((n.pads[:2], n.pads[2:]), name=n.name),
    "flatten": lambda n: layers.Flatten(name=n.name),
    # The last axis stays open, so that the same layer serves every width.
    "reshape": lambda n: layers.Reshape((*n.shape[:-1], -1), name=n.name),
    "softmax": lambda n: layers.Softmax(name=n.name),
}
