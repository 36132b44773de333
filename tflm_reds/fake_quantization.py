"""int8's rounding inside the float network, with straight-through gradients (Jacob et al., 2018).

Kernels round on the grid of the *full* kernel, activations on one grid for all subnets: the grids
of `tflm_reds.quantize`. Biases stay float: int32 holds them exactly enough.
"""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass

import keras
import tensorflow as tf

from tflm_reds.graph import LayerGraph, Node

_SMALLEST_MAGNITUDE = 1e-12

_rounds_kernels: ContextVar[bool] = ContextVar("rounds_kernels", default=False)


@dataclass(frozen=True)
class FakeQuantization:
    """Runs a float network with the rounding of int8.

    Attributes:
        scales: (scale, zero point) by node, for the nodes whose outputs int8 rounds.
    """

    scales: Mapping[str, tuple[float, int]]

    def run(self, graph: LayerGraph, backbone: keras.Model, inputs, training: bool | None):
        """Output of `backbone`, the Keras model of `graph`, for `inputs` [n, *input shape]."""
        source = graph.nodes[0]
        inputs = tf.reshape(tf.cast(inputs, tf.float32), (-1, *source.shape))
        values = {source.name: self._activation(source.name, inputs)}
        with _rounded_kernels():
            for node in graph.nodes[1:]:
                sources = [values[name] for name in node.inputs]
                outputs = _call(backbone.get_layer(node.name), node, sources, training)
                values[node.name] = self._activation(node.name, outputs)
        return values[graph.nodes[-1].name]

    def _activation(self, node: str, values):
        """`values` of `node`, rounded and clipped to its grid."""
        if node not in self.scales:
            return values
        scale, zero_point = self.scales[node]
        low, high = scale * (-128 - zero_point), scale * (127 - zero_point)
        return tf.quantization.fake_quant_with_min_max_vars(values, low, high)


def quantized_kernel(kernel, axes: Sequence[int]):
    """`kernel` on 255 levels per output channel inside `FakeQuantization.run`, elsewhere unchanged.

    Args:
        axes: all axes but those of the output channels.
    """
    if not _rounds_kernels.get():
        return kernel
    kernel = tf.convert_to_tensor(kernel)
    largest = tf.reduce_max(tf.abs(kernel), axes, keepdims=True)
    scale = tf.maximum(largest, _SMALLEST_MAGNITUDE) / 127
    return kernel + tf.stop_gradient(tf.round(kernel / scale) * scale - kernel)


@contextmanager
def _rounded_kernels() -> Iterator[None]:
    token = _rounds_kernels.set(True)
    try:
        yield
    finally:
        _rounds_kernels.reset(token)


def _call(layer: keras.Layer, node: Node, sources: list, training: bool | None):
    options = {"training": training} if node.op == "batch_norm" else {}
    return layer(sources if len(sources) > 1 else sources[0], **options)
