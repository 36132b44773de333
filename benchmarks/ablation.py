"""What each part of the method is worth: one factor changed at a time from the default.

    python -m benchmarks.ablation dnn_s_kws --data DIR            # minutes per cell; resumable
    python -m benchmarks.ablation ds_cnn_s_fashion_mnist --data DIR --only uniform default

Each cell nests the pretrained network under 25, 50 and 75 % of its true MACs, trains all subnets
jointly for a few epochs on a part of the data, quantises, and measures every subnet as int8 on the
host-compiled C over the whole test part, and the bytes of its tables. A finished cell goes into
docs/results/ablation.json at once, and is skipped by the next call.
"""

import argparse
import sys
import time
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import keras
import numpy as np

from benchmarks.accuracy import QUANTISATION_SAMPLES, correct, correct_int8
from benchmarks.choice import uniform_plan
from benchmarks.rows import RESULTS, read_rows, replace_rows, versions
from tflm_reds.codegen.lower import lower
from tflm_reds.codegen.program import table_bytes
from tflm_reds.datasets import Dataset, load_dataset
from tflm_reds.keras_reader import read_model
from tflm_reds.nested_model import NestedModel
from tflm_reds.nesting import plan_graph
from tflm_reds.permute import fold_negative_gammas, permute
from tflm_reds.quantization import quantize
from tflm_reds.recalibration import recalibrate
from tflm_reds.sampling import spread
from tflm_reds.score import score
from tflm_reds.training import fine_tune
from tflm_reds.utility import measure_utilities
from tflm_reds.zoo import ZOO, load_zoo

BUDGETS = (0.25, 0.50, 0.75)


@dataclass(frozen=True)
class Cell:
    """The factors; the defaults are those of `nest` and `fine_tune`.

    Attributes:
        score: method of `tflm_reds.score`.
        sorted: whether the units are permuted by their scores.
        batch_norm: what the subnets share of it.
        distillation: share of the full subnet's outputs in the loss of the others.
        direction: of planning.
        objective: of planning, as `nest` takes it; "uniform" widths are in one proportion in every
            layer (slimmable).
    """

    score: str = "gradient"
    sorted: bool = True
    batch_norm: str = "per_subnet"
    distillation: float = 0.5
    direction: str = "bottom-up"
    objective: str = "width"


CELLS = {
    "default": Cell(),
    "magnitude": Cell(score="magnitude"),
    "random": Cell(score="random"),
    "unsorted": Cell(sorted=False),
    "shared_scale": Cell(batch_norm="shared_scale"),
    "shared": Cell(batch_norm="shared"),
    "no_distillation": Cell(distillation=0.0),
    "top_down": Cell(direction="top-down"),
    "joint": Cell(direction="joint"),
    "measured": Cell(objective="measured"),
    "product": Cell(objective="product"),
    "sum": Cell(objective="sum"),
    "uniform": Cell(objective="uniform"),
}


@dataclass(frozen=True)
class Training:
    """A short joint training.

    Attributes:
        samples: of the training part, drawn at random; None for all.
        trust: share of the pretrained network's outputs in the labels.
        mixing: see `fine_tune`.
        cells: those that differ for this network.
    """

    epochs: int
    rate: float
    samples: int | None = None
    trust: float = 0.0
    mixing: float = 0.0
    batch_size: int = 64
    cells: tuple[str, ...] = tuple(CELLS)


WITHOUT_BATCH_NORM = tuple(name for name in CELLS if name not in ("shared_scale", "shared"))
TRAININGS = {
    "dnn_s_kws": Training(epochs=8, rate=1e-3, trust=0.9, mixing=0.5, cells=WITHOUT_BATCH_NORM),
    "ds_cnn_s_fashion_mnist": Training(epochs=2, rate=3e-3, samples=10_000),
}


def small(dataset: Dataset, training: Training, seed: int) -> Dataset:
    """The data set with a part of its training part, and without augmentation."""
    rows = np.random.default_rng(seed).permutation(len(dataset.x_train))[: training.samples]
    x, y = dataset.x_train[rows], dataset.y_train[rows]
    return replace(dataset, x_train=x, y_train=y, augment=None)


def nested_of(model: keras.Model, dataset: Dataset, cell: Cell, seed: int) -> NestedModel:
    """What `nest` does, with the factors that it does not offer."""
    graph, weights = read_model(model)
    weights = fold_negative_gammas(graph, weights)
    x, y = dataset.x_train, dataset.y_train
    scores = score(graph, weights, x, y, method=cell.score, seed=seed)
    if cell.sorted:
        weights = permute(graph, weights, scores)
    if cell.objective == "uniform":
        plan = uniform_plan(graph, (*BUDGETS, 1.0))
    else:
        objective = cell.objective
        if objective == "measured":
            objective = measure_utilities(graph, weights, x, y).objective(graph.groups)
        options = {"direction": cell.direction, "objective": objective}
        plan = plan_graph(graph, scores, BUDGETS, batch_norm=cell.batch_norm, **options)
    nested = NestedModel.from_weights(graph, weights, plan, batch_norm=cell.batch_norm)
    recalibrate(nested, x, subnets=range(nested.subnet_count - 1))
    return nested


def row_of(network: str, name: str, data: Path, seed: int) -> dict:
    """Nest, train, quantise and measure one cell."""
    start = time.monotonic()
    keras.utils.set_random_seed(seed)
    cell, training = CELLS[name], TRAININGS[network]
    dataset = small(load_dataset(ZOO[network].dataset, data), training, seed)
    model, pretrained = load_zoo(network, data)
    if not pretrained:
        raise SystemExit(f"{data} has no pretrained weights for {network}.")
    nested = nested_of(model, dataset, cell, seed)
    fine_tune(
        nested, dataset, training.epochs, training.batch_size, training.rate, cell.distillation,
        model if training.trust else None, training.trust, mixing=training.mixing,
    )  # fmt: skip
    outputs = nested.predict(dataset.x_test, verbose=0, batch_size=256)
    net = quantize(nested, spread(dataset.x_train, QUANTISATION_SAMPLES), labels=dataset.labels)
    right, program = correct_int8(net, dataset.x_test, dataset.y_test), lower(net)
    return {
        "run": f"{network}/{name}/{seed}",
        "name": network,
        "cell": name,
        "factors": asdict(cell),
        "seed": seed,
        "widths": nested.plan.widths,
        "mac_fractions": nested.plan.fractions,
        "accuracy_float": [float(correct(output, dataset).mean()) for output in outputs],
        "accuracy_int8": right.mean(axis=1).tolist(),
        "table_bytes": [table_bytes(program, k) for k in range(program.subnet_count)],
        "samples": len(dataset.x_test),
        "training": {k: v for k, v in asdict(training).items() if k != "cells"},
        "seconds": time.monotonic() - start,
        "versions": versions("keras", "tensorflow", "numpy"),
        "command": f"python -m benchmarks.ablation {network} --data DIR --only {name} "
        f"--seed {seed}",
    }


def finished() -> set[str]:
    """Runs that docs/results/ablation.json holds."""
    exists = (RESULTS / "ablation.json").exists()
    return {row["run"] for row in read_rows("ablation")} if exists else set()


def main() -> None:
    """Every cell of one network that is not in the file yet."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("network", choices=sorted(TRAININGS))
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--only", nargs="+", choices=CELLS, help="default: every cell")
    arguments = parser.parse_args()
    for name in arguments.only or TRAININGS[arguments.network].cells:
        if f"{arguments.network}/{name}/{arguments.seed}" in finished():
            continue
        row = row_of(arguments.network, name, arguments.data, arguments.seed)
        print({key: row[key] for key in ("run", "accuracy_int8", "table_bytes", "seconds")})
        replace_rows("ablation", [row], "run")
        keras.backend.clear_session()


if __name__ == "__main__":
    sys.exit(main())
