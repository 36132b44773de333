"""Bare images and single functions in QEMU."""

import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from kernel_calls import KernelCall
from machines import KERNELS, CortexM, QemuCortexM
from random_nets import NetBuilder
from tiny_model import target_compilers

from tflm_reds.codegen.cores import find_core
from tflm_reds.codegen.toolchain import build_image
from tflm_reds.errors import SimulationError, ToolchainError
from tflm_reds.sim import qemu
from tflm_reds.sim.elf import Elf
from tflm_reds.sim.machine import CPU_MODELS
from tflm_reds.sim.protocol import Limits
from tflm_reds.sim.qemu import BOARDS, PROGRAM, QemuMachine, qemu_board

needs_qemu = pytest.mark.skipif(shutil.which(PROGRAM) is None, reason=f"{PROGRAM} not installed")
SOURCE = Path(__file__).parent / "cortex_m" / "bare_program.c"


def build(folder: Path, core: str) -> Elf:
    board = qemu_board(core)
    text = SOURCE.with_suffix(".ld").read_text()
    for name, value in {"CODE_ORIGIN": board.code.origin, "STACK_TOP": board.ram.end}.items():
        text = text.replace(name, hex(value))
    script = folder / "bare_program.ld"
    script.write_text(text)
    return Elf.load(build_image([SOURCE], folder / "bare.elf", find_core(core), script))


@pytest.fixture(scope="module", params=BOARDS)
def core(request) -> str:
    if shutil.which(PROGRAM) is None:
        pytest.skip(f"{PROGRAM} not installed")
    return request.param


@pytest.fixture(scope="module")
def elf(core, tmp_path_factory) -> Elf:
    return build(tmp_path_factory.mktemp(core), core)


@pytest.fixture
def machine(elf, core):
    with QemuMachine(elf, qemu_board(core), Limits(seconds=5)) as machine:
        machine.catch_faults()
        yield machine


def test_an_image_runs_by_itself(elf, core):
    with QemuMachine(elf, qemu_board(core), Limits(seconds=60)) as machine:
        assert machine.run() == 7
        assert machine.console == "it runs\n"


def test_calls_and_exact_counts(machine, elf):
    assert machine.call(elf.symbol("weigh").address, (1, 2, 3, 4, 5, 6)) == 91
    for turns in (1, 1000, 100000):
        machine.reset_counts()
        machine.call(elf.symbol("count_down").address, (turns,))
        assert machine.instructions == 3 * turns + 1
    machine.reset_counts()
    machine.call(elf.symbol("call_twice").address, (10,))
    by_function = machine.instructions_by_function()
    assert by_function["count_down"] == 3 * 30 + 2
    assert by_function.total() == machine.instructions
    assert set(by_function) == {"count_down", "call_twice"}


def test_the_console_keeps_what_was_read(machine, elf):
    for count in (1, 2):
        machine.call(elf.symbol("greet").address)
        assert machine.console == "it runs\n" * count


def test_memory_is_read_and_written(machine):
    data = np.random.default_rng(0).bytes(10_000)
    machine.write(machine.board.ram.origin + 3, data)
    assert machine.read(machine.board.ram.origin + 3, len(data)) == data


@pytest.mark.parametrize("function", ["read_nowhere", "undefined_instruction"])
def test_a_fault_is_named(machine, elf, core, function):
    if (core, function) == ("cortex-m0plus", "read_nowhere"):
        pytest.skip("QEMU's machine microbit answers at every address")
    with pytest.raises(SimulationError, match=rf"exception 3 at {function}\+0x"):
        machine.call(elf.symbol(function).address)


def test_a_stack_overflow_ends(machine, elf):
    """QEMU names it, or locks up, depending on what it has below the RAM."""
    with pytest.raises(SimulationError, match=r"stack overflow|passed the limit"):
        machine.call(elf.symbol("overflow_the_stack").address)


def test_an_endless_loop_ends_at_the_limit(elf, core):
    machine = QemuMachine(elf, qemu_board(core), Limits(seconds=0.5))
    with pytest.raises(SimulationError, match=r"passed the limit of 0\.5 seconds"):
        machine.call(elf.symbol("loop_forever").address)
    assert machine._process.poll() is not None


@needs_qemu
@pytest.mark.skipif(sys.platform != "linux", reason="only Linux ends QEMU with a killed Python")
def test_qemu_dies_with_python(tmp_path):
    elf = build(tmp_path, "cortex-m3")
    code = (
        "from tflm_reds.sim.elf import Elf; from tflm_reds.sim.qemu import BOARDS, QemuMachine\n"
        f"machine = QemuMachine(Elf.load({str(elf.path)!r}), BOARDS['cortex-m3'])\n"
        "print(machine._process.pid, flush=True)\n"
        f"machine.call({elf.symbol('loop_forever').address})\n"
    )
    with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE) as python:
        pid = int(python.stdout.readline())
        os.kill(python.pid, signal.SIGKILL)
    deadline = time.monotonic() + 30
    while is_running(pid) and time.monotonic() < deadline:
        time.sleep(0.02)
    assert not is_running(pid)


def is_running(pid: int) -> bool:
    """Whether the process exists and is no zombie."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def test_a_missing_qemu_is_reported(monkeypatch):
    monkeypatch.setenv("PATH", "")
    with pytest.raises(ToolchainError, match="apt-get install qemu-system-arm"):
        qemu.find_qemu()


def test_a_core_without_machine_is_refused():
    with pytest.raises(SimulationError, match=r"cortex-m0\. Known cores: cortex-m0plus"):
        qemu_board("cortex-m0")


VECTOR_SOURCE = """
#include <arm_mve.h>
int32_t sum_of_products(const int8_t *a, const int8_t *b, int32_t count) {
  int32_t sum = 0;
  for (; count > 0; count -= 16, a += 16, b += 16) {
    const mve_pred16_t active = vctp8q((uint32_t)count);
    sum = vmladavaq_p_s8(sum, vldrbq_z_s8(a, active), vldrbq_z_s8(b, active), active);
  }
  return sum;
}
"""


@needs_qemu
@pytest.mark.parametrize("compiler", target_compilers(), ids=lambda c: c.version[:12])
def test_vector_instructions_of_the_m55(tmp_path, compiler):
    source = tmp_path / "vectors.c"
    source.write_text(VECTOR_SOURCE)
    a, b = np.random.default_rng(0).integers(-128, 128, (2, 37)).astype(np.int8)
    with QemuCortexM([source], tmp_path, compiler=compiler) as machine:
        arguments = (machine.place(a.tobytes()), machine.place(b.tobytes()), a.size)
        found = machine.call("sum_of_products", *arguments)
        assert np.int32(np.uint32(found)) == a.astype(int) @ b.astype(int)
        assert machine.count_instructions("sum_of_products", *arguments) < 2 * a.size


@needs_qemu
@pytest.mark.parametrize("core", sorted(set(BOARDS) & set(CPU_MODELS)))
def test_counts_equal_those_of_unicorn(core, tmp_path):
    """Two simulators that share no code, the whole kernels."""
    sources = sorted(KERNELS.glob("*.c"))
    unicorn = CortexM(sources, tmp_path, core=core, guard=False)
    builder = NetBuilder((9, 7, 13), subnets=2, seed=1)
    nets = [
        builder.convolution(11, (3, 2), stride=(2, 1)).build(),
        builder.depthwise((3, 3)).build(),
        builder.mean().dense(5).build(),
    ]
    with QemuCortexM(sources, tmp_path, core=core) as machine:
        for net in nets:
            op, source = net.ops[-1], net.source(net.ops[-1])
            x = np.random.default_rng(0).integers(-128, 128, source.active_shape(0))
            calls = [KernelCall(m, net, op, 0) for m in (unicorn, machine)]
            counts = [call.run(x.astype(np.int8), count=True) for call in calls]
            assert counts[0] == counts[1] > 100
