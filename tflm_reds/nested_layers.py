"""Keras layers that compute a leading slice of their units, chosen at trace time.

`with subnet_scope(k): model(x)` traces subnet k with static shapes; outside any scope the layers
compute the full network. Normalisations are in `nested_norms`.

A *nested axis* says what of a weight's axis each subnet uses: for each part of it (one for each
branch that was concatenated), the channels of the full network and those of every subnet:
((64, (16, 32, 64)), (8, (8, 8, 8))).
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar

import keras
import tensorflow as tf
from keras import layers, ops

from tflm_reds.fake_quantization import quantized_kernel
from tflm_reds.token_layers import PositionEmbedding

NestedAxis = Sequence[tuple[int, Sequence[int]]]

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


def leading(array, number: int, axis: NestedAxis):
    """What the active subnet uses of axis `number` of `array`: the head of every part."""
    pieces, start = [], 0
    for full, widths in axis:
        stop = start + widths[active_subnet()]
        pieces.append(array[(slice(None),) * number + (slice(start, stop),)])
        start += full
    return pieces[0] if len(pieces) == 1 else ops.concatenate(pieces, number)


def full_size(axis: NestedAxis) -> int:
    """Channels of the whole axis."""
    return sum(full for full, _ in axis)


@keras.saving.register_keras_serializable("tflm_reds")
class NestedConv2D(layers.Conv2D):
    """Conv2D of which a subnet uses the leading filters, on the leading channels of each part."""

    def __init__(self, reads: NestedAxis, makes: NestedAxis, **kwargs) -> None:
        super().__init__(filters=full_size(makes), **kwargs)
        self.reads, self.makes = reads, makes

    def build(self, input_shape) -> None:
        super().build(input_shape)
        self.input_spec = layers.InputSpec(ndim=4)

    def call(self, inputs):
        kernel = quantized_kernel(self.kernel, axes=(0, 1, 2))
        outputs = ops.conv(
            inputs,
            leading(leading(kernel, 2, self.reads), 3, self.makes),
            strides=list(self.strides),
            padding=self.padding,
            dilation_rate=self.dilation_rate,
            data_format="channels_last",
        )
        return (
            tf.nn.bias_add(outputs, leading(self.bias, 0, self.makes)) if self.use_bias else outputs
        )

    def get_config(self) -> dict:
        config = super().get_config()
        del config["filters"]
        return config | {"reads": self.reads, "makes": self.makes}


@keras.saving.register_keras_serializable("tflm_reds")
class NestedDepthwiseConv2D(layers.DepthwiseConv2D):
    """DepthwiseConv2D over the leading channels of each part that arrives."""

    def __init__(self, reads: NestedAxis, makes: NestedAxis, **kwargs) -> None:
        super().__init__(**kwargs)
        self.reads, self.makes = reads, makes

    def build(self, input_shape) -> None:
        super().build(input_shape)
        self.input_spec = layers.InputSpec(ndim=4)

    def call(self, inputs):
        outputs = ops.depthwise_conv(
            inputs,
            leading(quantized_kernel(self.kernel, axes=(0, 1)), 2, self.reads),
            strides=self.strides,
            padding=self.padding,
            dilation_rate=self.dilation_rate,
            data_format="channels_last",
        )
        return (
            tf.nn.bias_add(outputs, leading(self.bias, 0, self.makes)) if self.use_bias else outputs
        )

    def get_config(self) -> dict:
        return super().get_config() | {"reads": self.reads, "makes": self.makes}


@keras.saving.register_keras_serializable("tflm_reds")
class NestedDense(layers.Dense):
    """Dense of which a subnet uses the leading units, on the leading channels of each part.

    After Flatten the features are position-major, feature = position * channels + channel, so
    that cutting channels takes a prefix of the rows of *every* position.
    """

    def __init__(self, reads: NestedAxis, makes: NestedAxis, positions: int = 1, **kwargs) -> None:
        super().__init__(units=full_size(makes), **kwargs)
        self.reads, self.makes, self.positions = reads, makes, positions

    def build(self, input_shape) -> None:
        super().build(input_shape)
        self.input_spec = layers.InputSpec(min_ndim=2)

    def call(self, inputs):
        kernel = quantized_kernel(self.kernel, axes=(0,))
        rows = ops.reshape(kernel, (self.positions, -1, self.units))
        kernel = leading(leading(rows, 1, self.reads), 2, self.makes)
        outputs = ops.matmul(inputs, ops.reshape(kernel, (inputs.shape[-1], -1)))
        return outputs + leading(self.bias, 0, self.makes) if self.use_bias else outputs

    def get_config(self) -> dict:
        config = super().get_config()
        del config["units"]
        options = {"reads": self.reads, "makes": self.makes, "positions": self.positions}
        return config | options


@keras.saving.register_keras_serializable("tflm_reds")
class NestedPReLU(layers.PReLU):
    """PReLU with the leading slopes of each part that arrives; one slope for each channel."""

    def __init__(self, makes: NestedAxis, **kwargs) -> None:
        super().__init__(**kwargs)
        self.makes = makes

    def build(self, input_shape) -> None:
        super().build(input_shape)
        self.input_spec = layers.InputSpec(min_ndim=2)

    def call(self, inputs):
        alpha = leading(self.alpha, len(self.alpha.shape) - 1, self.makes)
        return ops.relu(inputs) - alpha * ops.relu(-inputs)

    def get_config(self) -> dict:
        return super().get_config() | {"makes": self.makes}


@keras.saving.register_keras_serializable("tflm_reds")
class NestedPositionEmbedding(PositionEmbedding):
    """PositionEmbedding of the leading channels of each part that arrives."""

    def __init__(self, makes: NestedAxis, **kwargs) -> None:
        super().__init__(**kwargs)
        self.makes = makes

    def call(self, inputs):
        return inputs + leading(self.embedding, 1, self.makes)

    def get_config(self) -> dict:
        return super().get_config() | {"makes": self.makes}
