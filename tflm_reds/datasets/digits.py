"""The 1,797 handwritten digits that come with scikit-learn."""

import numpy as np

from tflm_reds.datasets.dataset import Dataset
from tflm_reds.datasets.splits import stratified_parts
from tflm_reds.errors import DataError

SEED = 0


def load_digits() -> Dataset:
    """8x8 grey images (n, 8, 8, 1) in 0..1; each class divided 60/20/20, always the same way.

    Raises:
        DataError: if scikit-learn is not installed.
    """
    try:
        from sklearn import datasets
    except ImportError as error:
        raise DataError(
            "The digits come with scikit-learn, which is not installed: pip install scikit-learn"
        ) from error
    x, y = datasets.load_digits(return_X_y=True)
    x, y = (x / 16).astype(np.float32).reshape(-1, 8, 8, 1), y.astype(np.int64)
    parts = stratified_parts(y, (0.6, 0.2, 0.2), SEED)
    arrays = [array[rows] for rows in parts for array in (x, y)]
    return Dataset("digits", *arrays, tuple(map(str, range(10))))
