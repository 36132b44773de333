"""Normalisation layers of nested subnets; how much of a batch-norm the subnets share.

A batch-norm is y = gamma * (x - mean) / sqrt(variance + epsilon) + beta. As int8 its scale goes
into each output channel's multiplier and shift (5 bytes), its offset into the bias (4 bytes): what
all subnets share is stored once. `BATCH_NORMS` names the three ways.
"""

from collections.abc import Sequence

import keras
import numpy as np
from keras import layers, ops

from tflm_reds.batch_norm import FastBatchNormalization, channel_means, scale_and_shift
from tflm_reds.errors import ModelError
from tflm_reds.nested_layers import (
    NestedAxis,
    active_subnet,
    full_size,
    leading,
    subnet_scope,
)
from tflm_reds.permute import SMALLEST_GAMMA

Arrays = list[np.ndarray]


@keras.saving.register_keras_serializable("tflm_reds")
class SmallestGamma(keras.constraints.Constraint):
    """Keeps a batch-norm scale positive, so that requantisation multipliers are positive too."""

    def __call__(self, w):
        return ops.maximum(w, SMALLEST_GAMMA)


class NestedNormalization(layers.Layer):
    """A normalisation of the channels that arrive, in every subnet.

    Args:
        makes: the channels of each subnet.
        epsilon: added to the variance.
    """

    def __init__(self, makes: NestedAxis, epsilon: float = 1e-3, **kwargs) -> None:
        super().__init__(**kwargs)
        self.makes, self.epsilon = makes, epsilon

    @property
    def widths(self) -> tuple[int, ...]:
        """Channels of each subnet."""
        return tuple(map(sum, zip(*(widths for _, widths in self.makes), strict=True)))

    def subnet_weights(self, subnet: int) -> Arrays:
        """Weights of one subnet, as its stock layer has them."""
        raise NotImplementedError

    def set_subnet_weights(self, weights: Sequence[Arrays]) -> None:
        """Start from these weights of every subnet; of what they share, the full network's."""
        raise NotImplementedError

    def measuring(self, subnet: int) -> list[layers.Layer]:
        """Layers whose `momentum` rules how statistics of `subnet` follow its training batches."""
        return []

    def compute_output_shape(self, input_shape):
        return input_shape

    def get_config(self) -> dict:
        return super().get_config() | {"makes": self.makes, "epsilon": self.epsilon}


class _OneForEachSubnet(NestedNormalization):
    """One stock normalisation layer for each subnet, in `norms`."""

    def __init__(self, makes: NestedAxis, **kwargs) -> None:
        super().__init__(makes, **kwargs)
        self.norms = [self.make_norm(f"subnet_{k}") for k in range(len(self.widths))]

    def make_norm(self, name: str) -> keras.Layer:
        """The normalisation of one subnet."""
        raise NotImplementedError

    def build(self, input_shape) -> None:
        for norm, width in zip(self.norms, self.widths, strict=True):
            norm.build((*input_shape[:-1], width))

    def call(self, inputs, training=None):
        return self.norms[active_subnet()](inputs, training=training)

    def subnet_weights(self, subnet: int) -> Arrays:
        return self.norms[subnet].get_weights()

    def set_subnet_weights(self, weights: Sequence[Arrays]) -> None:
        for norm, own in zip(self.norms, weights, strict=True):
            norm.set_weights(own)


@keras.saving.register_keras_serializable("tflm_reds")
class NestedLayerNormalization(_OneForEachSubnet):
    """One LayerNormalization for each subnet: a token's statistics change with its width."""

    def make_norm(self, name: str) -> keras.Layer:
        return layers.LayerNormalization(epsilon=self.epsilon, name=name)

    def call(self, inputs, training=None):
        return self.norms[active_subnet()](inputs)


class _BatchNormalization(NestedNormalization):
    """What the batch-norms have in common: statistics that follow batches with a momentum."""

    def __init__(self, makes: NestedAxis, momentum: float = 0.9, **kwargs) -> None:
        self.momentum = momentum
        super().__init__(makes, **kwargs)

    def get_config(self) -> dict:
        return super().get_config() | {"momentum": self.momentum}


@keras.saving.register_keras_serializable("tflm_reds")
class NestedBatchNormalization(_BatchNormalization, _OneForEachSubnet):
    """Nothing is shared: statistics of another subnet drop a subnet to chance before training."""

    def make_norm(self, name: str) -> keras.Layer:
        return FastBatchNormalization(
            epsilon=self.epsilon,
            momentum=self.momentum,
            gamma_constraint=SmallestGamma(),
            name=name,
        )

    def measuring(self, subnet: int) -> list[layers.Layer]:
        return [self.norms[subnet]]


class _OneScale(_BatchNormalization):
    """gamma / sqrt(variance + epsilon) is shared; gamma trains, the variance stays."""

    def build(self, input_shape) -> None:
        self.gamma = self.add_channels("gamma", "ones", constraint=SmallestGamma())
        self.moving_variance = self.add_channels("moving_variance", "ones", trainable=False)

    def add_channels(self, name: str, initializer: str, size: int | None = None, **kwargs):
        """A weight for each of `size` channels, by default all."""
        shape = (size or full_size(self.makes),)
        return self.add_weight(shape=shape, initializer=initializer, name=name, **kwargs)

    def leading(self, weight):
        """What the active subnet uses of a shared weight."""
        return leading(weight, 0, self.makes)

    def call(self, inputs, training=None):
        scale = self.leading(self.gamma) * ops.rsqrt(
            self.leading(self.moving_variance) + self.epsilon
        )
        mean, beta = self.mean_and_beta(inputs, training and self.trainable)
        return scale_and_shift(inputs, scale, beta - mean * scale)

    def mean_and_beta(self, inputs, training):
        """Of the active subnet; in training its mean follows the inputs."""
        raise NotImplementedError

    def subnet_weights(self, subnet: int) -> Arrays:
        with subnet_scope(subnet):
            mean, beta = self.mean_and_beta(None, False)
            shared = self.leading(self.gamma), self.leading(self.moving_variance)
        return [np.array(a) for a in (shared[0], beta, mean, shared[1])]


@keras.saving.register_keras_serializable("tflm_reds")
class SharedScaleBatchNormalization(_OneScale):
    """One scale; mean and beta of each subnet's own: only biases differ between the subnets."""

    def build(self, input_shape) -> None:
        super().build(input_shape)
        self.betas, self.moving_means = [], []
        for k, width in enumerate(self.widths):
            self.betas.append(self.add_channels(f"beta_{k}", "zeros", width))
            # Replicas of tf.distribute average their statistics.
            options = {"trainable": False, "aggregation": "mean"}
            self.moving_means.append(
                self.add_channels(f"moving_mean_{k}", "zeros", width, **options)
            )

    def mean_and_beta(self, inputs, training):
        mean, beta = self.moving_means[active_subnet()], self.betas[active_subnet()]
        if not training:
            return ops.convert_to_tensor(mean), ops.convert_to_tensor(beta)
        batch_mean = channel_means(inputs)
        mean.assign(mean * self.momentum + batch_mean * (1.0 - self.momentum))
        return batch_mean, ops.convert_to_tensor(beta)

    def set_subnet_weights(self, weights: Sequence[Arrays]) -> None:
        self.gamma.assign(weights[-1][0])
        self.moving_variance.assign(weights[-1][3])
        for k, (_, beta, mean, _) in enumerate(weights):
            self.betas[k].assign(beta)
            self.moving_means[k].assign(mean)

    def measuring(self, subnet: int) -> list[layers.Layer]:
        return [self]


@keras.saving.register_keras_serializable("tflm_reds")
class SharedBatchNormalization(_OneScale):
    """All is shared, as if folded into the kernel; the statistics stay the full network's."""

    def build(self, input_shape) -> None:
        super().build(input_shape)
        self.beta = self.add_channels("beta", "zeros")
        self.moving_mean = self.add_channels("moving_mean", "zeros", trainable=False)

    def mean_and_beta(self, inputs, training):
        return self.leading(self.moving_mean), self.leading(self.beta)

    def set_subnet_weights(self, weights: Sequence[Arrays]) -> None:
        gamma, beta, mean, variance = weights[-1]
        self.gamma.assign(gamma)
        self.beta.assign(beta)
        self.moving_mean.assign(mean)
        self.moving_variance.assign(variance)


BATCH_NORMS = {
    "per_subnet": NestedBatchNormalization,
    "shared_scale": SharedScaleBatchNormalization,
    "shared": SharedBatchNormalization,
}
"""How much of the batch-norms the subnets share: nothing, the scale, everything."""


def batch_norm_class(mode: str) -> type[NestedNormalization]:
    """The layer of one of `BATCH_NORMS`.

    Raises:
        ModelError: if there is no such mode.
    """
    if mode not in BATCH_NORMS:
        raise ModelError(
            f"batch_norm={mode!r} does not exist. Use one of {', '.join(BATCH_NORMS)}."
        )
    return BATCH_NORMS[mode]
