"""Corrects what int8 shifts each channel by on average (Nagel et al., ICCV 2019, section 4.2).

Rounded weights and clipped activations move the mean of a layer's outputs, and so does TFLM's
LEAKY_RELU, which rounds negative values twice. A layer's bias takes the mean error away at no cost
at run time: layer after layer, because the correction of one changes the inputs of the next. Only
behind a batch-norm has each subnet a bias of its own; and where an activation is fused, the int8
output does not tell the mean before it.
"""

from collections.abc import Mapping
from dataclasses import replace

import keras
import numpy as np

from tflm_reds.graph import Node
from tflm_reds.nested_model import NestedModel
from tflm_reds.quantized import LARGEST_BIAS, QuantizedNet, QuantOp
from tflm_reds.reference import run_op
from tflm_reds.sampling import spread

SAMPLES = 128


def correct_biases(
    net: QuantizedNet, nested: NestedModel, nodes: Mapping[str, Node], x: np.ndarray
) -> QuantizedNet:
    """`net` with the biases of each subnet corrected where they are its own.

    Args:
        nodes: of `nested`, the one whose output each tensor of `net` holds.
        x: calibration inputs, float32 [n, *input shape]; at most SAMPLES of them are used.
    """
    corrected = {name: node.name for name, node in nodes.items() if node.op == "batch_norm"}
    if not corrected or nested.batch_norm == "shared":
        return net
    x = spread(x, SAMPLES)
    for subnet in range(net.subnet_count):
        means = _float_means(nested.subnet(subnet), corrected, x)
        net = _correct_subnet(net, subnet, means, x)
    return net


def _correct_subnet(
    net: QuantizedNet, subnet: int, wanted: Mapping[str, np.ndarray], x: np.ndarray
) -> QuantizedNet:
    values = {net.input.name: net.quantize_input(x)}
    ops = []
    for op in net.ops:
        inputs = [values[name] for name in op.inputs]
        output = run_op(net, op, subnet, inputs)
        if op.output in wanted:
            op = _corrected(net, op, subnet, wanted[op.output] - _means(net, op, output))
            output = run_op(net, op, subnet, inputs)
        values[op.output] = output
        ops.append(op)
    return replace(net, ops=tuple(ops))


def _float_means(
    model: keras.Model, nodes: Mapping[str, str], x: np.ndarray
) -> dict[str, np.ndarray]:
    """Mean of each channel by tensor; `nodes` names the layer whose output it is."""
    outputs = {tensor: model.get_layer(name).output for tensor, name in nodes.items()}
    values = keras.Model(model.inputs[0], outputs)(x, training=False)
    return {tensor: _channel_means(np.array(value)) for tensor, value in values.items()}


def _means(net: QuantizedNet, op: QuantOp, output: np.ndarray) -> np.ndarray:
    target = net.target(op)
    return _channel_means(output.astype(np.float64) - target.zero_point) * target.scale


def _corrected(net: QuantizedNet, op: QuantOp, subnet: int, error: np.ndarray) -> QuantOp:
    step = net.source(op).scale * op.scales[subnet].astype(np.float64)
    biases = list(op.biases)
    moved = biases[subnet] + np.round(error / step)
    biases[subnet] = np.clip(moved, -LARGEST_BIAS, LARGEST_BIAS).astype(np.int32)
    return replace(op, biases=tuple(biases))


def _channel_means(values: np.ndarray) -> np.ndarray:
    return values.reshape(-1, values.shape[-1]).mean(axis=0, dtype=np.float64)
