"""Layers that the reference architectures are made of; a block's layers share its name."""

from dataclasses import dataclass

from keras import KerasTensor, layers


@dataclass(frozen=True)
class Style:
    """What the blocks of one network have in common.

    Attributes:
        momentum: of the batch-norm averages.
        slope: of the ReLU below zero.
        bias: whether convolutions have one.
    """

    momentum: float = 0.99
    slope: float = 0.0
    bias: bool = True


PLAIN = Style()


def dense_relu(x: KerasTensor, units: int, name: str) -> KerasTensor:
    """Dense, ReLU."""
    return layers.ReLU(name=f"{name}_relu")(layers.Dense(units, name=name)(x))


def norm(x: KerasTensor, name: str, style: Style = PLAIN) -> KerasTensor:
    """Batch normalisation (epsilon 1e-3, as in the pretrained nets)."""
    return layers.BatchNormalization(momentum=style.momentum, epsilon=1e-3, name=f"{name}_bn")(x)


def norm_relu(x: KerasTensor, name: str, style: Style = PLAIN) -> KerasTensor:
    """Batch normalisation and (leaky) ReLU."""
    x = norm(x, name, style)
    return layers.ReLU(negative_slope=style.slope, name=f"{name}_relu")(x)


def conv(
    x: KerasTensor,
    filters: int,
    kernel: tuple[int, int],
    name: str,
    stride: tuple[int, int] = (1, 1),
    padding: str = "same",
    style: Style = PLAIN,
) -> KerasTensor:
    """Convolution, batch normalisation, ReLU."""
    x = layers.Conv2D(
        filters, kernel, strides=stride, padding=padding, use_bias=style.bias, name=name
    )(x)
    return norm_relu(x, name, style)


def separable(
    x: KerasTensor,
    filters: int,
    index: int,
    stride: tuple[int, int] = (1, 1),
    style: Style = PLAIN,
) -> KerasTensor:
    """Depthwise 3x3 `dw<index>` and pointwise `pw<index>`, each with normalisation and ReLU."""
    name = f"dw{index}"
    x = layers.DepthwiseConv2D(
        (3, 3), strides=stride, padding="same", use_bias=style.bias, name=name
    )(x)
    x = norm_relu(x, name, style)
    return conv(x, filters, (1, 1), f"pw{index}", style=style)
