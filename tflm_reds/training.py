"""Training recipes of the build command: the float network, and its nested subnets jointly."""

import keras
import numpy as np

from tflm_reds.callbacks import BestSubnets, Distillation, RecalibrateBatchNorm, StopOnNaN
from tflm_reds.datasets import Dataset
from tflm_reds.nested_model import NestedModel

LOSS = "sparse_categorical_crossentropy"


def train_float(
    model: keras.Model, dataset: Dataset, epochs: int, batch_size: int = 32, rate: float = 5e-3
) -> keras.Model:
    """Train a network that puts out logits from scratch; return it with its best weights.

    Selection is on the validation part; the test part is never seen.
    """
    model.compile(
        _adam(rate, len(dataset.x_train), batch_size, epochs),
        keras.losses.SparseCategoricalCrossentropy(from_logits=True),
        metrics=["accuracy"],
    )
    best = keras.callbacks.EarlyStopping(
        "val_accuracy", patience=epochs, mode="max", restore_best_weights=True
    )
    model.fit(
        dataset.x_train,
        dataset.y_train,
        batch_size,
        epochs,
        validation_data=(dataset.x_validation, dataset.y_validation),
        callbacks=[best],
        verbose=0,
    )
    return model


def fine_tune(
    nested: NestedModel,
    dataset: Dataset,
    epochs: int,
    batch_size: int = 64,
    rate: float = 1e-3,
    alpha: float = 0.5,
    callbacks: tuple[keras.callbacks.Callback, ...] = (),
) -> keras.callbacks.History:
    """Train all subnets jointly, with distillation, and keep the best epoch on validation data.

    Without a validation part the last epoch's weights are kept.
    """
    nested.compile(_adam(rate, len(dataset.x_train), batch_size, epochs), LOSS, ["accuracy"])
    validated = len(dataset.x_validation) > 0
    chosen = [Distillation(alpha), StopOnNaN(), *callbacks]
    if validated:
        chosen += [RecalibrateBatchNorm(dataset.x_train, samples=4096), BestSubnets()]
    return nested.fit(
        dataset.x_train,
        dataset.y_train,
        batch_size,
        epochs,
        validation_data=(dataset.x_validation, dataset.y_validation) if validated else None,
        callbacks=chosen,
        verbose=0,
    )


def accuracy(outputs: np.ndarray, y: np.ndarray) -> float | None:
    """Share of rows of `outputs` [n, classes] whose largest value is at `y` [n]; None if n = 0."""
    return float(np.mean(outputs.argmax(-1) == y)) if len(y) else None


def _adam(rate: float, samples: int, batch_size: int, epochs: int) -> keras.optimizers.Optimizer:
    steps = max(1, epochs * -(-samples // batch_size))
    return keras.optimizers.Adam(keras.optimizers.schedules.CosineDecay(rate, steps))
