"""Importance of every unit: |sum of gradient x weight| over calibration batches, or a baseline.

Source: REDS, section on importance scores (the authors' `importance_score.py`): the signed
gradients of the mean loss are summed over the batches, multiplied by the weights, made absolute,
and summed over the weights that make the unit.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import keras
import numpy as np
import tensorflow as tf

from tflm_reds.errors import DataError, ModelError
from tflm_reds.files import atomic_path
from tflm_reds.graph import LayerGraph, Weights
from tflm_reds.keras_writer import write_model

METHODS = {
    "gradient": "gradient x weight",
    "magnitude": "L1 norm of the weights",
    "random": "random",
}
"""How units are scored: as in the paper, and two baselines that ignore the data."""


@dataclass(frozen=True)
class Scores:
    """Importance of each unit of each channel group, >= 0, in the network's own order.

    Attributes:
        values: group -> float64 [size].
        method: how they were computed.
        samples: calibration samples used.
    """

    values: Mapping[str, np.ndarray]
    method: str
    samples: int

    @property
    def order(self) -> dict[str, np.ndarray]:
        """group -> indices of its units by falling importance (stable)."""
        return {group: np.argsort(-value, kind="stable") for group, value in self.values.items()}

    @property
    def sorted_values(self) -> dict[str, np.ndarray]:
        """group -> scores, falling."""
        return {group: value[self.order[group]] for group, value in self.values.items()}

    def save(self, path: str | Path) -> Path:
        """Write one `.npz` file."""
        about = json.dumps({"method": self.method, "samples": self.samples})
        with atomic_path(path) as temporary, temporary.open("wb") as stream:
            np.savez(stream, about=about, **{f"group/{g}": v for g, v in self.values.items()})
        return Path(path)

    @classmethod
    def load(cls, path: str | Path) -> "Scores":
        """Read a file written by `save`.

        Raises:
            ModelError: if the file is missing or corrupt.
        """
        try:
            with np.load(path) as file:
                values = {k.removeprefix("group/"): file[k] for k in file if k != "about"}
                return cls(values, **json.loads(str(file["about"])))
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise ModelError(f"{path} does not hold scores ({error}). Score again.") from error


def score(
    graph: LayerGraph,
    weights: Weights,
    x: np.ndarray,
    y: np.ndarray,
    loss: str | keras.losses.Loss | None = None,
    batch_size: int = 100,
    method: str = "gradient",
    seed: int = 0,
) -> Scores:
    """Score every unit on calibration data `x` [n, ...], `y` [n] or [n, classes].

    Args:
        method: one of `METHODS`.
        seed: of the random baseline.

    Raises:
        DataError: if the data does not fit the network, the gradients are not finite, or there is
            no such method.
    """
    if method not in METHODS:
        raise DataError(f"Score method {method!r} does not exist. Use one of {', '.join(METHODS)}.")
    if method == "gradient":
        model = write_model(graph, weights)
        gradients = _summed_gradients(model, x, y, resolve_loss(loss, graph, y), batch_size)
        importance = {name: np.abs(weights[name] * g) for name, g in gradients.items()}
    else:
        importance = _without_data(weights, method, seed)
    values = {
        group: sum(
            axis.per_unit(_sum_but(importance[axis.weight], axis.axis), group)
            for axis in axes
            if axis.makes
        )
        for group, axes in graph.axes.items()
    }
    for group, value in values.items():
        if not np.isfinite(value).all():
            raise DataError(
                f"The gradients at {group!r} are not finite on this calibration data. "
                "Scale the inputs as in training."
            )
    return Scores(values, METHODS[method], len(x))


def _without_data(weights: Weights, method: str, seed: int) -> dict[str, np.ndarray]:
    """Importance of every single weight: its magnitude, or at random."""
    if method == "magnitude":
        return {name: np.abs(array) for name, array in weights.items()}
    random = np.random.default_rng(seed)
    return {name: random.random(array.shape) for name, array in weights.items()}


def resolve_loss(
    loss: str | keras.losses.Loss | None, graph: LayerGraph, y: np.ndarray | None = None
) -> keras.losses.Loss:
    """A loss that fits the network's output: cross-entropies take logits unless it ends in softmax.

    `loss=None` chooses by the labels: integers, one-hot rows, or mean squared error.
    """
    logits = graph.nodes[-1].op != "softmax"
    if loss is None:
        integers = y is not None and np.issubdtype(y.dtype, np.integer)
        loss = "sparse_categorical_crossentropy" if integers else "mse"
        if not integers and y is not None and np.array_equal(y, y.astype(bool)):
            loss = "categorical_crossentropy"
    if loss == "sparse_categorical_crossentropy":
        return keras.losses.SparseCategoricalCrossentropy(from_logits=logits)
    if loss == "categorical_crossentropy":
        return keras.losses.CategoricalCrossentropy(from_logits=logits)
    loss = keras.losses.get(loss)
    return loss if isinstance(loss, keras.losses.Loss) else _FunctionLoss(loss)


def is_classifier(loss: keras.losses.Loss | None) -> bool:
    """Whether `loss` compares the network's output with a class."""
    return isinstance(
        loss, keras.losses.SparseCategoricalCrossentropy | keras.losses.CategoricalCrossentropy
    )


class _FunctionLoss(keras.losses.Loss):
    """Gives a loss function Keras's reduction over the batch and its sample weights."""

    def __init__(self, function) -> None:
        super().__init__(name=function.__name__)
        self.call = function


def _summed_gradients(
    model: keras.Model, x: np.ndarray, y: np.ndarray, loss: keras.losses.Loss, batch_size: int
) -> dict[str, np.ndarray]:
    kernels = {f"{layer.name}/kernel": layer.kernel for layer in model.layers
               if hasattr(layer, "kernel")}  # fmt: skip

    @tf.function(reduce_retracing=True)
    def gradients(inputs, targets):
        # Gradients with respect to values: the variables may be those of a tf.distribute strategy.
        values = [tf.convert_to_tensor(kernel) for kernel in kernels.values()]
        with tf.GradientTape() as tape:
            tape.watch(values)
            with keras.StatelessScope(list(zip(kernels.values(), values, strict=True))):
                value = loss(targets, model(inputs, training=False))
        return tape.gradient(value, values)

    total: list = [0.0] * len(kernels)
    for start in range(0, len(x), batch_size):
        batch = slice(start, start + batch_size)
        parts = gradients(tf.constant(x[batch], tf.float32), tf.constant(y[batch]))
        total = [s + p.numpy().astype(float) for s, p in zip(total, parts, strict=True)]
    return dict(zip(kernels, total, strict=True))


def _sum_but(importance: np.ndarray, axis: int) -> np.ndarray:
    """Sum over all axes but one."""
    return importance.sum(axis=tuple(i for i in range(importance.ndim) if i != axis))
