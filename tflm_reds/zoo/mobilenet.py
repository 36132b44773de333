"""MobileNetV1 (arXiv 1704.04861) for Visual Wake Words: person or no person; 2 logits."""

from keras import Input, Model, layers

from tflm_reds.zoo.blocks import Style, conv, separable

FILTERS = (64, 128, 128, 256, 256, 512, 512, 512, 512, 512, 512, 1024, 1024)
STRIDES = (1, 2, 1, 2, 1, 2, 1, 1, 1, 1, 1, 2, 1)
SHAPE = (96, 96, 3)


def mobilenet_v1_025_vww() -> Model:
    """Width 0.25 as in MLPerf Tiny (arXiv 2106.07597); input in 0..1; 7,489,664 MACs.

    Its softmax is left out: all nets of the zoo put out logits.
    """
    return _mobilenet_v1("mobilenet_v1_025_vww", 0.25, Style(), dropout=0.0)


def mobilenet_v1_100_vww() -> Model:
    """Width 1.0 as in REDS: LeakyReLU, convolutions without bias; input in -1..1.

    104,276,480 MACs. "Same" padding is the reference's zero padding below and to the right, since
    all maps that are halved have even sizes.
    """
    style = Style(slope=0.3, bias=False)
    return _mobilenet_v1("mobilenet_v1_100_vww", 1.0, style, dropout=1e-3)


def _mobilenet_v1(name: str, width: float, style: Style, dropout: float) -> Model:
    inputs = Input(SHAPE, name="image")
    x = conv(inputs, int(32 * width), (3, 3), "conv1", stride=(2, 2), style=style)
    for index, (filters, stride) in enumerate(zip(FILTERS, STRIDES, strict=True), start=1):
        x = separable(x, int(filters * width), index, (stride, stride), style)
    x = layers.GlobalAveragePooling2D(name="pool")(x)
    if dropout:
        x = layers.Dropout(dropout, name="dropout")(x)
    return Model(inputs, layers.Dense(2, name="fc")(x), name=name)
