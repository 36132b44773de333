"""Nested subnets of a small Vision Transformer, in float: the step to int8 does not take it.

    python -m benchmarks.vision_transformer    # minutes; docs/results/vision_transformer.json

On digits, for three seeds: the network is trained from scratch, nested under 25, 50 and 75 % of its
true MACs (heads, neurons and embedding dimensions are the units), and all subnets trained jointly.
"""

import sys

import keras

from benchmarks.rows import versions, write_rows
from tflm_reds.datasets import load_dataset
from tflm_reds.nesting import nest
from tflm_reds.training import accuracy, fine_tune, train_float
from tflm_reds.zoo import load_zoo

NAME = "vit_digits"
BUDGETS, SEEDS = (0.25, 0.50, 0.75), 3
EPOCHS, JOINT_EPOCHS, RATE = 60, 40, 1e-3


def rows_of(seed: int) -> list[dict]:
    """A row for each subnet."""
    keras.utils.set_random_seed(seed)
    dataset = load_dataset("digits")
    model = train_float(load_zoo(NAME)[0], dataset, EPOCHS, rate=RATE)
    before = accuracy(model.predict(dataset.x_test, verbose=0), dataset.y_test)
    nested = nest(model, (dataset.x_train, dataset.y_train), BUDGETS)
    untrained = nested.predict(dataset.x_test, verbose=0)
    fine_tune(nested, dataset, JOINT_EPOCHS, rate=RATE)
    outputs = nested.predict(dataset.x_test, verbose=0)
    return [
        {
            "name": NAME,
            "seed": seed,
            "budget": budget,
            "mac_fraction": nested.plan.fractions[k],
            "gap": nested.plan.gaps[k],
            "widths": nested.plan.widths[k],
            "accuracy_before_nesting": before,
            "accuracy_after_nesting": accuracy(untrained[k], dataset.y_test),
            "accuracy_after_training": accuracy(outputs[k], dataset.y_test),
            "samples": len(dataset.x_test),
            "epochs": [EPOCHS, JOINT_EPOCHS],
            "versions": versions("keras", "tensorflow", "numpy"),
            "command": "python -m benchmarks.vision_transformer",
        }
        for k, budget in enumerate(nested.plan.budgets)
    ]


def main() -> None:
    """Run all seeds."""
    rows = [row for seed in range(SEEDS) for row in rows_of(seed)]
    for row in rows:
        print({k: row[k] for k in ("seed", "budget", "widths", "accuracy_after_training")})
    write_rows("vision_transformer", rows)


if __name__ == "__main__":
    sys.exit(main())
