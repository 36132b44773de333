"""What the custom ops cost in a program with TFLM: flash by part, RAM, each subnet, a switch.

    python -m benchmarks.plugin

The network is DS-CNN S, nested untrained at 25, 50, 75 and 100 % of the MACs as in
benchmarks.arena: sizes depend on the widths alone, and every subnet gets tables of its own as
training gives it. The ops are linked for a Cortex-M4F without TFLM's sources; what TFLM itself
takes is not counted. Instructions are simulated (Unicorn), exact, in the context of the tests
(tests/tflm_context), whose own few are included; cycles are modelled. Rows go into
docs/results/plugin.json.
"""

import re
import sys
import tempfile
from dataclasses import replace
from pathlib import Path

import keras
import numpy as np
import random_nets
from machines import CortexM
from tflm_graphs import FLAGS, INCLUDES, SOURCES, Graph, Session
from tflm_graphs import FOLDER as CONTEXT
from tflm_nets import without_softmax

from benchmarks.arena import SEED, quantized
from benchmarks.rows import versions, write_rows
from tflm_reds.boards.schema import FOLDER as BOARDS
from tflm_reds.codegen.cores import find_core
from tflm_reds.codegen.tflm.library import FOLDER as OPS
from tflm_reds.codegen.tflm.library import KERNELS, op_sources
from tflm_reds.codegen.toolchain import build_image, target_compiler
from tflm_reds.quantized import QuantizedNet, QuantOp
from tflm_reds.sim.elf import Elf
from tflm_reds.tflite_io import write_reds_model, write_stock_model

NETWORK, CORE = "ds_cnn_s_kws", "cortex-m4f"
STEP = 3.0  # from one subnet's tables to the next one's: multipliers and shifts differ
STATE_BYTES = 20  # reds_tflm_state with 32-bit pointers
TESTS = CONTEXT.parent
NAMED_OP = re.compile(r'\{"(REDS_\w+)", (Register\w+)\}')
SCRIPT = """
ENTRY(reds_roots)
EXTERN(reds_tflm_set_subnet reds_tflm_active_subnet reds_tflm_error)
SECTIONS {{
  .kernels : {{ {kernels} }}
  .glue : {{ {glue} }}
  .rest : {{ *(.text*) *(.rodata*) *(.data*) *(.bss*) *(COMMON) }}
  .ARM.exidx : {{ *(.ARM.exidx*) }}
}}
"""


def code_bytes(ops: set[str], folder: Path) -> dict[str, int]:
    """Bytes of flash of kernels and glue of the custom ops `ops`, without what they do not call."""
    functions = dict(NAMED_OP.findall((OPS / "reds_ops.cpp").read_text()))
    calls = "\n".join(f"  *to++ = {functions[op]}();" for op in sorted(ops))
    roots = folder / "roots.cpp"
    roots.write_text(
        '#include "reds_tflm.h"\n'
        f'extern "C" void reds_roots(reds::Registration* to) {{\n'
        f"  using namespace reds;\n{calls}\n}}\n"
    )
    support = (CONTEXT / "tflm_functions.cpp", TESTS / "cortex_m" / "freestanding.c")
    sources = [*op_sources(), roots, *support, BOARDS / "arithmetic.c"]
    places = {"kernels": sorted(KERNELS.glob("*.c")), "glue": sorted([*OPS.glob("reds_*.c*")])}
    script = folder / "parts.ld"
    script.write_text(SCRIPT.format(**{k: _sections(files) for k, files in places.items()}))
    image = build_image(sources, folder / "parts.elf", find_core(CORE), script, INCLUDES, FLAGS)
    sections = Elf.load(image).sections
    return {part: sections[f".{part}"][1] for part in places}


def _sections(sources: list[Path]) -> str:
    return " ".join(f"*_{path.stem}.o(.text* .rodata* .data*)" for path in sources)


def model_bytes(path: Path) -> dict[str, int]:
    """Bytes of the .tflite file by part."""
    graph = Graph.load(path)
    constants = {tensor.name: len(tensor.data) for tensor in graph.tensors if tensor.data}
    weights = sum(size for name, size in constants.items() if name.endswith("/weights"))
    tables = sum(constants.values()) - weights
    rest = path.stat().st_size - weights - tables
    return {"weights": weights, "tables": tables, "model_structure": rest}


def with_own_tables(net: QuantizedNet, scales: bool = True) -> QuantizedNet:
    """The net as after training: biases, and `scales`, differ from subnet to subnet."""
    net = net if scales else random_nets.with_shared_tables(net, "scales")

    def changed(op: QuantOp) -> QuantOp:
        if not op.is_linear:
            return op
        op = replace(op, biases=tuple(row + k for k, row in enumerate(op.biases)))
        steps = tuple(row * np.float32(STEP**k) for k, row in enumerate(op.scales))
        return replace(op, scales=steps) if scales else op

    return replace(net, ops=tuple(map(changed, net.ops)))


def keep_subnets(net: QuantizedNet, kept: list[int]) -> QuantizedNet:
    """The net with these subnets only, the last of which is the full network."""

    def pick(values: tuple) -> tuple:
        return tuple(values[k] for k in kept) if values else values

    tensors = {name: replace(t, channels=pick(t.channels)) for name, t in net.tensors.items()}
    ops = [replace(op, biases=pick(op.biases), scales=pick(op.scales)) for op in net.ops]
    return replace(net, tensors=tensors, ops=tuple(ops), budgets=pick(net.budgets))


def flash_row(net: QuantizedNet, folder: Path) -> dict:
    """Flash of the model and of the code that it needs; the code of all ops beside it."""
    form = with_own_tables(net)
    path = write_reds_model(form, folder / "nested.tflite")
    used = {node.op for node in Graph.load(path).nodes if node.op.startswith("REDS_")}
    everything = {op for op, _ in NAMED_OP.findall((OPS / "reds_ops.cpp").read_text())}
    parts = {**model_bytes(path), **code_bytes(used, folder)}
    return {
        "table": "flash",
        **parts,
        "total": sum(parts.values()),
        "all_ops": code_bytes(everything, folder),
        "ops": sorted(used),
    }


def subnet_rows(net: QuantizedNet, folder: Path) -> list[dict]:
    """What each subnet below the full network adds to the file, beside a model of its own."""
    full = net.subnet_count - 1
    forms = {
        "added": with_own_tables(net),
        "added_shared_scale": with_own_tables(net, scales=False),
    }
    rows = []
    for subnet in range(net.subnet_count):
        channels = sum(net.target(op).channels[subnet] for op in net.ops if op.is_linear)
        alone = write_stock_model(net.slice(subnet), folder / "alone.tflite").stat().st_size
        row = {"table": "subnets", "subnet": subnet, "active_channels": channels}
        for name, form in forms.items():
            row[name] = _added(form, subnet, folder) if subnet < full else None
        rows.append(row | {"own_model": alone})
    return rows


def _added(net: QuantizedNet, subnet: int, folder: Path) -> dict[str, int]:
    """Bytes of tables, and of the whole file, that one more subnet costs."""
    full = net.subnet_count - 1
    paths = [
        write_reds_model(keep_subnets(net, kept), folder / f"kept{len(kept)}.tflite")
        for kept in ([full], [subnet, full])
    ]
    tables = [model_bytes(path)["tables"] for path in paths]
    return {
        "tables": tables[1] - tables[0],
        "file": paths[1].stat().st_size - paths[0].stat().st_size,
    }


def run_rows(net: QuantizedNet, folder: Path) -> list[dict]:
    """RAM of the ops, and instructions of a switch and of inferences, on the simulated core."""
    options = {"core": CORE, "guard": False, "variables": 4096}
    machine = CortexM(SOURCES, folder, INCLUDES, FLAGS, **options)
    session = Session(machine, Graph.of_net(without_softmax(net), folder))
    if session.prepare():
        raise SystemExit(f"The custom ops refuse {NETWORK}.")
    session.run(random_nets.random_inputs(net, 1, SEED)[0])
    ram = {
        "table": "ram",
        "persistent": machine.call("context_persistent_bytes", session.context),
        "scratch": machine.call("context_scratch_bytes", session.context),
        "state": STATE_BYTES,
    }
    return [ram, *(switch_row(machine, session, k) for k in range(net.subnet_count))]


def switch_row(machine: CortexM, session: Session, subnet: int) -> dict:
    """The setter, and the first and second inference after a switch from another subnet."""
    setter = machine.count("reds_tflm_set_subnet", subnet)
    own_setter = machine.count("reds_tflm_state_set_subnet", session.state, subnet)
    first, second = (
        machine.count_instructions("context_invoke", session.context) for _ in range(2)
    )
    cycles = [machine.cycles(count) for count in (setter, own_setter)]
    return {
        "table": "switch",
        "subnet": subnet,
        "setter": max(setter.instructions, own_setter.instructions),
        "setter_cycles_modelled": max(cycle.ws2 for cycle in cycles),
        "first": first,
        "second": second,
    }


def main() -> None:
    """One run; prints the rows."""
    keras.utils.set_random_seed(SEED)
    net = quantized(NETWORK)
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        rows = [flash_row(net, folder), *subnet_rows(net, folder), *run_rows(net, folder)]
    about = {
        "name": NETWORK,
        "core": CORE,
        "compiler": target_compiler().version,
        "seed": SEED,
        "versions": versions("keras", "tensorflow", "numpy", "unicorn"),
        "command": "python -m benchmarks.plugin",
    }
    for row in rows:
        print(row)
    write_rows("plugin", [{**row, **about} for row in rows])


if __name__ == "__main__":
    sys.exit(main())
