"""Dividing rows at random, every class in the same shares."""

import numpy as np


def stratified_parts(y: np.ndarray, shares: tuple[float, ...], seed: int) -> list[np.ndarray]:
    """Divide the rows of `y` at random, every class in the same `shares`; rows ascend."""
    random = np.random.default_rng(seed)
    parts: list[list[np.ndarray]] = [[] for _ in shares]
    for label in np.unique(y):
        rows = random.permutation(np.flatnonzero(y == label))
        cuts = np.round(np.cumsum(shares[:-1]) * len(rows)).astype(int)
        for part, piece in zip(parts, np.split(rows, cuts), strict=True):
            part.append(piece)
    return [np.sort(np.concatenate(part)) for part in parts]


def hold_out(y: np.ndarray, count: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """(rows to train on, about `count` rows to select by) of the labels `y`, stratified."""
    share = count / len(y)
    training, validation = stratified_parts(y, (1 - share, share), seed)
    return training, validation
