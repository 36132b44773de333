"""The keyword-spotting networks of "Hello Edge" (arXiv 1711.07128), as REDS uses them.

Input: 10 MFCCs per frame, float32: 49 frames (49, 10, 1), or for the DNN every second one, (250,).
Output: 12 logits in the order silence, unknown, yes, no, up, down, left, right, on, off, stop, go.
Sizes S and L: IEEE TMC 25(1):451, its supplement.
"""

from keras import Input, Model, layers

from tflm_reds.zoo.blocks import conv, dense_relu, norm_relu, separable

CLASSES = 12


def dnn(name: str, units: int) -> Model:
    """Three hidden layers of `units` neurons."""
    x = inputs = Input((250,), name="mfcc")
    for index in (1, 2, 3):
        x = dense_relu(x, units, f"fc{index}")
    return Model(inputs, layers.Dense(CLASSES, name="fc")(x), name=name)


def cnn(name: str, first: int, second: int, bottleneck: int) -> Model:
    """Two 10x4 convolutions of `first` and `second` filters, then dense layers."""
    inputs = Input((49, 10, 1), name="mfcc")
    x = conv(inputs, first, (10, 4), "conv1", padding="valid")
    x = conv(x, second, (10, 4), "conv2", stride=(2, 1), padding="valid")
    x = layers.Flatten(name="flatten")(x)
    x = layers.Dense(bottleneck, name="fc1")(x)
    x = norm_relu(layers.Dense(128, name="fc2")(x), "fc2")
    return Model(inputs, layers.Dense(CLASSES, name="fc")(x), name=name)


def ds_cnn(
    name: str, channels: int, blocks: int, stride: tuple[int, int], first_stride: tuple[int, int]
) -> Model:
    """One 10x4 convolution and `blocks` depthwise-separable ones, all of `channels` channels.

    Args:
        stride: of the first convolution, (frames, coefficients).
        first_stride: of the first depthwise convolution; "same" padding, as in the pretrained nets.
    """
    inputs = Input((49, 10, 1), name="mfcc")
    x = conv(inputs, channels, (10, 4), "conv1", stride=stride)
    for index in range(1, blocks + 1):
        x = separable(x, channels, index, first_stride if index == 1 else (1, 1))
    x = layers.GlobalAveragePooling2D(name="pool")(x)
    return Model(inputs, layers.Dense(CLASSES, name="fc")(x), name=name)


def dnn_s_kws() -> Model:
    """79,644 parameters, 79,200 MACs."""
    return dnn("dnn_s_kws", 144)


def dnn_l_kws() -> Model:
    """495,744 parameters, 494,424 MACs."""
    return dnn("dnn_l_kws", 436)


def cnn_s_kws() -> Model:
    """2,498,304 MACs."""
    return cnn("cnn_s_kws", 28, 30, 16)


def cnn_l_kws() -> Model:
    """12,636,672 MACs."""
    return cnn("cnn_l_kws", 60, 76, 58)


def ds_cnn_s_kws() -> Model:
    """24,908 parameters, 2,656,768 MACs."""
    return ds_cnn("ds_cnn_s_kws", 64, 4, (2, 2), (1, 1))


def ds_cnn_l_kws() -> Model:
    """422,844 parameters, 28,327,812 MACs."""
    return ds_cnn("ds_cnn_l_kws", 276, 5, (2, 1), (2, 2))
