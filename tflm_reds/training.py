"""Training recipes of the build command: the float network, and its nested subnets jointly."""

from functools import partial
from pathlib import Path

import keras
import numpy as np
import tensorflow as tf

from tflm_reds.callbacks import (
    BestSubnets,
    Distillation,
    QuantizationAware,
    RecalibrateBatchNorm,
    StopOnNaN,
)
from tflm_reds.datasets import Dataset, training_batches
from tflm_reds.keras_reader import read_model
from tflm_reds.nested_model import NestedModel
from tflm_reds.sampling import spread

VALIDATION_BATCH = 256
CALIBRATION_SAMPLES = 2000


def train_float(
    model: keras.Model, dataset: Dataset, epochs: int, batch_size: int = 32, rate: float = 5e-3
) -> keras.Model:
    """Train a network that puts out logits from scratch; return it with its best weights.

    Selection is on the validation part; the test part is never seen.
    """
    batches = training_batches(dataset.x_train, dataset.y_train, batch_size, dataset.augment)
    model.compile(
        _adam(rate, epochs * len(batches)),
        keras.losses.SparseCategoricalCrossentropy(from_logits=True),
        metrics=["accuracy"],
    )
    best = keras.callbacks.EarlyStopping(
        "val_accuracy", patience=epochs, mode="max", restore_best_weights=True
    )
    model.fit(
        batches,
        epochs=epochs,
        shuffle=False,  # the batches are shuffled already
        validation_data=(dataset.x_validation, dataset.y_validation),
        validation_batch_size=VALIDATION_BATCH,
        callbacks=[StopOnNaN(), best],
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
    mixing: float = 0.0,
    checkpoints: str | Path | None = None,
    quantization_epochs: int = 0,
) -> keras.callbacks.History:
    """Train all subnets jointly, with distillation, and keep the best epoch on validation data.

    Without a validation part the last epoch's weights are kept.

    Args:
        alpha: weight of the distillation from the full subnet to the smaller ones.
        teacher: the trained network before nesting. Its outputs make `trust` of every training
            label, so that fine-tuning on little data does not spoil what the weights know; and
            the whole label of the unlabelled inputs, which are left out without a teacher.
        mixing: largest share of another sample in each training sample (Zhang et al., "mixup");
            with a teacher it shows the subnets far more of its function than the data alone.
        checkpoints: a folder; a call that finds another's checkpoint there goes on after its last
            finished epoch.
        quantization_epochs: the last so many of `epochs` train with int8's rounding, and only they
            compete for the best.
    """
    batches = lessons(dataset, batch_size, teacher, trust, mixing)
    seen = dataset.x_train if teacher is None else dataset.inputs
    classes = nested.graph.nodes[-1].shape[-1]
    y_validation = np.eye(classes, dtype=np.float32)[dataset.y_validation]
    optimizer = _adam(rate, epochs * len(batches))
    nested.compile(optimizer, "categorical_crossentropy", ["accuracy"])
    validated = len(dataset.x_validation) > 0
    chosen = [Distillation(alpha), StopOnNaN(), *callbacks]
    rounds_from = max(epochs - quantization_epochs, 0) if quantization_epochs else 0
    if quantization_epochs:
        chosen.append(QuantizationAware(spread(seen, CALIBRATION_SAMPLES), rounds_from))
    if validated:
        path = checkpoints and Path(checkpoints) / "best.npz"
        best = BestSubnets(path=path, start_epoch=rounds_from)
        chosen += [RecalibrateBatchNorm(seen, samples=4096), best]
    if checkpoints:
        chosen.append(keras.callbacks.BackupAndRestore(str(checkpoints), delete_checkpoint=False))
    return nested.fit(
        batches,
        epochs=epochs,
        shuffle=False,  # the batches are shuffled already
        validation_data=(dataset.x_validation, y_validation) if validated else None,
        validation_batch_size=VALIDATION_BATCH,
        callbacks=chosen,
        verbose=0,
    )


def lessons(
    dataset: Dataset,
    batch_size: int,
    teacher: keras.Model | None = None,
    trust: float = 0.0,
    mixing: float = 0.0,
) -> tf.data.Dataset:
    """Training batches (inputs, soft labels float32 [n, classes]); arguments as in `fine_tune`."""
    x, labels = dataset.labelled_and_not()
    if teacher is None:
        x, labels = x[: len(dataset.x_train)], labels[: len(dataset.x_train)]
    batches = training_batches(x, labels, batch_size, dataset.augment)
    if mixing:
        seeds = tf.data.Dataset.random(seed=1, rerandomize_each_iteration=True).batch(2)
        batches = tf.data.Dataset.zip((batches, seeds)).map(partial(_mix, mixing))
    if teacher is not None:
        logits = read_model(teacher)[0].nodes[-1].op != "softmax"
        batches = batches.map(partial(_teach, teacher, logits, trust), num_parallel_calls=2)
    return batches.prefetch(2)


def _mix(largest: float, batch: tuple[tf.Tensor, tf.Tensor], seed: tf.Tensor):
    """Blend each sample with the one at the other end of the (shuffled) batch."""
    x, labels = batch
    count = tf.shape(x)[0]
    share = tf.random.stateless_uniform([count], seed, 0.0, largest)

    def blend(values: tf.Tensor) -> tf.Tensor:
        shares = tf.reshape(share, [count] + [1] * (len(values.shape) - 1))
        return (1 - shares) * values + shares * tf.reverse(values, [0])

    return blend(x), blend(labels)


def _teach(teacher: keras.Model, logits: bool, trust: float, x: tf.Tensor, labels: tf.Tensor):
    """Let the teacher give `trust` of each label, and all of a missing one."""
    outputs = teacher(x, training=False)
    probabilities = tf.nn.softmax(outputs) if logits else outputs
    kept = (1 - trust) * labels
    return x, kept + (1 - tf.reduce_sum(kept, -1, keepdims=True)) * probabilities


def accuracy(outputs: np.ndarray, y: np.ndarray) -> float | None:
    """Share of rows of `outputs` [n, classes] whose largest value is at `y` [n]; None if n = 0."""
    return float(np.mean(outputs.argmax(-1) == y)) if len(y) else None


def _adam(rate: float, steps: int) -> keras.optimizers.Optimizer:
    return keras.optimizers.Adam(keras.optimizers.schedules.CosineDecay(rate, max(1, steps)))
