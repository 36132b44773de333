"""Counts every kernel on every core: prefixes of one full layer, at even and odd widths.

    python -m benchmarks.kernels                           # all rows, two minutes
    python -m benchmarks.kernels --only pointwise --cores cortex-m4f
    python -m benchmarks.kernels --cmsis-nn DIR            # a CMSIS-NN tree of yours, side by side

Each kernel is called as the tests call it, and its output must equal numpy's. Instructions are
exact (Unicorn; QEMU for the Cortex-M55); cycles are modelled, for the Cortex-M4F only, with weights
and tables in flash and activations in RAM. Rows go into docs/results/kernels.json; the comparison
of `--cmsis-nn` is printed.
"""

import argparse
import sys
import tempfile
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

import numpy as np
from kernel_calls import KernelCall
from machines import CortexM, QemuCortexM

from benchmarks.cmsis_nn import layer_figures
from benchmarks.cmsis_nn_calls import CmsisNnCall, build_cmsis_nn, with_one_scale
from benchmarks.configurations import Configuration, all_configurations, find_compiler
from benchmarks.layers import LAYERS, Layer, work
from benchmarks.rows import read_rows, versions, write_rows
from tflm_reds.errors import VerificationError
from tflm_reds.quantized import QuantizedNet
from tflm_reds.reference import run_op

SEED = 0
CYCLE_CORE = "cortex-m4f"
KEY = ("kernel", "core", "compiler", "flags", "body")


def draw_inputs(net: QuantizedNet, subnet: int) -> list[np.ndarray]:
    """Random int8 inputs of the layer."""
    random = np.random.default_rng(SEED)
    shapes = [net.tensors[name].active_shape(subnet) for name in net.ops[-1].inputs]
    return [random.integers(-128, 128, shape).astype(np.int8) for shape in shapes]


def measure(machine: CortexM | QemuCortexM, net: QuantizedNet, subnet: int) -> dict:
    """Figures of one call of the kernel, whose output is checked.

    Raises:
        VerificationError: if it differs from numpy's.
    """
    op, inputs = net.ops[-1], draw_inputs(net, subnet)
    call = KernelCall(machine, net, op, subnet)
    expected = run_op(net, op, subnet, [x[np.newaxis] for x in inputs])[0]
    if differing := int((call.run(*inputs) != expected).sum()):
        raise VerificationError(f"{differing} outputs of {net.name} differ from numpy's.")
    name, arguments = call.prepare(*inputs)
    figures = count(machine, name, arguments)
    machine.free()
    return figures


def count(machine: CortexM | QemuCortexM, name: str, arguments: Sequence[int]) -> dict:
    """Instructions of one call, and the cycles of a Cortex-M4."""
    if isinstance(machine, QemuCortexM):
        instructions = machine.count_instructions(name, *arguments)
        return {"instructions": instructions, "cycles_ws0": None, "cycles_ws2": None}
    counts = machine.count(name, *arguments)
    cycles = machine.cycles(counts)
    return {
        "instructions": counts.instructions,
        "cycles_ws0": cycles.ws0,
        "cycles_ws2": cycles.ws2,
    }


def widths_for(layer: Layer, configuration: Configuration) -> tuple[int, ...]:
    """All widths on the Cortex-M4F by gcc; else the full one, a quarter, and an odd one."""
    if configuration == Configuration():
        return layer.widths
    full = max(layer.widths)
    return tuple(w for w in layer.widths if w in (full, full // 4, 13, 25, 33))


def rows_of(
    layer: Layer, configuration: Configuration, machine: CortexM | QemuCortexM
) -> Iterator[dict]:
    """A row for each width of one layer."""
    widths = widths_for(layer, configuration)
    net = layer.at(widths)
    for width in widths:
        subnet = layer.subnets(widths).index(width)
        macs, cmsis_nn = work(net, subnet), None
        figures = measure(machine, net, subnet)
        if configuration.core == CYCLE_CORE:
            cmsis_nn = layer_figures(layer.kernel, width)[1]
        else:
            figures |= {"cycles_ws0": None, "cycles_ws2": None}
        yield {
            "kernel": layer.kernel,
            **configuration.description,
            "shape": "x".join(map(str, layer.shape)),
            "width": width,
            "macs": macs,
            **figures,
            "cmsis_nn_cycles_ws0": cmsis_nn and round(cmsis_nn * macs),
        }


def measure_all(layers: Iterable[Layer], wanted: Iterable[Configuration]) -> Iterator[dict]:
    """The rows of `layers` in all configurations."""
    packages = versions("numpy", "unicorn")
    for configuration in wanted:
        print(*configuration.description.values(), flush=True)
        compiler = find_compiler(configuration.compiler).version
        facts = {"seed": SEED, "versions": packages | {"compiler": compiler}}
        with (
            tempfile.TemporaryDirectory() as folder,
            configuration.machine(Path(folder)) as machine,
        ):
            for layer in layers:
                for row in rows_of(layer, configuration, machine):
                    yield row | facts | {"command": "python -m benchmarks.kernels"}


def save(rows: Sequence[dict]) -> None:
    """Replace the rows of the same kernels and configurations."""

    def key(row: dict) -> tuple:
        return tuple(row[name] for name in KEY)

    fresh = {key(row) for row in rows}
    old = [row for row in read_rows("kernels") if key(row) not in fresh]
    write_rows("kernels", sorted([*old, *rows], key=lambda row: (*key(row), row["width"])))


def compare(tree: Path, layers: Iterable[Layer]) -> None:
    """Print instructions and modelled cycles per MAC of CMSIS-NN in `tree` and of our kernels."""
    with tempfile.TemporaryDirectory() as folder, Configuration().machine(Path(folder)) as ours:
        theirs = build_cmsis_nn(tree, Path(folder))
        print(f"{'kernel':28} width   CMSIS-NN i, c   ours i, c   CMSIS-NN / ours, c")
        for layer in layers:
            net = with_one_scale(layer.at(layer.widths))
            for width in layer.widths if CmsisNnCall.knows(net) else ():
                subnet = layer.subnets(layer.widths).index(width)
                counts = CmsisNnCall(theirs, net, subnet).count(draw_inputs(net, subnet)[0])
                mine, macs = measure(ours, net, subnet), work(net, subnet)
                figures = (counts.instructions, theirs.cycles(counts).ws0)
                figures += (mine["instructions"], mine["cycles_ws0"])
                cells = "  ".join(f"{figure / macs:6.2f}" for figure in figures)
                print(f"{layer.kernel:28} {width:5}  {cells}  {figures[1] / figures[3]:6.2f}")


def main() -> None:
    """Measure what the command line names."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--only", default="", help="kernels whose name begins so")
    parser.add_argument("--cores", nargs="+", help="default: all")
    parser.add_argument("--cmsis-nn", type=Path, help="root of a CMSIS-NN source tree")
    arguments = parser.parse_args()
    layers = [layer for layer in LAYERS if layer.kernel.startswith(arguments.only)]
    if arguments.cmsis_nn:
        return compare(arguments.cmsis_nn, layers)
    wanted = [c for c in all_configurations() if c.core in (arguments.cores or [c.core])]
    return save(list(measure_all(layers, wanted)))


if __name__ == "__main__":
    sys.exit(main())
