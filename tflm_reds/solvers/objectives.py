"""What a plan maximises: a utility of each width of a group, summed over the groups."""

from collections.abc import Callable

import numpy as np

Objective = Callable[[np.ndarray], np.ndarray]
WIDTH_EXPONENT = 1.5  # of `kept_width`


def kept_score(scores: np.ndarray) -> np.ndarray:
    """Score kept by each width: the paper's objective (TMC 25(1):451, Eq. 3).

    A layer of many high scores buys its width with another layer's: bottlenecks may appear.

    Args:
        scores: importance of each unit, [size], descending, non-negative.

    Returns:
        Utility of the widths 0 to size, float64 [size + 1].
    """
    return np.concatenate([[0.0], np.cumsum(scores, dtype=np.float64)])


def log_kept_share(scores: np.ndarray) -> np.ndarray:
    """Logarithm of the share of its score that the group keeps at each width.

    The sum over groups is the logarithm of the product of the shares, so that no wide layer can
    make up for a bottleneck. A group whose scores are all zero tells nothing about its units:
    they count as equal. Arguments and result as in `kept_score`; width 0 has utility -inf.
    """
    kept = kept_score(scores if np.any(scores) else np.ones_like(scores, np.float64))
    with np.errstate(divide="ignore"):
        return np.log(kept / kept[-1])


def kept_width(scores: np.ndarray) -> np.ndarray:
    """-(size / width) ** 1.5: what narrowness costs a trained network, whatever its scores.

    The logarithm of the error of networks of random widths is close to a sum of such powers over
    the groups, with about the same weight for each: `tflm_reds.utility` measures both for one
    network. Exponents from 0.75 to 1.5 gave plans of the same worth; the larger is the more even.
    Arguments and result as in `kept_score`; width 0 has utility -inf.
    """
    with np.errstate(divide="ignore"):
        return -((np.arange(len(scores) + 1) / len(scores)) ** -WIDTH_EXPONENT)


OBJECTIVES: dict[str, Objective] = {
    "sum": kept_score,
    "product": log_kept_share,
    "width": kept_width,
}
