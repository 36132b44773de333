"""Dataset: arrays for training, validation and test."""

from dataclasses import dataclass

import numpy as np

from tflm_reds.datasets.augmentation import Augmentation
from tflm_reds.errors import DataError


@dataclass(frozen=True, eq=False)
class Dataset:
    """Three parts of one data set; a part may be empty (length 0) in a user's own file.

    Attributes:
        name: of the data set.
        x_train, x_validation, x_test: float32 inputs, [n, *input shape].
        y_train, y_validation, y_test: int64 classes, [n], each from 0 to len(labels) - 1.
        labels: class names.
        augment: changes batches of the training part, while training; never the other parts.
        x_unlabelled: more inputs to learn a teacher's outputs from; shaped as `x_train`.

    Raises:
        DataError: if a part has NaN, a wrong shape, or a class without a label.
    """

    name: str
    x_train: np.ndarray
    y_train: np.ndarray
    x_validation: np.ndarray
    y_validation: np.ndarray
    x_test: np.ndarray
    y_test: np.ndarray
    labels: tuple[str, ...]
    augment: Augmentation | None = None
    x_unlabelled: np.ndarray | None = None

    def __post_init__(self) -> None:
        if self.x_unlabelled is None:
            object.__setattr__(self, "x_unlabelled", self.x_train[:0])
        for part in ("train", "validation", "test"):
            x, y = getattr(self, f"x_{part}"), getattr(self, f"y_{part}")
            self._check_part(f"The {part} part of {self.name}", x, y)
        no_classes = np.zeros(len(self.x_unlabelled), np.int64)
        self._check_part(f"The unlabelled part of {self.name}", self.x_unlabelled, no_classes)

    @property
    def input_shape(self) -> tuple[int, ...]:
        """Shape of one input."""
        return self.x_train.shape[1:]

    @property
    def inputs(self) -> np.ndarray:
        """Training and unlabelled inputs [n + m, ...]: what a network may meet."""
        return np.concatenate([self.x_train, self.x_unlabelled])

    def labelled_and_not(self) -> tuple[np.ndarray, np.ndarray]:
        """`inputs` and their one-hot labels [n + m, classes].

        Labels are float32; those of unlabelled inputs are all 0.
        """
        labels = np.zeros(
            (len(self.x_train) + len(self.x_unlabelled), len(self.labels)), np.float32
        )
        labels[np.arange(len(self.y_train)), self.y_train] = 1
        return self.inputs, labels

    def _check_part(self, what: str, x: np.ndarray, y: np.ndarray) -> None:
        if x.shape[1:] != self.input_shape or y.shape != x.shape[:1]:
            raise DataError(
                f"{what} must have inputs of shape (n, {', '.join(map(str, self.input_shape))}) "
                f"and n classes; found inputs {x.shape} and classes {y.shape}."
            )
        if wrong := int(np.count_nonzero(~np.isfinite(x))):
            raise DataError(
                f"{what} has {wrong:,} input values that are NaN or infinite, of {x.size:,}. "
                "Remove or repair these samples."
            )
        if len(y) and not 0 <= y.min() <= y.max() < len(self.labels):
            raise DataError(
                f"{what} has classes {y.min()} to {y.max()}, but there are {len(self.labels)} "
                "labels: classes count from 0."
            )
