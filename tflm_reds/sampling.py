"""Samples that stand for a whole data set, which may be sorted by class."""

import numpy as np


def spread(x: np.ndarray, count: int) -> np.ndarray:
    """At most `count` rows of `x`, evenly spaced from the first to the last."""
    return x[np.linspace(0, len(x) - 1, min(len(x), count)).astype(int)]


def spread_batches(x: np.ndarray, batch_size: int) -> list[np.ndarray]:
    """All rows of `x` in batches of about `batch_size`, each of rows from everywhere in `x`."""
    count = max(round(len(x) / batch_size), 1)
    return [x[start::count] for start in range(count)]
