"""The small vision networks of REDS: DS-CNN S for Fashion-MNIST and CIFAR-10; 10 logits.

Architecture from the trained nets (IEEE TMC 25(1):451). The odd windows of the average pooling
are theirs: one axis is averaged away, the other keeps 10 or 12 overlapping windows.
"""

from keras import Input, Model, layers

from tflm_reds.zoo.blocks import Style, conv, separable

LEAKY = Style(slope=0.3)


def ds_cnn(name: str, shape: tuple[int, int, int], window: tuple[int, int]) -> Model:
    """A 3x3 convolution of stride 2, four depthwise-separable ones, 64 channels, LeakyReLU."""
    inputs = Input(shape, name="image")
    x = conv(inputs, 64, (3, 3), "conv1", stride=(2, 2), style=LEAKY)
    for index in (1, 2, 3, 4):
        x = separable(x, 64, index, style=LEAKY)
    x = layers.AveragePooling2D(window, strides=(1, 1), name="pool")(x)
    x = layers.Flatten(name="flatten")(x)
    return Model(inputs, layers.Dense(10, name="fc")(x), name=name)


def ds_cnn_s_fashion_mnist() -> Model:
    """Input (28, 28, 1) in 0..1; 3,788,544 MACs."""
    return ds_cnn("ds_cnn_s_fashion_mnist", (28, 28, 1), (13, 5))


def ds_cnn_s_cifar10() -> Model:
    """Input (32, 32, 3), standardised; 5,234,176 MACs."""
    return ds_cnn("ds_cnn_s_cifar10", (32, 32, 3), (16, 5))
