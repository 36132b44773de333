"""MobileNetV1 0.25 for Visual Wake Words under limits of peak RAM, and what int8 costs it.

    python -m benchmarks.memory --data DIR

Plans subnets under 32 KiB and 40 KiB of int8 peak RAM (the full network needs 46 KiB), quantises
them as nested, without training, and measures the full network as float and int8 on the 1,000
images of MLPerf Tiny; then trains all subnets jointly on 600 of these images and Pascal VOC's, and
measures on 200 others. The arena is that of the generated code of an image cut to each subnet. Rows
go into docs/results/memory.json.
"""

import argparse
import sys
from dataclasses import replace
from pathlib import Path

import keras
import numpy as np

from benchmarks.accuracy import correct, correct_int8, quantized
from benchmarks.rows import versions, write_rows
from tflm_reds.budget import Budget
from tflm_reds.codegen.lower import lower
from tflm_reds.codegen.program import arena_bytes
from tflm_reds.datasets import load_dataset
from tflm_reds.datasets.visual_wake_words import load_visual_wake_words_mlperf
from tflm_reds.nesting import nest
from tflm_reds.training import fine_tune
from tflm_reds.zoo import ZOO, load_zoo

NAME = "mobilenet_v1_025_vww"
LIMITS = (32 * 1024, 40 * 1024)
BATCH_SIZE, RATE, TRUST = 32, 1e-3, 0.9


def rows_of(data: Path, epochs: int, seed: int) -> list[dict]:
    """A row for each subnet."""
    keras.utils.set_random_seed(seed)
    model, pretrained = load_zoo(NAME, data)
    if not pretrained:
        raise SystemExit(f"{data} has no pretrained weights for {NAME}.")
    dataset = load_dataset(ZOO[NAME].dataset, data)
    nested = nest(
        model,
        (dataset.x_train, dataset.y_train),
        [Budget(ram=limit) for limit in LIMITS],
        direction="top-down",
    )
    print(nested.plan, flush=True)
    x, y = load_visual_wake_words_mlperf(data)
    thousand = replace(dataset, x_test=x, y_test=y)
    float_before = correct(nested.predict(x, verbose=0)[-1], thousand).mean()
    int8_before = correct_int8(quantized(nested, dataset), x, y)[-1].mean()
    fine_tune(nested, dataset, epochs, BATCH_SIZE, RATE, teacher=model, trust=TRUST)
    outputs = nested.predict(dataset.x_test, verbose=0)
    net = quantized(nested, dataset)
    right = correct_int8(net, dataset.x_test, dataset.y_test)
    program = lower(net)
    return [
        {
            "name": NAME,
            "subnet": k,
            "limit": limit,
            "arena_bytes": arena_bytes(program, k),
            "mac_fraction": nested.plan.fractions[k],
            "widths": nested.plan.widths[k],
            "status": nested.plan.status,
            "gap": nested.plan.gaps[k],
            "accuracy_float": float(np.mean(correct(outputs[k], dataset))),
            "accuracy_int8": float(right[k].mean()),
            "samples": len(dataset.x_test),
            "untrained_float": float(float_before) if limit is None else None,
            "untrained_int8": float(int8_before) if limit is None else None,
            "untrained_samples": len(x) if limit is None else None,
            "epochs": epochs,
            "seed": seed,
            "versions": versions("keras", "tensorflow", "numpy"),
            "command": f"python -m benchmarks.memory --data DIR --epochs {epochs}",
        }
        for k, limit in enumerate((*LIMITS, None))
    ]


def main() -> None:
    """One run."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--epochs", type=int, default=10)
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    rows = rows_of(arguments.data, arguments.epochs, arguments.seed)
    for row in rows:
        print({k: row[k] for k in ("limit", "arena_bytes", "accuracy_float", "accuracy_int8")})
    write_rows("memory", rows)


if __name__ == "__main__":
    sys.exit(main())
