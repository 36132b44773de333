"""Modelled cycles of CMSIS-NN's kernels on the NUCLEO-L4R5ZI beside published measurements.

    python -m benchmarks.published CMSIS_NN      # root of a CMSIS-NN source tree; writes the rows

The networks are MLPerf Tiny's, with random weights: no time depends on them. Published are the
times of microTVM with CMSIS-NN in MLPerf Tiny's results of version 1.0 (closed division, 120 MHz,
flash cache on). Modelled are the convolutions and fully connected layers; pools, sums and softmax
are left out: 7 % of ResNet-8's cycles in TensorFlow Lite Micro, below 1 % of the others'.
"""

import argparse
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import keras
import numpy as np

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))

from benchmarks.cmsis_nn_calls import CmsisNnCall, build_cmsis_nn, with_one_scale
from benchmarks.rows import versions, write_rows
from tflm_reds.boards.schema import Board, load_board
from tflm_reds.profiling import full_network
from tflm_reds.quantized import QuantizedNet
from tflm_reds.sim.counts import Counts
from tflm_reds.sim.cycles import CycleModel
from tflm_reds.zoo import load_zoo

BOARD, SEED = "nucleo_l4r5zi", 0
PUBLISHED_MS = {"kws": 99.8, "ic": 389.6, "vww": 301.2, "ad": 8.61}
ZOO_NAMES = {"kws": "ds_cnn_s_kws", "ic": "resnet8_cifar10", "vww": "mobilenet_v1_025_vww"}
AD_WIDTHS = (128, 128, 128, 128, 8, 128, 128, 128, 128, 640)
AVERAGED = ("AVERAGE_POOL_2D",)


def make_net(name: str) -> QuantizedNet:
    """MLPerf Tiny's network of this name in int8."""
    keras.utils.set_random_seed(SEED)
    if name in ZOO_NAMES:
        model, _ = load_zoo(ZOO_NAMES[name], None)
    else:
        layers = [keras.layers.Dense(width, "relu") for width in AD_WIDTHS[:-1]]
        model = keras.Sequential([keras.Input((640,)), *layers, keras.layers.Dense(640)])
    return full_network(model)[1]


def layers(net: QuantizedNet) -> Iterator[QuantizedNet]:
    """Networks that end with one of the layers each, in order."""
    for index, op in enumerate(net.ops):
        upto = replace(net, ops=net.ops[: index + 1])
        if CmsisNnCall.knows(upto) and op.kind not in AVERAGED:
            yield with_one_scale(upto)


def measure(name: str, tree: Path, board: Board) -> dict:
    """The row of one network."""
    random = np.random.default_rng(SEED)
    net, found = make_net(name), []
    with tempfile.TemporaryDirectory() as folder:
        machine = build_cmsis_nn(tree, Path(folder))
        model = CycleModel(machine.elf.flash_image(0), 0, board.timing)
        for layer in layers(net):
            call = CmsisNnCall(machine, layer, 0)
            shape = call.source.active_shape(0)
            counts: Counts = call.count(random.integers(-128, 128, shape).astype(np.int8))
            found.append((counts, model.estimate(counts)))
    estimates = [estimate for _, estimate in found]
    return {
        "name": name,
        "board": board.name,
        "instructions": sum(counts.instructions for counts, _ in found),
        "flash_reads": sum(sum(counts.flash_reads) for counts, _ in found),
        "cycles_ws0": sum(estimate.ws0 for estimate in estimates),
        "cycles_modelled": [sum(e.low for e in estimates), sum(e.high for e in estimates)],
        "published_ms": PUBLISHED_MS[name],
        "published_cycles": round(PUBLISHED_MS[name] * board.clock_hz / 1000),
        "seed": SEED,
        "versions": versions("unicorn", "capstone"),
        "command": "python -m benchmarks.published CMSIS_NN",
    }


def main() -> None:
    """Write docs/results/published.json."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("tree", type=Path)
    tree, board = parser.parse_args().tree, load_board(BOARD)
    rows = [measure(name, tree, board) for name in PUBLISHED_MS]
    for row in rows:
        print(row["name"], row["cycles_ws0"], row["cycles_modelled"], row["published_cycles"])
    write_rows("published", rows)


if __name__ == "__main__":
    main()
