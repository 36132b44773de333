"""Trains nested models alone and on two logical CPU devices; prints both as JSON.

A program of its own: logical devices must be set before TensorFlow starts.
"""

import json
from contextlib import nullcontext

import keras
import numpy as np
import tensorflow as tf
from keras import layers

from tflm_reds import callbacks
from tflm_reds.errors import DataError
from tflm_reds.nesting import nest

CLASSES = 5


def dense_net() -> keras.Model:
    keras.utils.set_random_seed(0)
    hidden = [layers.Dense(24, activation="relu"), layers.Dense(16, activation="relu")]
    return keras.Sequential([keras.Input((20,)), *hidden, layers.Dense(CLASSES)])


def batch_norm_net() -> keras.Model:
    """Batch-norm over 4-D tensors of 32 (TensorFlow's fused op) and 12 channels, and over 2-D."""
    keras.utils.set_random_seed(0)
    parts = [keras.Input((8, 8, 1))]
    for filters in (32, 12):
        parts += [layers.Conv2D(filters, 3), layers.BatchNormalization(), layers.ReLU()]
    parts += [layers.GlobalAveragePooling2D(), layers.Dense(16), layers.BatchNormalization()]
    return keras.Sequential([*parts, layers.ReLU(), layers.Dense(CLASSES)])


def samples(shape: tuple[int, ...]) -> tuple[np.ndarray, np.ndarray]:
    random = np.random.default_rng(0)
    y = random.integers(0, CLASSES, 384)
    x = random.normal(0, 1, (384, *shape)) + random.normal(0, 1, (CLASSES, *shape))[y]
    return x.astype(np.float32), y


def train(make, strategy: tf.distribute.Strategy | None) -> dict:
    """Nest, train and evaluate within the strategy's scope."""
    model = make()
    x, y = samples(model.input_shape[1:])
    with strategy.scope() if strategy else nullcontext():
        nested = nest(model, (x, y), (0.3, 0.6))
        nested.compile(
            keras.optimizers.SGD(0.05), "sparse_categorical_crossentropy", metrics=["accuracy"]
        )
    best = callbacks.BestSubnets()
    chosen = [
        callbacks.Distillation(0.5, temperature=2.0),
        callbacks.SubnetSampler("sandwich"),
        callbacks.RecalibrateBatchNorm(x[:256]),
        callbacks.StopOnNaN(),
        best,
    ]
    options = {"batch_size": 64, "shuffle": False, "verbose": 0}
    validation = {"validation_data": (x[256:], y[256:]), "validation_batch_size": 64}
    history = nested.fit(
        x[:256], y[:256], epochs=3, callbacks=chosen, **validation, **options
    ).history
    kept = nested.evaluate(x[256:], y[256:], batch_size=64, return_dict=True, verbose=0)
    nested.fit(x[:256], y[:256], **options)
    return {
        "widths": [list(widths.values()) for widths in nested.plan.widths],
        "history": history,
        "best_epoch": best.best_epoch,
        "kept": kept,
        "differences": [_difference(variable, strategy) for variable in nested.variables],
    }


def refusal(strategy: tf.distribute.Strategy) -> str:
    """What `nest` says to measured utilities within the scope."""
    model = dense_net()
    with strategy.scope():
        try:
            nest(model, samples((20,)), objective="measured")
        except DataError as error:
            return str(error)
    return "nothing"


def _difference(variable: keras.Variable, strategy: tf.distribute.Strategy | None) -> float:
    """Largest difference between the copies of a variable on the devices."""
    if strategy is None:
        return 0.0
    copies = [copy.numpy() for copy in strategy.experimental_local_results(variable.value)]
    assert len(copies) == 2
    return float(np.abs(copies[0] - copies[1]).max())


if __name__ == "__main__":
    cpu = tf.config.list_physical_devices("CPU")[0]
    halves = [tf.config.LogicalDeviceConfiguration()] * 2
    tf.config.set_logical_device_configuration(cpu, halves)
    mirrored = tf.distribute.MirroredStrategy(["CPU:0", "CPU:1"])
    results = {
        make.__name__: [train(make, strategy) for strategy in (None, mirrored)]
        for make in (dense_net, batch_norm_net)
    }
    print(json.dumps(results | {"refusal": refusal(mirrored)}))
