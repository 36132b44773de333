"""Measure the batch-norm statistics of each subnet anew."""

from collections.abc import Sequence

import numpy as np
import tensorflow as tf

from tflm_reds.nested_model import NestedModel
from tflm_reds.nested_norms import NestedNormalization
from tflm_reds.sampling import spread_batches


def recalibrate(
    model: NestedModel,
    x: np.ndarray,
    batch_size: int = 256,
    subnets: Sequence[int] | None = None,
) -> None:
    """Set the batch-norm statistics of `subnets` to the exact mean over the batches of `x`.

    A cumulative mean, not an exponential one: what is left of the initial variance of 1 after too
    few steps can drop a subnet to chance. Statistics that the subnets share stay as they are.

    Args:
        x: inputs [n, ...] like those of training, in any order: a variance over batches of one
            class each would lack the differences between the classes.
    """
    layers = [layer for layer in model.backbone.layers if isinstance(layer, NestedNormalization)]
    for subnet in subnets if subnets is not None else range(model.subnet_count):
        norms = [norm for layer in layers for norm in layer.measuring(subnet)]
        if norms and len(x):
            _recalibrate_subnet(model, norms, subnet, x, batch_size)


def _recalibrate_subnet(model, norms, subnet: int, x: np.ndarray, batch_size: int) -> None:
    momenta = [norm.momentum for norm in norms]
    for step, batch in enumerate(spread_batches(x, batch_size)):
        for norm in norms:
            norm.momentum = step / (step + 1)
        model.call_subnet(tf.constant(batch, tf.float32), subnet, training=True)
    for norm, momentum in zip(norms, momenta, strict=True):
        norm.momentum = momentum
