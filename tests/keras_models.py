"""Small Keras models with random, lived-in weights (batch-norm statistics far from 0 and 1)."""

import keras
import numpy as np
from keras import layers


def shake(model: keras.Model, seed: int = 0, negative_gammas: bool = False) -> keras.Model:
    """Random weights: kernels of unit gain, batch-norm with real statistics."""
    random = np.random.default_rng(seed)
    for layer in model.layers:
        values = []
        for variable in layer.weights:
            shape, name = variable.shape, variable.name
            if "variance" in name:
                value = random.uniform(0.3, 2.0, shape)
            elif name == "gamma":
                value = random.uniform(0.3, 1.5, shape)
                if negative_gammas:
                    value *= random.choice([-1.0, 1.0], shape)
            elif len(shape) == 1:
                value = random.normal(0, 0.2, shape)
            else:
                value = random.normal(0, 1 / np.sqrt(np.prod(shape[:-1])), shape)
            values.append(value)
        layer.set_weights(values)
    return model


def ds_cnn(classes: int = 5) -> keras.Model:
    """Depthwise-separable, global average pooling, logits."""
    return keras.Sequential(
        [
            keras.Input((12, 8, 1)),
            layers.Conv2D(8, (10, 4), strides=2, padding="same", name="conv1"),
            layers.BatchNormalization(name="bn1"),
            layers.ReLU(name="relu1"),
            layers.DepthwiseConv2D(3, padding="same", name="dw1"),
            layers.BatchNormalization(name="bn_dw1"),
            layers.ReLU(name="relu_dw1"),
            layers.Conv2D(12, 1, name="pw1"),
            layers.BatchNormalization(name="bn_pw1"),
            layers.ReLU(name="relu_pw1"),
            layers.GlobalAveragePooling2D(name="pool"),
            layers.Dense(classes, name="fc"),
        ],
        name="ds_cnn",
    )


def flattening_cnn(classes: int = 4) -> keras.Model:
    """Flatten before Dense, a Dense with batch-norm, softmax at the end."""
    return keras.Sequential(
        [
            keras.Input((9, 7, 2)),
            layers.Conv2D(6, 3, strides=(2, 1), name="conv1", activation="relu"),
            layers.MaxPooling2D(2, padding="same", name="pool1"),
            layers.Conv2D(10, 2, use_bias=False, name="conv2"),
            layers.BatchNormalization(scale=False, name="bn2"),
            layers.LeakyReLU(negative_slope=0.3, name="leaky2"),
            layers.Flatten(name="flat"),
            layers.Dropout(0.5, name="drop"),
            layers.Dense(16, name="fc1"),
            layers.BatchNormalization(center=False, name="bn3"),
            layers.ReLU(6.0, name="relu6"),
            layers.Dense(classes, activation="softmax", name="fc2"),
        ],
        name="flattening_cnn",
    )


def everything(classes: int = 3) -> keras.Model:
    """Every supported layer, functional, odd strides and paddings."""
    inputs = keras.Input((120,), name="flat_input")
    x = layers.Reshape((10, 6, 2), name="image")(inputs)
    x = layers.ZeroPadding2D(((1, 0), (0, 2)), name="pad")(x)
    x = layers.SeparableConv2D(7, 3, strides=2, padding="same", name="sep")(x)
    x = layers.Activation("leaky_relu", name="act")(x)
    x = layers.Conv2D(9, (2, 3), dilation_rate=(2, 1), padding="same", name="dilated")(x)
    x = layers.BatchNormalization(name="bn")(x)
    x = layers.Activation("relu6", name="act6")(x)
    x = layers.AveragePooling2D((3, 2), strides=(2, 1), padding="same", name="average")(x)
    x = layers.ReLU(name="relu_after_pool")(x)
    x = layers.Reshape((1, -1, 9), name="row")(x)
    x = layers.Reshape((-1,), name="features")(x)
    x = layers.Dense(11, activation="relu", name="hidden")(x)
    x = layers.Dense(classes, name="logits")(x)
    return keras.Model(inputs, layers.Softmax(name="probabilities")(x), name="everything")


def mlp(classes: int = 4) -> keras.Model:
    """Dense layers only."""
    return keras.Sequential(
        [
            keras.Input((20,)),
            layers.Dense(14, activation="relu", name="fc1"),
            layers.Dense(18, activation="relu", name="fc2"),
            layers.Dense(classes, name="fc3"),
        ],
        name="mlp",
    )


def residual(classes: int = 4) -> keras.Model:
    """Two residual stages: the second one's channels are tied to its 1x1 shortcut's."""
    inputs = keras.Input((8, 8, 3))
    stem = layers.Conv2D(6, 3, padding="same", name="stem")(inputs)
    stem = layers.ReLU()(layers.BatchNormalization(name="bn_stem")(stem))
    x = layers.Conv2D(10, 3, padding="same", name="inner")(stem)
    x = layers.PReLU(shared_axes=(1, 2), name="prelu")(x)
    x = layers.Conv2D(6, 3, padding="same", name="outer")(x)
    x = layers.ReLU()(layers.Add(name="add")([layers.BatchNormalization(name="bn")(x), stem]))
    y = layers.Conv2D(8, 3, strides=2, padding="same", name="down")(x)
    shortcut = layers.Conv2D(8, 1, strides=2, name="shortcut")(x)
    y = layers.Activation("hard_swish")(layers.Add(name="add2")([y, shortcut]))
    y = layers.GlobalAveragePooling2D()(layers.BatchNormalization(name="bn_odd")(y))
    return keras.Model(inputs, layers.Dense(classes, name="fc")(y), name="residual")


def concatenating(classes: int = 4) -> keras.Model:
    """Concats of concats, a multiplied branch, and Flatten behind them."""
    inputs = keras.Input((6, 6, 1))
    a = layers.DepthwiseConv2D(3, depth_multiplier=4, name="multiplied")(inputs)
    b = layers.DepthwiseConv2D(3, padding="same", depth_multiplier=2, name="doubled")(a)
    ab = layers.Concatenate(name="ab")([a, b])
    c = layers.Conv2D(5, 3, padding="same", activation="relu", name="c")(ab)
    x = layers.Concatenate(name="abca")([ab, c, a])
    x = layers.BatchNormalization(name="bn")(x)
    x = layers.Flatten(name="flat")(x)
    x = layers.Dense(12, activation="relu", name="hidden")(x)
    return keras.Model(inputs, layers.Dense(classes, name="fc")(x), name="concatenating")


MODELS = {"ds_cnn": ds_cnn, "flattening_cnn": flattening_cnn, "everything": everything, "mlp": mlp}
BRANCHING = {"residual": residual, "concatenating": concatenating}


def make(name: str, seed: int = 0, negative_gammas: bool = False) -> keras.Model:
    """A shaken model by name."""
    keras.utils.set_random_seed(seed)
    return shake((MODELS | BRANCHING)[name](), seed, negative_gammas)


def data(model: keras.Model, samples: int = 200, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Inputs and integer labels that the model itself assigns, so that gradients are sane."""
    shape = model.input_shape[1:]
    x = np.random.default_rng(seed).normal(0.3, 1.0, (samples, *shape)).astype(np.float32)
    return x, model.predict(x, verbose=0).argmax(-1)
