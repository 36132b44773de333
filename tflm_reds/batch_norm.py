"""Batch normalisation that trains fast on a CPU; the same numbers as Keras's, to rounding.

Keras composes it of a dozen element-wise operations and slow reductions, which take more of a
training step on a CPU than all convolutions together.
"""

import tensorflow as tf
from keras import layers

_FUSED_MULTIPLE = 16  # TensorFlow's fused op vectorises over so many channels, or crawls


class FastBatchNormalization(layers.BatchNormalization):
    """BatchNormalization over the last axis of [n, height, width, channels]."""

    def add_weight(self, *args, **options):
        """Under `tf.distribute`, replicas average their statistics; Keras lets them drift apart."""
        if not options.get("trainable", True):
            options = {"aggregation": "mean"} | options
        return super().add_weight(*args, **options)

    def call(self, inputs, training=None, mask=None):
        if not training or not self.trainable or len(inputs.shape) != 4:
            return super().call(inputs, training=training, mask=mask)
        gamma, beta = tf.convert_to_tensor(self.gamma), tf.convert_to_tensor(self.beta)
        outputs, mean, variance = normalize(inputs, gamma, beta, self.epsilon)
        for moving, value in ((self.moving_mean, mean), (self.moving_variance, variance)):
            moving.assign(moving * self.momentum + value * (1.0 - self.momentum))
        return outputs


def normalize(x, gamma, beta, epsilon: float):
    """(normalised x, batch mean, biased batch variance) of x [n, height, width, channels]."""
    if x.shape[-1] % _FUSED_MULTIPLE:
        return _normalize_by_sums(x, gamma, beta, epsilon)
    outputs, mean, variance = tf.compat.v1.nn.fused_batch_norm(
        x, gamma, beta, epsilon=epsilon, is_training=True
    )
    count = _count(x)
    return outputs, mean, variance * ((count - 1) / count)  # the op's own is the unbiased one


def _normalize_by_sums(x, gamma, beta, epsilon: float):
    @tf.custom_gradient
    def normalized(x, gamma, beta):
        count = _count(x)
        mean = _channel_sums(x) / count
        variance = _channel_sums(tf.math.squared_difference(x, mean)) / count
        inverse = tf.math.rsqrt(variance + epsilon)
        scale = gamma * inverse

        def gradients(upstream, *_):
            d_beta = _channel_sums(upstream)
            d_gamma = (_channel_sums(upstream * x) - mean * d_beta) * inverse
            slope = d_gamma * inverse * scale / count
            d_x = upstream * scale - x * slope + (mean * slope - d_beta * scale / count)
            return d_x, d_gamma, d_beta

        return (x * scale + (beta - mean * scale), mean, variance), gradients

    return normalized(x, gamma, beta)


@tf.custom_gradient
def scale_and_shift(x, scale, offset):
    """x * scale + offset; `scale` and `offset` have one value for each channel."""

    def gradients(upstream):
        return upstream * scale, _channel_sums(upstream * x), _channel_sums(upstream)

    return x * scale + offset, gradients


def channel_means(x):
    """Mean over all axes but the last."""
    return _channel_sums(x) / _count(x)


def _count(x):
    """Values per channel, as float."""
    return tf.cast(tf.reduce_prod(tf.shape(x)[:-1]), x.dtype)


def _channel_sums(x):
    """Sum over all axes but the last: the fastest of TensorFlow's reductions for this."""
    return tf.raw_ops.BiasAddGrad(out_backprop=x)
