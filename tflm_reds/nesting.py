"""nest: a trained Keras model becomes a NestedModel (read, score, sort, plan, wrap)."""

from collections.abc import Sequence

import keras
import numpy as np

from tflm_reds.budget import Budget, checked_budgets, combined_budgets
from tflm_reds.errors import DataError
from tflm_reds.graph import LayerGraph
from tflm_reds.keras_reader import read_model
from tflm_reds.latency import LatencyTable
from tflm_reds.nested_model import NestedModel
from tflm_reds.nested_norms import batch_norm_class
from tflm_reds.network_costs import network_costs
from tflm_reds.permute import fold_negative_gammas, permute
from tflm_reds.plan import Plan
from tflm_reds.planning import plan_widths
from tflm_reds.recalibration import recalibrate
from tflm_reds.score import Scores, score
from tflm_reds.utility import measure_utilities


def nest(
    model: keras.Model,
    calibration: tuple[np.ndarray, np.ndarray],
    budgets: Sequence[float | Budget] = (0.25, 0.50, 0.75),
    *,
    budgets_ms: Sequence[float] | None = None,
    loss: str | keras.losses.Loss | None = None,
    plan: Plan | None = None,
    latency: LatencyTable | None = None,
    batch_norm: str = "per_subnet",
    **plan_options,
) -> NestedModel:
    """Turn a trained model into nested subnets; the full subnet computes the same function.

    Args:
        model: a built Sequential or functional model of supported layers.
        calibration: (x [n, *input shape], y [n] or [n, classes]), a few hundred samples or more.
        budgets: smallest first; a number is a fraction of the full network's true MACs, a `Budget`
            may limit RAM, flash and time too. The full network is added.
        budgets_ms: instead of `budgets`, milliseconds of one inference by `latency`.
        loss: for the scores; by default it follows from `y`.
        plan: widths of your own instead of planned ones; `budgets` is then ignored.
        latency: times of the layers, for budgets in milliseconds or microjoules. If they are of
            our own code on a board (`python -m tflm_reds.profile`), every plan's image is built and
            run on the simulated board, and corrected: the upper edge of its modelled time keeps the
            budget and uses 0.95 of it, unless the next width would exceed it.
        batch_norm: "per_subnet", "shared_scale" or "shared": how much of the batch-norms the
            subnets share, in int8 9, 4 or 0 bytes for each of their channels; see `NestedModel`.
        plan_options: passed to `plan_widths` (direction, objective, minimum, multiple, solver);
            objective="measured" trains the network for a few minutes to measure how much each
            layer's width matters (`measure_utilities`).

    Raises:
        ModelError, DataError, PlanError: each says what is wrong, the number, and the way out.
    """
    batch_norm_class(batch_norm)  # refuse a wrong one before the work
    graph, weights = read_model(model)
    x, y = check_calibration(graph, *calibration)
    weights = fold_negative_gammas(graph, weights)
    scores = score(graph, weights, x, y, loss)
    weights = permute(graph, weights, scores)
    if plan is None and plan_options.get("objective") == "measured":
        utilities = measure_utilities(graph, weights, x, y, loss=loss)
        plan_options["objective"] = utilities.objective(graph.groups)

    def make(wanted: Sequence[Budget]) -> NestedModel:
        widths = plan or plan_graph(graph, scores, wanted, latency, batch_norm, **plan_options)
        nested = NestedModel.from_weights(graph, weights, widths, model.name, batch_norm)
        # The full network keeps its statistics; the smaller ones see other inputs than it did.
        recalibrate(nested, x, subnets=range(nested.subnet_count - 1))
        return nested

    if budgets_ms:
        budgets = combined_budgets(ms=budgets_ms)
    wanted = () if plan else checked_budgets(budgets)
    checks_time = bool(latency and latency.optimize and any(b.needs_time for b in wanted))
    if checks_time or any(budget.needs_image for budget in wanted):
        from tflm_reds.measured_costs import keep_limits  # it quantises, which imports this module

        return keep_limits(make, wanted, x, latency if checks_time else None)
    return make(wanted)


def plan_graph(
    graph: LayerGraph,
    scores: Scores,
    budgets: Sequence[float | Budget],
    latency: LatencyTable | None = None,
    batch_norm: str = "per_subnet",
    **plan_options,
) -> Plan:
    """Plan the widths of `graph` within `budgets`; options as in `plan_widths`."""
    costs = network_costs(graph, latency, batch_norm)
    return plan_widths(graph.groups, scores.sorted_values, costs, budgets, **plan_options)


def check_calibration(
    graph: LayerGraph, x: np.ndarray, y: np.ndarray | None = None
) -> tuple[np.ndarray, np.ndarray | None]:
    """Calibration data as float32 arrays that fit the network.

    Raises:
        DataError: for a wrong shape, no samples, NaN or infinity, or labels that do not match.
    """
    x = np.asarray(x)
    shape = graph.nodes[0].shape
    if x.shape[1:] != shape or not len(x):
        raise DataError(
            f"Calibration inputs have shape {x.shape}, the model takes (n, "
            f"{', '.join(map(str, shape))}) with n > 0. Preprocess them as in training."
        )
    bad = int((~np.isfinite(x.astype(np.float32))).any(axis=tuple(range(1, x.ndim))).sum())
    if bad:
        raise DataError(
            f"{bad} of {len(x)} calibration samples hold NaN or infinity. Remove or repair them."
        )
    if y is not None and len(y) != len(x):
        raise DataError(f"Calibration has {len(x)} inputs but {len(y)} labels. Pair them up.")
    outputs = graph.nodes[-1].shape[-1]
    if y is not None and np.ndim(y) == 1 and outputs > 1 and np.max(y) >= outputs:
        raise DataError(
            f"Calibration has classes up to {np.max(y)}, but the model puts out {outputs} values. "
            "Use the data that it was trained for, or train it with that many outputs."
        )
    return x.astype(np.float32), None if y is None else np.asarray(y)
