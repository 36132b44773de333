"""Random Keras models for property tests: everything that a LayerGraph covers, in any order."""

import keras
import numpy as np
from hypothesis import strategies as st
from keras import layers
from keras_models import shake

from tflm_reds.graph import LayerGraph
from tflm_reds.plan import Plan

ACTIVATIONS = (None, "relu", "relu6", "leaky_relu", "hard_swish")


class RandomModel:
    """Builds a functional model from the choices that `draw` makes."""

    def __init__(self, draw) -> None:
        self.draw = draw

    def pick(self, *choices):
        return self.draw(st.sampled_from(choices))

    def count(self, low: int, high: int) -> int:
        return self.draw(st.integers(low, high))

    def model(self) -> keras.Model:
        inputs = keras.Input((self.count(6, 9), self.count(5, 8), self.count(1, 3)))
        x = inputs
        for _ in range(self.count(2, 4)):
            x = self.pick(
                self.convolution, self.convolution, self.depthwise, self.residual, self.residual,
                self.concatenation, self.separable, self.batch_norm, self.activation, self.pool,
                self.pad,
            )(x)  # fmt: skip
        x = self.pick(self.flat, self.flat_branches)(x)
        for _ in range(self.count(0, 2)):
            x = self.pick(self.dense, self.batch_norm, self.activation, self.flat_residual)(x)
        x = layers.Dense(3, activation=self.pick(None, "softmax"))(x)
        return keras.Model(inputs, x)

    def convolution(self, x, filters=None, keep_shape=False):
        strides, dilation = self.pick((1, 1), (2, 1), (1, 2)), self.pick((1, 1), (2, 1), (1, 2))
        if keep_shape or dilation != (1, 1):
            strides = (1, 1)
        kernel = self.pick((1, 1), (3, 3), (2, 3))
        x = layers.Conv2D(
            filters or self.count(2, 5),
            kernel,
            strides=strides,
            dilation_rate=dilation,
            padding="same" if keep_shape else self.padding(x),
            activation=self.pick(*ACTIVATIONS),
            use_bias=self.pick(True, False),
        )(x)
        return self.pick(self.batch_norm, self.same)(x)

    def depthwise(self, x):
        return layers.DepthwiseConv2D(
            self.pick((3, 3), (1, 2)),
            strides=self.pick(1, 2),
            padding=self.padding(x),
            depth_multiplier=self.pick(1, 2, 3),
            use_bias=self.pick(True, False),
        )(x)

    def separable(self, x):
        return layers.SeparableConv2D(
            self.count(2, 5), 3, padding="same", depth_multiplier=self.pick(1, 2)
        )(x)

    def residual(self, x):
        """Add of two or three branches; some tie, some reach channels that are never cut."""
        channels = x.shape[-1]
        branches = [
            self.pick(self.same, self.activation, self.branch)(x, channels=channels)
            for _ in range(self.pick(1, 1, 2))
        ]
        return layers.Add()([self.branch(x, channels), *branches])

    def concatenation(self, x):
        """Branches that may share their channels, nest, or multiply them."""
        branches = [
            self.pick(self.same, self.branch, self.doubled, self.residual, self.concatenation)(x)
            for _ in range(self.pick(2, 3))
        ]
        return layers.Concatenate()(branches) if x.shape[-1] < 30 else x

    def branch(self, x, channels=None):
        x = self.convolution(x, channels, keep_shape=True)
        return self.convolution(x, channels, keep_shape=True) if self.pick(True, False) else x

    def doubled(self, x):
        return layers.DepthwiseConv2D(3, padding="same", depth_multiplier=2)(x)

    def same(self, x, **_):
        return layers.Dropout(0.5)(x) if self.pick(True, False) else x

    def batch_norm(self, x):
        return layers.BatchNormalization(epsilon=self.pick(1e-3, 1e-2))(x)

    def activation(self, x, **_):
        if self.pick(True, False):
            return layers.PReLU(shared_axes=tuple(range(1, len(x.shape) - 1)))(x)
        return layers.Activation(self.pick(*ACTIVATIONS[1:]))(x)

    def pool(self, x):
        if min(x.shape[1:3]) < 2:
            return x
        pool = self.pick(layers.MaxPooling2D, layers.AveragePooling2D)
        return pool((2, self.pick(1, 2)), strides=self.pick(1, 2), padding="same")(x)

    def pad(self, x):
        return layers.ZeroPadding2D(((self.count(0, 1), 1), (0, self.count(0, 2))))(x)

    def padding(self, x) -> str:
        return self.pick("same", "valid") if min(x.shape[1:3]) > 4 else "same"

    def flat(self, x):
        """Position-major features, or one feature for each channel."""
        if self.pick(True, False):
            return self.dense(layers.Flatten()(x))
        return layers.GlobalAveragePooling2D()(x)

    def flat_branches(self, x):
        return layers.Concatenate()([layers.GlobalAveragePooling2D()(x), self.flat(x)])

    def dense(self, x):
        return layers.Dense(self.count(3, 6), activation=self.pick(None, "relu"))(x)

    def flat_residual(self, x):
        return layers.Dense(x.shape[-1])(x) + x


def random_model(draw) -> keras.Model:
    """A model with lived-in weights and gammas of both signs; `draw` as of hypothesis.data()."""
    keras.backend.clear_session()
    model = RandomModel(draw).model()
    return shake(model, draw(st.integers(0, 1000)), negative_gammas=True)


def random_plan(graph: LayerGraph, random: np.random.Generator, subnets: int = 3) -> Plan:
    """Nested widths by chance; the last subnet is the full network."""
    drawn = {
        group: [*np.sort(random.integers(1, size + 1, subnets - 1)), size]
        for group, size in graph.groups.items()
    }
    widths = tuple({g: int(w[k]) for g, w in drawn.items()} for k in range(subnets))
    budgets = tuple((k + 1) / subnets for k in range(subnets))
    macs = tuple(graph.macs(w) for w in widths)
    return Plan.from_widths(widths, macs, budgets)
