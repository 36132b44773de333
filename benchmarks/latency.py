"""Plans by milliseconds: what the table says, and what the finished image takes.

    python -m benchmarks.latency [--data DIR] [NETWORK ...]

For each network: profile it, plan subnets for shares of the full network's time, quantise them as a
build does (with other activation ranges than those the plan was checked with), build the image and
run it in Unicorn. Nothing is trained: no time depends on the weights.
"""

import argparse
from collections.abc import Sequence
from pathlib import Path

import keras
import numpy as np

from benchmarks.rows import replace_rows, versions
from tflm_reds.boards.schema import load_board
from tflm_reds.datasets import load_dataset
from tflm_reds.image_times import image_times
from tflm_reds.keras_reader import read_model
from tflm_reds.nesting import nest
from tflm_reds.network_costs import network_costs
from tflm_reds.profiling import profile
from tflm_reds.quantization import quantize
from tflm_reds.zoo import ZOO, load_zoo

BOARD, SEED, SAMPLES = "nano33ble", 0, 400
NETWORKS = ("digits_ds_cnn", "ds_cnn_s_kws", "cnn_s_kws")
SHARES = (0.25, 0.4, 0.6)


def rows_of(name: str, data: Path | None, shares: Sequence[float] = SHARES) -> list[dict]:
    """A row for each budget of one network."""
    keras.utils.set_random_seed(SEED)
    model, _ = load_zoo(name, data)
    dataset = load_dataset(ZOO[name].dataset, data)
    x, y = dataset.x_train[:SAMPLES], dataset.y_train[:SAMPLES]
    table = profile(model, BOARD)
    graph, _ = read_model(model)
    full = network_costs(graph, table).measure([graph.groups])[0]["ms"]
    budgets = [round(share * full, 3) for share in shares]
    plan = (nested := nest(model, (x, y), budgets_ms=budgets, latency=table)).plan
    planned = network_costs(graph, table).measure(plan.widths)
    image = image_times(quantize(nested, x), load_board(BOARD), "speed")
    return [
        {
            "name": name,
            "board": BOARD,
            "subnet": k,
            "budget_ms": budget,
            "table_ms": planned[k]["ms"],
            "image_ms": image.milliseconds[k],
            "low_ms": 1000 * image.runs[k].cycles.low / image.board.clock_hz,
            "mac_fraction": plan.fractions[k],
            "widths": plan.widths[k],
            "seed": SEED,
            "versions": versions("unicorn", "capstone", "keras", "numpy"),
            "command": f"python -m benchmarks.latency {name} --data DIR",
        }
        for k, budget in enumerate(budgets)
    ]


def main() -> None:
    """Write docs/results/latency.json."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("networks", nargs="*", default=NETWORKS)
    parser.add_argument("--data", type=Path)
    arguments = parser.parse_args()
    for name in arguments.networks:
        rows = rows_of(name, arguments.data)
        for row in rows:
            used = row["image_ms"] / row["budget_ms"]
            print(name, row["budget_ms"], row["table_ms"], row["image_ms"], f"{used:.3f}")
            if not np.isfinite(used) or used > 1:
                raise SystemExit(f"{name} exceeds its budget: {row}")
        replace_rows("latency", rows, "name")


if __name__ == "__main__":
    main()
