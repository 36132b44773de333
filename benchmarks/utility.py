"""How the error of a network depends on its widths: the law that `tflm_reds.utility` fits.

    python -m benchmarks.utility digits_ds_cnn
    python -m benchmarks.utility ds_cnn_s_fashion_mnist dnn_s_kws --data DIR

One row per network in docs/results/utility.json: the exponent, the coefficient of each group, the
share of the variance of log(error) that the fit explains, and the widths planned with it at 25 %.
"""

import argparse
import sys
import time
from dataclasses import asdict
from pathlib import Path

import keras
import numpy as np

from benchmarks.accuracy import CALIBRATION_SAMPLES
from benchmarks.rows import replace_rows, versions
from tflm_reds.datasets import load_dataset
from tflm_reds.keras_reader import read_model
from tflm_reds.nesting import plan_graph
from tflm_reds.permute import fold_negative_gammas, permute
from tflm_reds.score import score
from tflm_reds.training import train_float
from tflm_reds.utility import measure_utilities
from tflm_reds.zoo import ZOO, load_zoo

BUDGET = 0.25


def row_of(name: str, data: Path | None, seed: int) -> dict:
    """Score, sort, measure and plan one network."""
    keras.utils.set_random_seed(seed)
    dataset = load_dataset(ZOO[name].dataset, data)
    model, pretrained = load_zoo(name, data)
    if not pretrained:
        model = train_float(model, dataset, 15)
    rows = np.random.default_rng(seed).permutation(len(dataset.x_train))[:CALIBRATION_SAMPLES]
    x, y = dataset.x_train[rows], dataset.y_train[rows]
    graph, weights = read_model(model)
    weights = fold_negative_gammas(graph, weights)
    scores = score(graph, weights, x, y)
    start = time.monotonic()
    utilities = measure_utilities(graph, permute(graph, weights, scores), x, y, seed=seed)
    seconds = time.monotonic() - start
    plan = plan_graph(graph, scores, (BUDGET,), objective=utilities.objective(graph.groups))
    by_width = plan_graph(graph, scores, (BUDGET,), objective="width")
    return {
        "name": name,
        **asdict(utilities),
        "widths": plan.widths[0],
        "widths_by_width_objective": by_width.widths[0],
        "sizes": graph.groups,
        "budget": BUDGET,
        "seed": seed,
        "seconds": seconds,
        "versions": versions("keras", "tensorflow", "scipy"),
    }


def main() -> None:
    """A row for each network named."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("networks", nargs="+", choices=sorted(ZOO))
    parser.add_argument("--data", type=Path)
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    for name in arguments.networks:
        row = row_of(name, arguments.data, arguments.seed)
        where = ["--data DIR"] * (arguments.data is not None)
        command = " ".join(["python -m benchmarks.utility", name, *where])
        print({key: row[key] for key in ("name", "exponent", "r_squared", "widths")}, flush=True)
        replace_rows("utility", [row | {"command": command}], "name")


if __name__ == "__main__":
    sys.exit(main())
