"""A user's own `tf.data.Dataset`s, read into memory."""

from collections.abc import Sequence

import numpy as np
import tensorflow as tf

from tflm_reds.datasets.augmentation import Augmentation
from tflm_reds.datasets.dataset import Dataset
from tflm_reds.errors import DataError


def from_tf_data(
    train: tf.data.Dataset,
    validation: tf.data.Dataset | None = None,
    test: tf.data.Dataset | None = None,
    *,
    labels: Sequence[str] | None = None,
    name: str = "tf_data",
    augment: Augmentation | None = None,
) -> Dataset:
    """Read pairs (input, class) until each data set ends; everything is held in memory.

    Scoring, calibration and validation pass over the data many times and must see the same
    samples, so nothing is streamed: give `train` without random changes, and those as `augment`.

    Args:
        train, validation, test: of single pairs or of batches; classes are integers.
        labels: class names; by default the numbers of the classes.

    Raises:
        DataError: if a data set has no end, no samples, or holds something else.
    """
    x, y = _read(train, "train")
    others = [
        (x[:0], y[:0]) if data is None else _read(data, part)
        for data, part in ((validation, "validation"), (test, "test"))
    ]
    classes = 1 + max(int(labels.max(initial=0)) for _, labels in [(x, y), *others])
    names = tuple(map(str, range(classes) if labels is None else labels))
    return Dataset(name, x, y, *others[0], *others[1], names, augment)


def _read(data: tf.data.Dataset, part: str) -> tuple[np.ndarray, np.ndarray]:
    """(float32 [n, ...], int64 [n])."""
    _require_pairs(data.element_spec, part)
    if data.cardinality() == tf.data.INFINITE_CARDINALITY:
        raise DataError(f"The {part} data set has no end. Cut it with take(n), or drop repeat().")
    batched = data.element_spec[1].shape.rank == 1
    pairs = list((data if batched else data.batch(256)).as_numpy_iterator())
    if not pairs:
        raise DataError(f"The {part} data set has no samples. Give at least one, or leave it out.")
    x, y = zip(*pairs, strict=True)
    return np.concatenate(x).astype(np.float32), np.concatenate(y).astype(np.int64)


def _require_pairs(spec, part: str) -> None:
    tensors = isinstance(spec, tuple) and all(isinstance(item, tf.TensorSpec) for item in spec)
    if tensors and len(spec) == 2 and spec[1].dtype.is_integer and spec[1].shape.rank in (0, 1):
        return
    raise DataError(
        f"The {part} data set must hold pairs of an input and an integer class, or batches of "
        f"them, in known shapes; found {spec}. Map it to such pairs, one-hot labels by argmax."
    )
