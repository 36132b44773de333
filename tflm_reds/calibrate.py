"""Ranges of every activation over calibration data: the union over all subnets."""

from collections.abc import Mapping, Sequence

import keras
import numpy as np
import tensorflow as tf

from tflm_reds.nested_model import NestedModel

Ranges = Mapping[str, tuple[float, float]]
"""(lowest, highest) value by node name."""


def calibrate(
    nested: NestedModel, x: np.ndarray, nodes: Sequence[str], batch_size: int = 256
) -> dict[str, tuple[float, float]]:
    """Range of the outputs of `nodes` over `x` [n, *input shape] in every subnet."""
    ranges: dict[str, tuple[float, float]] = {}
    for k in range(nested.subnet_count):
        for name, (low, high) in _subnet_ranges(nested.subnet(k), x, nodes, batch_size).items():
            known = ranges.get(name, (low, high))
            ranges[name] = (min(low, known[0]), max(high, known[1]))
    return ranges


def _subnet_ranges(
    model: keras.Model, x: np.ndarray, nodes: Sequence[str], batch_size: int
) -> dict[str, tuple[float, float]]:
    probe = keras.Model(model.inputs, [model.get_layer(name).output for name in nodes])

    @tf.function(reduce_retracing=True)
    def extremes(batch):
        outputs = probe(batch, training=False)
        return [(tf.reduce_min(o), tf.reduce_max(o)) for o in outputs]

    parts = [
        extremes(tf.constant(x[start : start + batch_size], tf.float32))
        for start in range(0, len(x), batch_size)
    ]
    return {
        name: (
            min(float(part[i][0]) for part in parts),
            max(float(part[i][1]) for part in parts),
        )
        for i, name in enumerate(nodes)
    }
