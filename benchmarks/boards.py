"""Every network on every board in every simulator that is here -> docs/results/boards.json

    python -m benchmarks.boards [NETWORK ...] [--boards NAME ...] [--quantized DIR] [--data DIR]

DIR holds trained networks, `<network>-*/quantized.npz`; without one, widths are planned for 25, 50
and 75 % of the MACs and the weights are the zoo's, or random where it has none: sizes, counts and
modelled times do not depend on their values. Kernels are chosen by shape.
"""

import argparse
import os
import sys
import tempfile
from collections.abc import Iterable, Iterator
from pathlib import Path

import numpy as np

from benchmarks.rows import replace_rows, versions
from tflm_reds.boards.schema import Board, available_boards, load_board
from tflm_reds.budget import combined_budgets
from tflm_reds.codegen.firmware import Firmware, Samples, build_firmware
from tflm_reds.codegen.lower import lower
from tflm_reds.codegen.program import Program
from tflm_reds.codegen.writer import model_identifier, write_sources
from tflm_reds.errors import BoardError, SimulationError
from tflm_reds.nesting import nest
from tflm_reds.quantization import quantize
from tflm_reds.quantized import QuantizedNet
from tflm_reds.sim.protocol import RunResult
from tflm_reds.sim.simulators import choose_simulators, run_simulators
from tflm_reds.zoo import load_zoo

TEN = "ds_cnn_s_kws_ten"
"""DS-CNN S with the paper's ten budgets, which count MACs as the paper does."""

NETWORKS = (
    "ds_cnn_s_kws",
    TEN,
    "digits_ds_cnn",
    "dnn_s_kws",
    "cnn_s_kws",
    "ds_cnn_s_cifar10",
    "ds_cnn_s_fashion_mnist",
    "resnet8_cifar10",
    "mobilenet_v1_025_vww",
    "dnn_l_kws",
    "cnn_l_kws",
    "ds_cnn_l_kws",
    "mobilenet_v1_100_vww",
)
SEED = 0


def load_net(name: str, quantized: Path | None, data: Path | None) -> tuple[QuantizedNet, bool]:
    """The network in int8, and whether its weights were trained as nested ones."""
    found = sorted(quantized.glob(f"{name}-*/quantized.npz")) if quantized else []
    if found:
        return QuantizedNet.load(found[0]), True
    import keras

    keras.utils.set_random_seed(SEED)
    model, _ = load_zoo(name.removesuffix("_ten"), data)
    random = np.random.default_rng(SEED)
    x = random.normal(0, 1, (32, *model.input_shape[1:])).astype(np.float32)
    y = random.integers(0, model.output_shape[-1], len(x))
    fractions = [k / 10 for k in range(1, 10)] if name == TEN else [0.25, 0.5, 0.75]
    budgets = combined_budgets(**{"label" if name == TEN else "macs": fractions})
    return quantize(nest(model, (x, y), budgets), x, name), False


def rows_of(
    name: str, boards: Iterable[str], quantized: Path | None, data: Path | None
) -> Iterator[dict]:
    """A row for each board."""
    net, trained = load_net(name, quantized, data)
    program = lower(net)
    x = np.random.default_rng(SEED).integers(-128, 128, (1, *net.input.shape)).astype(np.int8)
    samples = Samples.from_net(net, x)
    for board in map(load_board, boards):
        row = {"name": name, "board": board.name, "core": board.core, "trained": trained}
        row["cell"] = f"{name} {board.name}"
        try:
            row |= _measure(program, samples, board)
        except (BoardError, SimulationError) as error:
            row |= {"not_available": str(error).partition(". ")[0]}
        yield row | {
            "macs": [net.macs(subnet) for subnet in range(net.subnet_count)],
            "seed": SEED,
            "versions": versions("numpy", "unicorn", "capstone"),
            "command": "python -m benchmarks.boards",
        }


def _measure(program: Program, samples: Samples, board: Board) -> dict:
    """Figures of one network on one board; all simulators agree on bytes and instructions."""
    with tempfile.TemporaryDirectory() as folder:
        sources = write_sources(program, Path(folder) / "src")
        firmware = build_firmware(sources, model_identifier(program), samples, board, folder)
        runs = run_simulators(choose_simulators("all", board), firmware)
    return {
        "not_available": None,
        "compiler": firmware.toolchain,
        "flash_bytes": firmware.flash_bytes,
        "ram_bytes": firmware.ram_bytes,
        "instructions": {name: _instructions(run) for name, run in runs.items()},
        "differing_bytes": {
            name: int((run.outputs != samples.outputs).sum()) for name, run in runs.items()
        },
        "relinked": any(run.relinked for run in runs.values()),
        **_modelled(firmware, next(iter(runs.values()))),
    }


def _instructions(run: RunResult) -> list[int]:
    return [subnet.instructions for subnet in run.subnets]


def _modelled(firmware: Firmware, run: RunResult) -> dict:
    """(lowest, highest) cycles and milliseconds of each subnet; None without a cycle model."""
    cycles = [subnet.cycles and (subnet.cycles.low, subnet.cycles.high) for subnet in run.subnets]
    per_ms = firmware.board.clock_hz / 1000
    times = [pair and [round(end / per_ms, 3) for end in pair] for pair in cycles]
    return {"cycles_modelled": cycles, "ms_modelled": times}


def main() -> None:
    """Measure the networks named on the command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("networks", nargs="*", default=NETWORKS)
    parser.add_argument("--boards", nargs="+", default=available_boards())
    parser.add_argument("--quantized", type=Path)
    parser.add_argument("--data", type=Path, default=os.environ.get("TFLM_REDS_DATA"))
    arguments = parser.parse_args()
    for name in arguments.networks:
        rows = []
        for row in rows_of(name, arguments.boards, arguments.quantized, arguments.data):
            print(name, row["board"], row.get("instructions") or row["not_available"], flush=True)
            rows.append(row)
        replace_rows("boards", rows, "cell")


if __name__ == "__main__":
    sys.exit(main())
