"""The network of the embedded default: small enough to train and simulate in seconds."""

from keras import Input, Model, layers

from tflm_reds.zoo.blocks import Style, conv, separable

# An epoch is a few dozen steps: averages with momentum 0.99 would lag behind.
STYLE = Style(momentum=0.9)


def digits_ds_cnn() -> Model:
    """Depthwise-separable network for 8x8 grey digits (8, 8, 1) in 0..1; 10 logits."""
    inputs = Input((8, 8, 1), name="image")
    x = conv(inputs, 32, (3, 3), "conv1", style=STYLE)
    x = separable(x, 64, 1, stride=(2, 2), style=STYLE)
    x = separable(x, 64, 2, style=STYLE)
    x = layers.GlobalAveragePooling2D(name="pool")(x)
    return Model(inputs, layers.Dense(10, name="fc")(x), name="digits_ds_cnn")
