"""Training recipes of the build command: the float network, and its nested subnets jointly."""

import keras
import numpy as np
import scipy.special

from tflm_reds.callbacks import BestSubnets, Distillation, RecalibrateBatchNorm, StopOnNaN
from tflm_reds.datasets import Dataset, training_batches
from tflm_reds.keras_reader import read_model
from tflm_reds.nested_model import NestedModel

VALIDATION_BATCH = 256


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
        training_batches(dataset.x_train, dataset.y_train, batch_size, dataset.augment),
        epochs=epochs,
        shuffle=False,  # the batches are shuffled already
        validation_data=(dataset.x_validation, dataset.y_validation),
        validation_batch_size=VALIDATION_BATCH,
        callbacks=[best],
        verbose=0,
    )
    return model


def fine_tune(
    nested: NestedModel,
    dataset: Dataset,
    epochs: int,
    batch_size: int = 64,
    rate: float = 3e-3,
    alpha: float = 0.5,
    teacher: keras.Model | None = None,
    trust: float = 0.9,
    callbacks: tuple[keras.callbacks.Callback, ...] = (),
) -> keras.callbacks.History:
    """Train all subnets jointly, with distillation, and keep the best epoch on validation data.

    Without a validation part the last epoch's weights are kept.

    Args:
        alpha: weight of the distillation from the full subnet to the smaller ones.
        teacher: the trained network before nesting. Its outputs make `trust` of every training
            label, so that fine-tuning on little data does not spoil what the weights know; and
            the whole label of the unlabelled inputs, which are left out without a teacher.
    """
    classes = nested.graph.nodes[-1].shape[-1]
    x_train = dataset.x_train
    y_train = soft_labels(x_train, dataset.y_train, classes, teacher, trust)
    if teacher is not None and len(dataset.x_unlabelled):
        no_labels = np.zeros(len(dataset.x_unlabelled), int)
        taught = soft_labels(dataset.x_unlabelled, no_labels, classes, teacher, trust=1.0)
        x_train = np.concatenate([x_train, dataset.x_unlabelled])
        y_train = np.concatenate([y_train, taught])
    y_validation = soft_labels(dataset.x_validation, dataset.y_validation, classes)
    nested.compile(
        _adam(rate, len(x_train), batch_size, epochs),
        "categorical_crossentropy",
        ["accuracy"],
    )
    validated = len(dataset.x_validation) > 0
    chosen = [Distillation(alpha), StopOnNaN(), *callbacks]
    if validated:
        chosen += [RecalibrateBatchNorm(dataset.x_train, samples=4096), BestSubnets()]
    return nested.fit(
        training_batches(x_train, y_train, batch_size, dataset.augment),
        epochs=epochs,
        shuffle=False,  # the batches are shuffled already
        validation_data=(dataset.x_validation, y_validation) if validated else None,
        validation_batch_size=VALIDATION_BATCH,
        callbacks=chosen,
        verbose=0,
    )


def soft_labels(
    x: np.ndarray,
    y: np.ndarray,
    classes: int,
    teacher: keras.Model | None = None,
    trust: float = 0.0,
) -> np.ndarray:
    """float32 [n, classes]: one-hot `y`, mixed with `trust` of the teacher's probabilities."""
    labels = np.eye(classes, dtype=np.float32)[y]
    if teacher is None or not len(x):
        return labels
    outputs = teacher.predict(x, verbose=0)
    if read_model(teacher)[0].nodes[-1].op != "softmax":
        outputs = scipy.special.softmax(outputs, axis=-1)
    return ((1 - trust) * labels + trust * outputs).astype(np.float32)


def accuracy(outputs: np.ndarray, y: np.ndarray) -> float | None:
    """Share of rows of `outputs` [n, classes] whose largest value is at `y` [n]; None if n = 0."""
    return float(np.mean(outputs.argmax(-1) == y)) if len(y) else None


def _adam(rate: float, samples: int, batch_size: int, epochs: int) -> keras.optimizers.Optimizer:
    steps = max(1, epochs * -(-samples // batch_size))
    return keras.optimizers.Adam(keras.optimizers.schedules.CosineDecay(rate, steps))
