"""What scoring and planning are worth: the smallest subnet against random units.

    python -m benchmarks.choice          # a few minutes; writes docs/results/choice.json

On digits, for three seeds: the planned 25 % subnet (units by importance, widths by the planner)
beside a subnet of the same budget with uniform widths and randomly chosen units, directly after
nesting and after the same joint training.
"""

import sys
from collections.abc import Sequence

import keras
import numpy as np

from benchmarks.rows import versions, write_rows
from tflm_reds.datasets import Dataset, load_dataset
from tflm_reds.graph import LayerGraph, select_units
from tflm_reds.keras_reader import read_model
from tflm_reds.nested_model import NestedModel
from tflm_reds.nesting import nest
from tflm_reds.permute import fold_negative_gammas
from tflm_reds.plan import Plan
from tflm_reds.recalibration import recalibrate
from tflm_reds.training import accuracy, fine_tune, train_float
from tflm_reds.zoo import load_zoo

BUDGET, EPOCHS, SEEDS = 0.25, 30, 3


def uniform_plan(graph: LayerGraph, budgets: Sequence[float]) -> Plan:
    """Widths in one proportion to the full ones, the largest within each budget (slimmable nets).

    Args:
        budgets: fractions of the true MACs, ascending to 1.0.
    """
    widths = [_uniform_widths(graph, budget) for budget in budgets]
    return Plan.from_widths(widths, [graph.macs(w) for w in widths], budgets)


def _uniform_widths(graph: LayerGraph, budget: float) -> dict[str, int]:
    shares = (step / 1000 for step in range(1000, 0, -1))
    options = ({g: max(1, int(n * s)) for g, n in graph.groups.items()} for s in shares)
    return next(widths for widths in options if graph.macs(widths) <= budget * graph.macs())


def random_subnets(model: keras.Model, dataset: Dataset, like: Plan, seed: int) -> NestedModel:
    """Nested subnets of random units and uniform widths, under the budgets of `like`."""
    graph, weights = read_model(model)
    random = np.random.default_rng(seed)
    order = {group: random.permutation(size) for group, size in graph.groups.items()}
    weights = select_units(graph, fold_negative_gammas(graph, weights), order)
    nested = NestedModel.from_weights(graph, weights, uniform_plan(graph, like.budgets))
    recalibrate(nested, dataset.x_train, subnets=range(nested.subnet_count - 1))
    return nested


def smallest(nested: NestedModel, dataset: Dataset) -> float:
    """Test accuracy of subnet 0."""
    return accuracy(nested.predict(dataset.x_test, verbose=0)[0], dataset.y_test)


def rows_of(seed: int) -> list[dict]:
    """The planned and the random subnet from one trained network."""
    keras.utils.set_random_seed(seed)
    dataset = load_dataset("digits")
    model = train_float(load_zoo("digits_ds_cnn")[0], dataset, 15)
    planned = nest(model, (dataset.x_train, dataset.y_train))
    candidates = {"planned": planned, "random": random_subnets(model, dataset, planned.plan, seed)}
    rows = []
    for name, nested in candidates.items():
        keras.utils.set_random_seed(seed)
        before = smallest(nested, dataset)
        fine_tune(nested, dataset, EPOCHS)
        rows.append(
            {
                "name": name,
                "budget": BUDGET,
                "mac_fraction": nested.plan.fractions[0],
                "widths": nested.plan.widths[0],
                "accuracy_after_nesting": before,
                "accuracy_after_training": smallest(nested, dataset),
                "chance": 1 / len(dataset.labels),
                "samples": len(dataset.x_test),
                "epochs": EPOCHS,
                "seed": seed,
                "versions": versions("keras", "tensorflow", "numpy"),
                "command": "python -m benchmarks.choice",
            }
        )
    return rows


def main() -> None:
    """Run all seeds."""
    rows = [row for seed in range(SEEDS) for row in rows_of(seed)]
    for row in rows:
        print({k: row[k] for k in ("name", "seed", "accuracy_after_nesting",
                                   "accuracy_after_training")})  # fmt: skip
    write_rows("choice", rows)


if __name__ == "__main__":
    sys.exit(main())
