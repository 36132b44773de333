"""The fast batch normalisation against Keras's own: outputs, gradients, moving statistics."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from tflm_reds.batch_norm import FastBatchNormalization


def trained(layer: keras.layers.Layer, x: np.ndarray, upstream: np.ndarray) -> list[np.ndarray]:
    """Output, gradients and weights of `layer` after one training step on `x`."""
    layer.build(x.shape)
    size = x.shape[-1]
    layer.set_weights([np.linspace(0.5, 2, size), np.linspace(-1, 1, size),
                       np.zeros(size), np.ones(size)])  # fmt: skip
    inputs = tf.Variable(x)
    with tf.GradientTape() as tape:
        outputs = layer(inputs, training=True)
        loss = tf.reduce_sum(outputs * upstream)
    watched = [inputs, *(v.value for v in layer.trainable_variables)]
    gradients = tape.gradient(loss, watched)
    return [np.asarray(a) for a in (outputs, *gradients, *layer.get_weights())]


@pytest.mark.parametrize("shape", [(8, 5, 3, 32), (8, 5, 3, 7), (2, 1, 1, 1), (40, 9)])
def test_equals_keras(shape):
    random = np.random.default_rng(0)
    x = random.normal(3.0, 2.0, shape).astype(np.float32)
    upstream = random.normal(size=shape).astype(np.float32)
    expected = trained(keras.layers.BatchNormalization(momentum=0.9), x, upstream)
    actual = trained(FastBatchNormalization(momentum=0.9), x, upstream)
    for ours, theirs in zip(actual, expected, strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=2e-4, atol=2e-4)


def test_inference_uses_the_moving_statistics():
    layer = FastBatchNormalization()
    layer.build((None, 4, 4, 3))
    layer.set_weights([np.full(3, 2.0), np.ones(3), np.full(3, 5.0), np.full(3, 4.0)])
    outputs = layer(np.full((1, 4, 4, 3), 7.0, np.float32), training=False)
    np.testing.assert_allclose(outputs, 3.0, rtol=1e-3)
