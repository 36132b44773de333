"""A SysTick interrupt switches the subnet at random moments of 1,000 inferences, in QEMU."""

import shutil
import struct
from pathlib import Path

import numpy as np
import pytest
import random_nets
from machines import QemuCortexM
from tflm_graphs import FLAGS, INCLUDES, SOURCES, Graph, Session
from tflm_nets import separable

from tflm_reds.codegen.lower import lower
from tflm_reds.codegen.writer import write_sources
from tflm_reds.quantized import QuantizedNet
from tflm_reds.sim.qemu import BOARDS, PROGRAM

pytestmark = pytest.mark.skipif(shutil.which(PROGRAM) is None, reason=f"{PROGRAM} not installed")

LOOP = Path(__file__).parent / "cortex_m" / "switching.c"
SYSTICK = 15  # number of the exception
RUNS, SAMPLES = 1000, 8
# Each instruction takes 64 ns of QEMU's clock, and a tick 40 ns: the runs repeat exactly.
CLOCK = ("-icount", "shift=6,sleep=off")
TICKS = 60_000  # about one inference
VARIABLES = 4096
POINTERS, NUMBERS = 11, 6  # of `switching`
CORES = [
    core if core == "cortex-m4f" else pytest.param(core, marks=pytest.mark.slow) for core in BOARDS
]


def machine_of(sources, folder: Path, include, flags=(), core: str = "cortex-m4f") -> QemuCortexM:
    options = {"core": core, "variables": VARIABLES, "options": CLOCK}
    return QemuCortexM([*sources, LOOP], folder, include, flags, **options)


class Interrupted:
    """Runs all samples in turn while the interrupt switches.

    Args:
        functions: names of the ones that invoke and switch, and their arguments.
        requested, active, given, output: addresses of the selected subnet, the one that made the
            last output, the input's buffer and the output's.
    """

    def __init__(self, machine, net: QuantizedNet, functions, requested, active, given, output):
        machine.handle_exception(SYSTICK, "switching_interrupt")
        samples = random_nets.random_inputs(net, SAMPLES)
        outputs, actives = (machine.place(bytes(RUNS * n)) for n in (net.output.size, 4))
        pointers = (requested, active, machine.place(samples.tobytes()), given, output)
        numbers = (net.input.size, net.output.size, SAMPLES, RUNS, net.subnet_count, TICKS)
        data = struct.pack(
            f"<{POINTERS}I{NUMBERS}i", *functions, *pointers, outputs, actives, *numbers
        )
        self.disturbed = machine.call("switching_run", machine.place(data))
        self.actives = np.frombuffer(machine.read(actives, 4 * RUNS), np.int32)
        found = np.frombuffer(machine.read(outputs, RUNS * net.output.size), np.int8)
        each = [net.run(samples, k).reshape(SAMPLES, -1) for k in range(net.subnet_count)]
        expected = np.stack(each)[self.actives, np.arange(RUNS) % SAMPLES]
        self.wrong = int((found.reshape(RUNS, -1) != expected).any(axis=1).sum())


def interrupted_ops(machine, net: QuantizedNet, folder: Path) -> Interrupted:
    session = Session(machine, Graph.of_net(net, folder))
    assert session.prepare() == 0
    names = ("context_invoke", "reds_tflm_state_set_subnet")
    functions = (*(machine.symbol(name) | 1 for name in names), session.context, session.state)
    given, output = (
        session.address(t) for t in (session.graph.inputs[0], session.graph.outputs[0])
    )
    return Interrupted(
        machine, net, functions, session.state + 8, session.state + 12, given, output
    )


@pytest.mark.parametrize("core", CORES)
def test_the_custom_ops_never_mix_subnets(core, tmp_path):
    net = separable(0)
    with machine_of(SOURCES, tmp_path, INCLUDES, FLAGS, core) as machine:
        result = interrupted_ops(machine, net, tmp_path)
    assert result.wrong == 0
    assert result.disturbed > RUNS // 10
    assert set(result.actives) == set(range(net.subnet_count))


def test_ops_that_each_read_the_request_would_be_found(tmp_path):
    """The same loop sees the mistake that it is there for."""
    (source,) = (path for path in SOURCES if path.name == "reds_op_support.cpp")
    mutant = tmp_path / source.name
    right, wrong = "if (ours && options.first) state->active", "if (ours) state->active"
    assert right in source.read_text()
    mutant.write_text(source.read_text().replace(right, wrong))
    sources = [mutant if path == source else path for path in SOURCES]
    with machine_of(sources, tmp_path, INCLUDES, FLAGS) as machine:
        assert interrupted_ops(machine, separable(0), tmp_path).wrong > RUNS // 100


@pytest.mark.parametrize("core", CORES)
def test_the_executor_never_mixes_subnets(core, tmp_path):
    net = separable(0)
    program = lower(net)
    sources = [path for path in write_sources(program, tmp_path) if path.suffix == ".c"]
    with machine_of(sources, tmp_path, tmp_path, core=core) as machine:
        arena_bytes = program.arena_sizes[-1]
        state, arena = machine.place(bytes(64)), machine.place(bytes(arena_bytes))
        model = machine.symbol(f"{net.name}_model")
        assert machine.call("reds_init", state, model, arena, arena_bytes) == 0
        given, output = machine.place(bytes(net.input.size)), machine.place(bytes(net.output.size))
        call = machine.place(struct.pack("<3I", state, given, output))
        names = ("executor_invoke", "reds_set_subnet")
        functions = (*(machine.symbol(name) | 1 for name in names), call, state)
        result = Interrupted(machine, net, functions, state + 16, state + 20, given, output)
    assert result.wrong == 0
    assert result.disturbed > RUNS // 10
    assert set(result.actives) == set(range(net.subnet_count))
