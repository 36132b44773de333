"""Layers that the reference architectures are made of; a block's layers share its name."""

from keras import KerasTensor, layers


def dense_relu(x: KerasTensor, units: int, name: str) -> KerasTensor:
    """Dense, ReLU."""
    return layers.ReLU(name=f"{name}_relu")(layers.Dense(units, name=name)(x))


def norm_relu(x: KerasTensor, name: str, momentum: float = 0.99) -> KerasTensor:
    """Batch normalisation (epsilon 1e-3, as in the pretrained nets) and ReLU."""
    x = layers.BatchNormalization(momentum=momentum, epsilon=1e-3, name=f"{name}_bn")(x)
    return layers.ReLU(name=f"{name}_relu")(x)


def conv(
    x: KerasTensor,
    filters: int,
    kernel: tuple[int, int],
    name: str,
    stride: tuple[int, int] = (1, 1),
    padding: str = "same",
    momentum: float = 0.99,
) -> KerasTensor:
    """Convolution with bias, batch normalisation, ReLU."""
    x = layers.Conv2D(filters, kernel, strides=stride, padding=padding, name=name)(x)
    return norm_relu(x, name, momentum)


def separable(
    x: KerasTensor,
    filters: int,
    index: int,
    stride: tuple[int, int] = (1, 1),
    momentum: float = 0.99,
) -> KerasTensor:
    """Depthwise 3x3 `dw<index>` and pointwise `pw<index>`, each with normalisation and ReLU."""
    name = f"dw{index}"
    x = layers.DepthwiseConv2D((3, 3), strides=stride, padding="same", name=name)(x)
    x = norm_relu(x, name, momentum)
    return conv(x, filters, (1, 1), f"pw{index}", momentum=momentum)
