"""Keras layers that compute a leading slice of their units, chosen at trace time.

`with subnet_scope(k): model(x)` traces subnet k with static shapes; outside any scope the layers
compute the full network. Batch-norm is a set of stock layers, one for each subnet.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar

import keras
from keras import layers, ops

from tflm_reds.permute import SMALLEST_GAMMA

_active: ContextVar[int] = ContextVar("active_subnet", default=-1)


@contextmanager
def subnet_scope(subnet: int) -> Iterator[None]:
    """Make nested layers called inside compute `subnet`."""
    token = _active.set(subnet)
    try:
        yield
    finally:
        _active.reset(token)


def active_subnet() -> int:
    """The subnet of the innermost scope; -1, the full network, outside any."""
    return _active.get()


@keras.saving.register_keras_serializable("tflm_reds")
class NestedConv2D(layers.Conv2D):
    """Conv2D of which subnet k uses the first `widths[k]` filters on the channels that arrive."""

    def __init__(self, widths: Sequence[int], **kwargs) -> None:
        super().__init__(filters=widths[-1], **kwargs)
        self.widths = tuple(widths)

    def build(self, input_shape) -> None:
        super().build(input_shape)
        self.input_spec = layers.InputSpec(ndim=4)

    def call(self, inputs):
        width = self.widths[active_subnet()]
        outputs = ops.conv(
            inputs,
            self.kernel[:, :, : inputs.shape[-1], :width],
            strides=list(self.strides),
            padding=self.padding,
            dilation_rate=self.dilation_rate,
            data_format="channels_last",
        )
        return outputs + self.bias[:width] if self.use_bias else outputs

    def get_config(self) -> dict:
        config = super().get_config()
        del config["filters"]
        return config | {"widths": self.widths}


@keras.saving.register_keras_serializable("tflm_reds")
class NestedDepthwiseConv2D(layers.DepthwiseConv2D):
    """DepthwiseConv2D over however many leading channels arrive."""

    def build(self, input_shape) -> None:
        super().build(input_shape)
        self.input_spec = layers.InputSpec(ndim=4)

    def call(self, inputs):
        channels = inputs.shape[-1]
        outputs = ops.depthwise_conv(
            inputs,
            self.kernel[:, :, :channels],
            strides=self.strides,
            padding=self.padding,
            dilation_rate=self.dilation_rate,
            data_format="channels_last",
        )
        return outputs + self.bias[:channels] if self.use_bias else outputs


@keras.saving.register_keras_serializable("tflm_reds")
class NestedDense(layers.Dense):
    """Dense of which subnet k uses the first `widths[k]` units.

    After Flatten the features are position-major, feature = position * channels + channel, so
    that cutting channels takes a prefix of the rows of *every* position.
    """

    def __init__(self, widths: Sequence[int], positions: int = 1, **kwargs) -> None:
        super().__init__(units=widths[-1], **kwargs)
        self.widths = tuple(widths)
        self.positions = positions

    def build(self, input_shape) -> None:
        super().build(input_shape)
        self.input_spec = layers.InputSpec(ndim=2)

    def call(self, inputs):
        width, features = self.widths[active_subnet()], inputs.shape[-1]
        rows = ops.reshape(self.kernel, (self.positions, -1, self.units))
        rows = rows[:, : features // self.positions, :width]
        outputs = ops.matmul(inputs, ops.reshape(rows, (features, width)))
        return outputs + self.bias[:width] if self.use_bias else outputs

    def get_config(self) -> dict:
        config = super().get_config()
        del config["units"]
        return config | {"widths": self.widths, "positions": self.positions}


@keras.saving.register_keras_serializable("tflm_reds")
class NestedBatchNormalization(layers.Layer):
    """One BatchNormalization for each subnet: shared statistics drop a subnet to chance."""

    def __init__(
        self, widths: Sequence[int], epsilon: float = 1e-3, momentum: float = 0.9, **kwargs
    ) -> None:
        super().__init__(**kwargs)
        self.widths, self.epsilon, self.momentum = tuple(widths), epsilon, momentum
        self.norms = [
            layers.BatchNormalization(
                epsilon=epsilon,
                momentum=momentum,
                gamma_constraint=SmallestGamma(),
                name=f"subnet_{k}",
            )
            for k in range(len(self.widths))
        ]

    def build(self, input_shape) -> None:
        for norm, width in zip(self.norms, self.widths, strict=True):
            norm.build((*input_shape[:-1], width))

    def call(self, inputs, training=None):
        return self.norms[active_subnet()](inputs, training=training)

    def compute_output_shape(self, input_shape):
        return input_shape

    def get_config(self) -> dict:
        config = {"widths": self.widths, "epsilon": self.epsilon, "momentum": self.momentum}
        return super().get_config() | config


@keras.saving.register_keras_serializable("tflm_reds")
class SmallestGamma(keras.constraints.Constraint):
    """Keeps a batch-norm scale positive, so that requantisation multipliers are positive too."""

    def __call__(self, w):
        return ops.maximum(w, SMALLEST_GAMMA)
