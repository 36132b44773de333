"""Cycles of whole assembled networks: the image for the Nano 33 BLE, executor and everything in it.

    python -m benchmarks.assembled [--data DIR] [NETWORK ...]

DS-CNN S with the same width in every layer, and the other reference networks at full width; the
weights are pretrained ones where DIR has them, else random (counts do not depend on them). Rows go
into docs/results/assembled.json.
"""

import argparse
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import keras
import numpy as np

from benchmarks.cmsis_nn import NETWORK_CYCLES
from benchmarks.rows import replace_rows, versions
from tflm_reds.boards.schema import load_board
from tflm_reds.codegen.firmware import Samples, build_firmware
from tflm_reds.codegen.lower import lower
from tflm_reds.codegen.writer import model_identifier, write_sources
from tflm_reds.keras_reader import read_model
from tflm_reds.nesting import nest
from tflm_reds.plan import Plan
from tflm_reds.quantization import quantize
from tflm_reds.quantized import QuantizedNet
from tflm_reds.sim.unicorn import UnicornSession
from tflm_reds.zoo import load_zoo

SEED = 0
WIDTHS = {"ds_cnn_s_kws": (16, 32, 48, 64)}


def make_net(name: str, data: Path | None) -> QuantizedNet:
    """The zoo's network in int8, with the subnets of WIDTHS, else the full network alone."""
    keras.utils.set_random_seed(SEED)
    model, _ = load_zoo(name, data)
    graph, _ = read_model(model)
    widths = [dict.fromkeys(graph.groups, width) for width in WIDTHS.get(name, ())]
    macs = [graph.macs(row) for row in widths or [graph.groups]]
    plan = Plan.from_widths(widths or [dict(graph.groups)], macs, [m / macs[-1] for m in macs])
    random = np.random.default_rng(SEED)
    x = random.normal(0, 1, (64, *model.input_shape[1:])).astype(np.float32)
    y = random.integers(0, model.output_shape[-1], len(x))
    return quantize(nest(model, (x, y), plan=plan), x, name)


def rows_of(name: str, data: Path | None) -> Iterator[dict]:
    """A row for each subnet of one network."""
    net = make_net(name, data)
    program = lower(net)
    x = np.random.default_rng(SEED).integers(-128, 128, (1, *net.input.shape)).astype(np.int8)
    with tempfile.TemporaryDirectory() as folder:
        sources = write_sources(program, Path(folder) / "src")
        model = model_identifier(program)
        samples = Samples.from_net(net, x)
        firmware = build_firmware(sources, model, samples, load_board("nano33ble"), folder)
        session = UnicornSession(firmware)
        for subnet in range(net.subnet_count):
            run = session.measure(subnet, samples.inputs[0])
            width = WIDTHS[name][subnet] if name in WIDTHS else None
            cmsis_nn = NETWORK_CYCLES[name][width]
            yield {
                "name": name,
                "width": width,
                "macs": net.macs(subnet),
                "instructions": run.instructions,
                "cycles_ws0": run.cycles.ws0,
                "cycles_ws2": run.cycles.ws2,
                "cmsis_nn_cycles_ws0": round(cmsis_nn),
                "per_op": dict(run.per_op),
                "core": "cortex-m4f",
                "compiler": firmware.toolchain,
                "seed": SEED,
                "versions": versions("keras", "tensorflow", "numpy", "unicorn"),
                "command": "python -m benchmarks.assembled",
            }


def main() -> None:
    """Measure the networks named on the command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("networks", nargs="*", default=list(NETWORK_CYCLES))
    parser.add_argument("--data", type=Path)
    arguments = parser.parse_args()
    for name in arguments.networks:
        rows = list(rows_of(name, arguments.data))
        replace_rows("assembled", rows, "name")
        for row in rows:
            ratio = row["cmsis_nn_cycles_ws0"] / row["cycles_ws0"]
            print(name, row["width"], row["instructions"], row["cycles_ws0"], f"{ratio:.2f}x")


if __name__ == "__main__":
    sys.exit(main())
