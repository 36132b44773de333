"""ResNet-8 for CIFAR-10 as in MLPerf Tiny (arXiv 2106.07597); 10 logits."""

from keras import Input, KerasTensor, Model, layers

from tflm_reds.zoo.blocks import conv, norm


def resnet8_cifar10() -> Model:
    """Three residual stacks of 16, 32 and 64 filters; input (32, 32, 3) in 0..255.

    12,501,632 MACs. Its softmax is left out: all nets of the zoo put out logits.
    """
    inputs = Input((32, 32, 3), name="image")
    x = conv(inputs, 16, (3, 3), "conv1")
    x = _stack(x, 16, 1, stride=1)
    x = _stack(x, 32, 2, stride=2)
    x = _stack(x, 64, 3, stride=2)
    x = layers.GlobalAveragePooling2D(name="pool")(x)
    return Model(inputs, layers.Dense(10, name="fc")(x), name="resnet8_cifar10")


def _stack(x: KerasTensor, filters: int, index: int, stride: int) -> KerasTensor:
    """Two 3x3 convolutions beside a shortcut, which is a 1x1 one where the shape changes."""
    name = f"stack{index}"
    y = conv(x, filters, (3, 3), f"{name}_conv1", stride=(stride, stride))
    y = layers.Conv2D(filters, (3, 3), padding="same", name=f"{name}_conv2")(y)
    y = norm(y, f"{name}_conv2")
    if stride > 1:
        x = layers.Conv2D(filters, (1, 1), strides=stride, name=f"{name}_shortcut")(x)
    return layers.ReLU(name=f"{name}_relu")(layers.Add(name=f"{name}_add")([x, y]))
