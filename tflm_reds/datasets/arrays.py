"""A user's own data: one `.npz` file."""

from pathlib import Path

import numpy as np

from tflm_reds.datasets.dataset import Dataset
from tflm_reds.datasets.files import read_arrays
from tflm_reds.errors import DataError

UNLABELLED = "x_unlabelled"


def from_arrays(path: str | Path) -> Dataset:
    """Read training data `x`, `y`, and optionally `x_validation`, `x_test`, ... and `labels`.

    `x_unlabelled` are inputs without classes, from which the given network's outputs are learnt.

    Inputs are any real dtype and become float32 as they are: scale them as in training. Parts that
    the file lacks are empty, so that nobody measures on calibration data unknowingly.

    Raises:
        DataError: if the file is broken, lacks `x` or `y`, or an array is unfit; it says which.
    """
    path = Path(path)
    arrays = read_arrays(path)
    x, y = _pair(path, arrays, "x", "y")
    if not len(x):
        raise DataError(f"{path}: 'x' has no samples. Calibration takes at least one.")
    classes = int(y.max()) + 1
    return Dataset(
        path.stem,
        x,
        y,
        *_optional_pair(path, arrays, "validation", x),
        *_optional_pair(path, arrays, "test", x),
        tuple(map(str, arrays.get("labels", range(classes)))),
        x_unlabelled=_inputs(path, arrays, UNLABELLED) if UNLABELLED in arrays else None,
    )


def _optional_pair(path: Path, arrays: dict[str, np.ndarray], part: str, x: np.ndarray):
    names = f"x_{part}", f"y_{part}"
    if not any(name in arrays for name in names):
        return x[:0], np.empty(0, np.int64)
    return _pair(path, arrays, *names)


def _pair(path: Path, arrays: dict[str, np.ndarray], x_name: str, y_name: str):
    """(inputs float32 [n, ...], classes int64 [n])."""
    x, y = _inputs(path, arrays, x_name), _required(path, arrays, y_name)
    if y.dtype.kind not in "iu" or y.ndim != 1:
        raise DataError(
            f"{path}: {y_name!r} must hold one integer class per sample, in shape (n,); found "
            f"{y.dtype} in shape {y.shape}. Turn one-hot rows into classes with argmax."
        )
    return x, y.astype(np.int64)


def _inputs(path: Path, arrays: dict[str, np.ndarray], name: str) -> np.ndarray:
    x = _required(path, arrays, name)
    if x.dtype.kind not in "fiu" or x.ndim < 2:
        raise DataError(
            f"{path}: {name!r} must hold real numbers in shape (n, ...), found {x.dtype} in "
            f"shape {x.shape}."
        )
    return x.astype(np.float32)


def _required(path: Path, arrays: dict[str, np.ndarray], name: str) -> np.ndarray:
    if name not in arrays:
        raise DataError(f"{path} lacks the array {name!r}; it holds {', '.join(arrays)}.")
    return arrays[name]
