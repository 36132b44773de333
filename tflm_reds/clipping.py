"""Activation ranges that harm the network's outputs least: narrow ones clip, wide ones are coarse.

An error e of one tensor changes the outputs by J e. For random signs v, g = v J is one gradient,
and (g . e)^2 has the mean |J e|^2 (Hutchinson, 1990). Rounding errors are independent: their
squares add. Clipping errors of a sample are not: they are summed before they are squared, or
ranges would cut off whole frames of silence. All subnets count alike.
"""

from collections.abc import Mapping

import keras
import numpy as np
import tensorflow as tf

from tflm_reds.calibrate import Ranges
from tflm_reds.nested_model import NestedModel
from tflm_reds.sampling import spread

SAMPLES = 256
BATCH_SIZE = 64
BINS = 256
ROUNDS = 3

# Descending: of equal harm, as in a tensor that nothing depends on, the whole range is kept.
_FACTORS = np.geomspace(1, 0.05, 60)


class Sensitivity:
    """How much the outputs depend on a tensor, by the tensor's value.

    Args:
        low, high: the tensor's full range; 0 is included.
    """

    def __init__(self, low: float, high: float) -> None:
        self.low, self.high = min(low, 0.0), max(high, 0.0)
        edges = np.linspace(self.low, self.high, BINS + 1)
        self._values = (edges[:-1] + edges[1:]) / 2
        self._squares = np.zeros(BINS)
        self._products = np.zeros((BINS, BINS))

    def add(self, values: np.ndarray, gradients: np.ndarray) -> None:
        """Count `values` and the outputs' `gradients` by them, both [n, ...]."""
        values, gradients = (a.reshape(len(a), -1) for a in (values, gradients))
        share = (values - self.low) / max(self.high - self.low, 1e-30)
        # NaN: `quantize` refuses the bias that it comes from.
        bins = np.clip(np.nan_to_num(share * BINS).astype(int), 0, BINS - 1)
        rounded = gradients**2 * (values != 0)  # the grid holds 0 exactly
        self._squares += np.bincount(bins.ravel(), rounded.ravel(), BINS)
        by_sample = bins + BINS * np.arange(len(bins))[:, None]
        sums = np.bincount(by_sample.ravel(), gradients.ravel(), BINS * len(bins))
        sums = sums.reshape(-1, BINS)
        self._products += sums.T @ sums

    def harm(self, low: float, high: float) -> float:
        """Squared error of the outputs when int8 spans [low, high], in arbitrary units."""
        step = (high - low) / 255
        clipped = np.clip(self._values, low, high) - self._values
        rounding = step**2 / 12 * self._squares[clipped == 0].sum()
        return float(rounding + clipped @ self._products @ clipped)

    def best_range(self) -> tuple[float, float]:
        """(low, high) of the least harm; each end in turn, with the other one fixed."""
        low, high = self.low, self.high
        for _ in range(ROUNDS):
            high = min((self.high * f for f in _FACTORS), key=lambda end: self.harm(low, end))
            low = min((self.low * f for f in _FACTORS), key=lambda end: self.harm(end, high))
        return float(low), float(high)


def clip_ranges(nested: NestedModel, x: np.ndarray, ranges: Ranges) -> Ranges:
    """`ranges`, which cover every value, cut to those of the least harm.

    The outputs' own range stays: whoever reads them may care about the largest.

    Args:
        x: calibration inputs [n, *input shape]; at most SAMPLES of them are used.
        ranges: of the input and of inner nodes, by name; finite.
    """
    source, output = nested.graph.nodes[0].name, nested.graph.nodes[-1].name
    inner = {name: Sensitivity(*limits) for name, limits in ranges.items() if name != output}
    x = spread(x, SAMPLES)
    random = np.random.default_rng(0)
    for k in range(nested.subnet_count):
        subnet = nested.subnet(k)
        outputs = [subnet.get_layer(name).output for name in [*inner, output]]
        probe = keras.Model(subnet.inputs, outputs)
        for start in range(0, len(x), BATCH_SIZE):
            _measure(probe, x[start : start + BATCH_SIZE], source, inner, random)
    return {**ranges, **{name: tensor.best_range() for name, tensor in inner.items()}}


def _measure(
    probe: keras.Model,
    batch: np.ndarray,
    source: str,
    inner: Mapping[str, Sensitivity],
    random: np.random.Generator,
) -> None:
    """Add a batch to all of `inner`, whose values `probe` puts out before the outputs."""
    inputs = tf.constant(batch, tf.float32)
    with tf.GradientTape() as tape:
        tape.watch(inputs)
        *values, outputs = probe(inputs, training=False)
    signs = random.choice(np.float32([-1, 1]), outputs.shape)
    # The model's own copy of its inputs is not what the gradients flow to.
    values = [inputs if name == source else v for name, v in zip(inner, values, strict=True)]
    gradients = tape.gradient(outputs, values, signs, unconnected_gradients="zero")
    for tensor, value, gradient in zip(inner.values(), values, gradients, strict=True):
        tensor.add(value.numpy(), gradient.numpy().astype(np.float64))
