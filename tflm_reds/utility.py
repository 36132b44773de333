"""Measured utilities: how much each layer's width matters once the network has been trained.

Scores tell which units of a layer to keep, not how many units each layer needs: training makes up
for most of what a cut destroys. So the network is trained while every batch draws widths of its own
at random, its error is measured on many random widths, and

    log(error) = constant + sum over groups g of c_g * (width_g / size_g) ** -p,     c_g >= 0

is fitted: the exponent from a few candidates, the coefficients by non-negative least squares. The
planner then maximises -c_g * (width / size) ** -p, summed over the groups, exactly. The error is
the share of wrong classes, or the loss where the network is no classifier.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import keras
import numpy as np
import scipy.optimize
import tensorflow as tf

from tflm_reds.errors import DataError, ModelError
from tflm_reds.graph import LayerGraph, Node, Weights
from tflm_reds.keras_writer import write_model
from tflm_reds.score import is_classifier, resolve_loss

EXPONENTS = (0.25, 0.5, 0.75, 1.0, 1.25, 1.5, 1.75, 2.0, 2.5, 3.0)
SMALLEST_SHARE = 0.3  # of each group's units; the law of far narrower ones is another
LEAST_COEFFICIENT = 0.1  # of the mean: no group is free, whatever the noise of the fit says
BATCH_SIZE = 128
LARGEST_HELD_OUT = 2000
FULL_EVERY = 4  # steps: the full network stays what it is


@dataclass(frozen=True)
class Utilities:
    """A fitted utility for every width of every group.

    Attributes:
        exponent: p.
        coefficients: c_g by group.
        r_squared: share of the variance of log(error) that the fit explains.
        samples: measured widths.
    """

    exponent: float
    coefficients: Mapping[str, float]
    r_squared: float
    samples: int

    def of(self, group: str, size: int) -> np.ndarray:
        """Utility of the widths 0 to `size`, float64 [size + 1]; -inf for width 0."""
        with np.errstate(divide="ignore"):
            return -self.coefficients[group] * (np.arange(size + 1) / size) ** -self.exponent

    def objective(self, sizes: Mapping[str, int]) -> dict[str, np.ndarray]:
        """What `plan_widths(objective=...)` takes."""
        return {group: self.of(group, size) for group, size in sizes.items()}


def measure_utilities(
    graph: LayerGraph,
    weights: Weights,
    x: np.ndarray,
    y: np.ndarray,
    *,
    loss: str | keras.losses.Loss | None = None,
    steps: int = 1500,
    draws: int = 120,
    rate: float = 1e-3,
    seed: int = 0,
) -> Utilities:
    """Train with random widths, measure, fit.

    Args:
        graph, weights: the network with its units sorted by importance.
        x, y: training data, [n, *input shape] and [n] or [n, classes]; one in five samples, at most
            2,000, is held out to measure on.
        steps: of training, 128 samples each. After 250, DS-CNN S for Fashion-MNIST does not show
            yet which layers matter more.
        draws: random widths that are measured.

    Raises:
        ModelError: if the network has a layer normalisation.
        DataError: if there are too few samples, the loss becomes NaN, or this is called within the
            scope of a `tf.distribute` strategy.
    """
    if norm := next((node for node in graph.nodes if node.op == "layer_norm"), None):
        raise ModelError(
            f"Layer {norm.name!r} normalises over the channels, which a mask does not cut: "
            "utilities cannot be measured on it. Plan with objective='width'."
        )
    if tf.distribute.get_strategy().num_replicas_in_sync > 1:
        raise DataError(
            "Utilities are measured on one device, not within a strategy's scope. Nest before the "
            "scope, then in it: nest(model, calibration, plan=nested.plan)."
        )
    held_out = min(len(x) // 5, LARGEST_HELD_OUT)
    if held_out < 2:
        raise DataError(f"Measuring utilities needs more than {len(x)} samples. Give 1,000 or so.")
    random = np.random.default_rng(seed)
    rows = random.permutation(len(x))
    test, train = rows[:held_out], rows[held_out:]
    network = _RandomWidths(graph, weights, resolve_loss(loss, graph, y), rate, steps)
    for step in range(steps):
        batch = random.choice(train, BATCH_SIZE)
        widths = graph.groups if step % FULL_EVERY == 0 else _draw(graph, random)
        network.train(x[batch], y[batch], widths)
    drawn = [_draw(graph, random) for _ in range(draws)]
    errors = np.array([network.error(x[test], y[test], widths) for widths in drawn])
    if not np.isfinite(errors).all():
        raise DataError("The loss became NaN while measuring utilities. Lower the learning rate.")
    shares = np.array([[w[g] / size for g, size in graph.groups.items()] for w in drawn])
    return _fit(list(graph.groups), shares, np.log(np.maximum(errors, 1 / held_out)))


def _draw(graph: LayerGraph, random: np.random.Generator) -> dict[str, int]:
    """Random widths, more or less narrow altogether."""
    narrowest = np.log(SMALLEST_SHARE) * random.uniform(0.2, 1)
    shares = np.exp(random.uniform(narrowest, 0, len(graph.groups)))
    sizes = zip(graph.groups.items(), shares, strict=True)
    return {group: max(1, round(float(share) * size)) for (group, size), share in sizes}


class _RandomWidths:
    """The network with a mask over the units of each group; batch-norm always uses the batch."""

    def __init__(self, graph: LayerGraph, weights: Weights, loss, rate: float, steps: int) -> None:
        self.graph, self.loss = graph, loss
        self.model = write_model(graph, weights)
        self.optimizer = keras.optimizers.Adam(keras.optimizers.schedules.CosineDecay(rate, steps))
        self.optimizer.build(self.model.trainable_variables)
        self._step = tf.function(self._train, reduce_retracing=True)
        self._measure = tf.function(self._error, reduce_retracing=True)

    def train(self, x: np.ndarray, y: np.ndarray, widths: Mapping[str, int]) -> None:
        self._step(*self._tensors(x, y, widths))

    def error(self, x: np.ndarray, y: np.ndarray, widths: Mapping[str, int]) -> float:
        """Share of wrong classes, or the mean loss, over equal batches of about 500 samples."""
        parts = np.array_split(np.arange(len(x)), max(1, len(x) // 500))
        return float(np.mean([self._measure(*self._tensors(x[p], y[p], widths)) for p in parts]))

    def _tensors(self, x: np.ndarray, y: np.ndarray, widths: Mapping[str, int]):
        chosen = tf.constant([widths[group] for group in self.graph.groups], tf.int32)
        return tf.constant(x, tf.float32), tf.constant(y), chosen

    def _train(self, x, y, widths) -> None:
        variables = self.model.trainable_variables
        with tf.GradientTape() as tape:
            loss = self.loss(y, self._forward(x, widths))
        gradients = tape.gradient(loss, [variable.value for variable in variables])
        self.optimizer.apply(gradients, variables)

    def _error(self, x, y, widths):
        outputs = self._forward(x, widths)
        if not is_classifier(self.loss):
            return self.loss(y, outputs)
        classes = tf.argmax(y, -1) if len(y.shape) > 1 else tf.cast(y, tf.int64)
        return tf.reduce_mean(tf.cast(tf.argmax(outputs, -1) != classes, tf.float32))

    def _forward(self, x, widths):
        index = {group: i for i, group in enumerate(self.graph.groups)}
        values = {self.graph.nodes[0].name: x}
        for node in self.graph.nodes[1:]:
            layer = self.model.get_layer(node.name)
            options = {"training": True} if node.op == "batch_norm" else {}
            inputs = [values[name] for name in node.inputs]
            value = layer(inputs if len(inputs) > 1 else inputs[0], **options)
            values[node.name] = value * tf.cast(_mask(node, widths, index), value.dtype)
        return values[self.graph.nodes[-1].name]


def _mask(node: Node, widths: tf.Tensor, index: Mapping[str, int]) -> tf.Tensor:
    """Which channels of `node` remain, bool [last axis]."""
    parts = [
        tf.repeat(
            tf.range(part.size) < (part.size if part.group is None else widths[index[part.group]]),
            part.block,
        )
        for part in node.parts
    ]
    return tf.tile(tf.concat(parts, 0), [node.positions])


def _fit(groups: list[str], shares: np.ndarray, target: np.ndarray) -> Utilities:
    """The best of `EXPONENTS`; `shares` [draws, groups] in (0, 1], `target` [draws]."""
    spread = ((target - target.mean()) ** 2).sum() or 1.0
    best: Utilities | None = None
    for exponent in EXPONENTS:
        one = np.ones((len(shares), 1))
        # Two columns, so that the constant alone may be negative.
        solution, residual = scipy.optimize.nnls(np.hstack([one, -one, shares**-exponent]), target)
        mean = solution[2:].mean() or 1.0  # a network that no width harms: all groups count alike
        found = np.maximum(solution[2:], LEAST_COEFFICIENT * mean)
        r_squared = float(1 - residual**2 / spread)
        if best is None or r_squared > best.r_squared:
            coefficients = dict(zip(groups, found.tolist(), strict=True))
            best = Utilities(exponent, coefficients, r_squared, len(shares))
    return best
