"""Sort the units of every group by importance: the function stays, the first n are the best n."""

import numpy as np

from tflm_reds.graph import LayerGraph, Weights, select_units
from tflm_reds.score import Scores

SMALLEST_GAMMA = 1e-3
"""Batch-norm scales stay at or above this, so that every requantisation multiplier is positive."""


def permute(graph: LayerGraph, weights: Weights, scores: Scores) -> dict[str, np.ndarray]:
    """The same network with the units of every group in order of falling importance."""
    return select_units(graph, weights, scores.order)


def fold_negative_gammas(graph: LayerGraph, weights: Weights) -> dict[str, np.ndarray]:
    """Make every batch-norm gamma positive by flipping the sign of the kernel behind it.

    gamma * (w x + b - mean) = -gamma * (-w x - b + mean). The function does not change, except
    that |gamma| below `SMALLEST_GAMMA` is raised to it (ARCHITECTURE contract 3).
    """
    folded = dict(weights)
    for node in graph.nodes:
        if node.op == "batch_norm":
            _fold_one(graph, folded, node.name)
    return folded


def _fold_one(graph: LayerGraph, weights: dict[str, np.ndarray], name: str) -> None:
    linear = graph.source(graph[name])
    gamma = weights[f"{name}/gamma"]
    sign = np.where(gamma < 0, -1.0, 1.0).astype(np.float32)
    weights[f"{name}/gamma"] = np.maximum(np.abs(gamma), SMALLEST_GAMMA)
    weights[f"{name}/mean"] = weights[f"{name}/mean"] * sign
    kernel = f"{linear.name}/kernel"
    # A depthwise kernel ends in [channels, multiplier], the others in [outputs].
    last = weights[kernel].shape[2:] if linear.op == "depthwise_conv2d" else sign.shape
    weights[kernel] = weights[kernel] * sign.reshape(last)
    if linear.bias:
        weights[f"{linear.name}/bias"] = weights[f"{linear.name}/bias"] * sign
