"""Cycles of whole assembled networks: the image for the Nano 33 BLE, executor and everything in it.

    python -m benchmarks.assembled [--data DIR] [NETWORK ...]

DS-CNN S with the same width in every layer, with the widths that were planned for it (mostly odd)
and with these rounded up to multiples of 8; the other reference networks at full width. The weights
are pretrained ones where DIR has them, else random: counts do not depend on them. Rows go into
docs/results/assembled.json.
"""

import argparse
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import keras
import numpy as np

from benchmarks.cmsis_nn import NETWORK_CYCLES
from benchmarks.rows import read_rows, replace_rows, versions
from tflm_reds.boards.schema import load_board
from tflm_reds.codegen.firmware import Samples, build_firmware
from tflm_reds.codegen.lower import lower
from tflm_reds.codegen.writer import model_identifier, write_sources
from tflm_reds.graph import LayerGraph
from tflm_reds.keras_reader import read_model
from tflm_reds.nesting import nest
from tflm_reds.plan import Plan
from tflm_reds.quantization import quantize
from tflm_reds.quantized import QuantizedNet
from tflm_reds.sim.unicorn import UnicornSession
from tflm_reds.zoo import load_zoo

SEED = 0
UNIFORM, PLANNED, ROUNDED = "ds_cnn_s_kws", "ds_cnn_s_kws_planned", "ds_cnn_s_kws_rounded"
NAMES = (UNIFORM, PLANNED, ROUNDED, *(name for name in NETWORK_CYCLES if name != UNIFORM))


def widths_of(name: str, graph: LayerGraph) -> list[dict[str, int]]:
    """Widths of each subnet, smallest first."""
    if name == UNIFORM:
        return [dict.fromkeys(graph.groups, width) for width in sorted(NETWORK_CYCLES[name])]
    if name not in (PLANNED, ROUNDED):
        return [dict(graph.groups)]
    planned = [
        row["widths"]
        for row in read_rows("accuracy")
        if row["name"] == UNIFORM and row["widths_by"] == "planned"
    ]
    multiple = 8 if name == ROUNDED else 1
    rounded = [{g: -(-n // multiple) * multiple for g, n in row.items()} for row in planned]
    return sorted(rounded, key=graph.macs)


def make_net(name: str, data: Path | None) -> QuantizedNet:
    """The zoo's network in int8 with the subnets of `widths_of`."""
    keras.utils.set_random_seed(SEED)
    model, _ = load_zoo(UNIFORM if name.startswith(UNIFORM) else name, data)
    graph, _ = read_model(model)
    widths = widths_of(name, graph)
    macs = [graph.macs(row) for row in widths]
    plan = Plan.from_widths(widths, macs, [count / macs[-1] for count in macs])
    random = np.random.default_rng(SEED)
    x = random.normal(0, 1, (64, *model.input_shape[1:])).astype(np.float32)
    y = random.integers(0, model.output_shape[-1], len(x))
    return quantize(nest(model, (x, y), plan=plan), x, name)


def rows_of(name: str, net: QuantizedNet, optimize: str = "speed") -> Iterator[dict]:
    """A row for each subnet of one network, as `make_net` gives it."""
    program = lower(net, optimize)
    x = np.random.default_rng(SEED).integers(-128, 128, (1, *net.input.shape)).astype(np.int8)
    with tempfile.TemporaryDirectory() as folder:
        sources = write_sources(program, Path(folder) / "src")
        model = model_identifier(program)
        samples = Samples.from_net(net, x)
        firmware = build_firmware(sources, model, samples, load_board("nano33ble"), folder)
        session = UnicornSession(firmware)
        for subnet in range(net.subnet_count):
            run = session.measure(subnet, samples.inputs[0])
            channels = _kept_channels(net, subnet)
            width = channels[0] if name == UNIFORM else None
            cmsis_nn = NETWORK_CYCLES.get(name, {}).get(width)
            yield {
                "name": name,
                "subnet": subnet,
                "width": width,
                "channels": channels,
                "macs": net.macs(subnet),
                "instructions": run.instructions,
                "cycles_ws0": run.cycles.ws0,
                "cycles_ws2": run.cycles.ws2,
                "cmsis_nn_cycles_ws0": cmsis_nn and round(cmsis_nn),
                "per_op": dict(run.per_op),
                "core": "cortex-m4f",
                "compiler": firmware.toolchain,
                "seed": SEED,
                "versions": versions("keras", "tensorflow", "numpy", "unicorn"),
                "command": "python -m benchmarks.assembled",
            }


def _kept_channels(net: QuantizedNet, subnet: int) -> list[int]:
    """Active channels behind each convolution or dense layer that a subnet cuts, or may cut."""
    layers = [op for op in net.ops if op.kind in ("CONV_2D", "FULLY_CONNECTED")]
    return [net.target(op).channels[subnet] for op in layers[:-1]]


def main() -> None:
    """Measure the networks named on the command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("networks", nargs="*", default=NAMES)
    parser.add_argument("--data", type=Path)
    arguments = parser.parse_args()
    for name in arguments.networks:
        rows = list(rows_of(name, make_net(name, arguments.data)))
        replace_rows("assembled", rows, "name")
        for row in rows:
            per_mac = row["cycles_ws0"] / row["macs"]
            print(name, row["channels"], row["instructions"], row["cycles_ws0"], f"{per_mac:.3f}")


if __name__ == "__main__":
    sys.exit(main())
