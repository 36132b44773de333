"""Every fault of the table ends with a named error where it must be caught, and leaves nothing."""

import os
import re
import shutil
import signal
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from threading import Timer

import numpy as np
import pytest
import tiny_model
from test_qemu import is_running

from benchmarks.fault_table import AROUND_THE_IMAGE, IN_THE_IMAGE, MUST, FaultRow
from tflm_reds.boards.schema import load_board
from tflm_reds.codegen.encodings import is_armv6m
from tflm_reds.codegen.firmware import Firmware, build_firmware
from tflm_reds.errors import OutputError, SimulationError, ToolchainError
from tflm_reds.files import staged_folder
from tflm_reds.sim.elf import Elf
from tflm_reds.sim.protocol import Limits
from tflm_reds.sim.qemu import PROGRAM
from tflm_reds.sim.qemu_board import QemuSession
from tflm_reds.sim.unicorn import UnicornSession

needs_qemu = pytest.mark.skipif(shutil.which(PROGRAM) is None, reason=f"{PROGRAM} not installed")
SOURCE = Path(__file__).parent / "cortex_m" / "faults.c"
SESSIONS = {"unicorn": UnicornSession, "qemu": QemuSession}
LIMITS = Limits(instructions=3_000_000, seconds=1.5)
# What the message says, in Unicorn and QEMU. An M0+ tells no cause to its fault handler.
MESSAGES = {
    "stack_overflow": r"write to unmapped address 0x1f|stack overflow",
    "write_to_flash": r"write to flash at 0x",
    "write_to_null": r"write to (flash at|unmapped address) 0x00000000",
    "write_behind_ram": r"write to unmapped address 0x2004[02]000",
    "wild_read": r"read from unmapped address 0x90000000|access to unmapped memory 0x90000000",
    "wild_write": r"write to unmapped address 0x90000000|access to unmapped memory 0x90000000",
    "wild_jump": r"jump to unmapped (address|memory).* at 0x90000000",
    # QEMU runs what lies there.
    "jump_to_data": r"jump to data at 0x2000|unaligned|unmapped|undefined instruction",
    "endless_loop": r"passed the limit of (3000000 instructions|1\.5 seconds)",
    "unaligned_word": r"unaligned access",
    "unaligned_multiple": r"unaligned access",
    "fpu_off": r"instruction of the FPU, which is switched off",
    "undefined_instruction": r"undefined instruction",
    "breakpoint": r"breakpoint",
}
ELSEWHERE = {"stack_overflow", "wild_jump", "jump_to_data"}  # what the handler finds is not there
NUMBERS = {name: number for number, name in enumerate(MESSAGES)}  # as in faults.c


def children() -> set[int]:
    """Processes that this one started and that still run."""
    if not Path("/proc").is_dir():
        pytest.skip("there is no /proc to find child processes in")
    found = set()
    for path in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = path.read_text().rpartition(")")[2].split()
        except OSError:
            continue  # it ended meanwhile
        if int(fields[1]) == os.getpid() and fields[0] != "Z":
            found.add(int(path.parent.name))
    return found


@pytest.fixture(scope="module", params=sorted({row.board for row in IN_THE_IMAGE}))
def firmware(request, tmp_path_factory) -> Firmware:
    folder = tmp_path_factory.mktemp(request.param)
    call = "extern void raise_fault(void); if (state->active == 1) raise_fault();"
    sources = [*tiny_model.write_sources(folder / "sources", call), SOURCE]
    board = load_board(request.param)
    return build_firmware(sources, "tiny", tiny_model.samples(), board, folder / "image")


@pytest.fixture(params=SESSIONS)
def simulator(request) -> str:
    if request.param == "qemu" and shutil.which(PROGRAM) is None:
        pytest.skip(f"{PROGRAM} not installed")
    return request.param


@pytest.fixture(autouse=True)
def no_orphans():
    before = children()
    yield
    assert children() <= before


def run(firmware: Firmware, simulator: str, fault: str) -> str:
    """The error of a run with the fault in subnet 1; empty: there was none."""
    session = SESSIONS[simulator](firmware, LIMITS)
    session.write_word("fault", NUMBERS[fault])
    try:
        session.invoke(1, firmware.samples.inputs[0])
    except SimulationError as error:
        return str(error)
    if simulator == "qemu":
        session.close()
    return ""


@pytest.mark.parametrize("fault", MESSAGES)
def test_faults_of_the_running_program(firmware, simulator, fault):
    """Also that what a simulator cannot catch is still so: else the table is out of date."""
    board = firmware.board.name
    cells = {(function(row), row.board): vars(row) for row in IN_THE_IMAGE}
    if (fault, board) not in cells:
        pytest.skip(f"no row of the table for {board}")
    text = run(firmware, simulator, fault)
    if cells[fault, board][simulator] != MUST:
        assert not text
        return
    is_vague = simulator == "qemu" and firmware.board.core == "cortex-m0plus"
    assert re.search(f"{MESSAGES[fault]}{'|hard fault' * is_vague}", text), text
    assert fault == "fpu_off" or "while subnet 1 ran" in text
    if fault not in ELSEWHERE:
        assert re.search(rf"at {fault}\+0x\w+ \(faults\.c:\d+\)", text), text


def test_every_fault_is_a_must_somewhere():
    for row in IN_THE_IMAGE + AROUND_THE_IMAGE:
        cells = (row.build, row.unicorn, row.qemu)
        assert MUST in cells or all("cannot happen" in cell for cell in cells[1:]), row.fault


def function(row: FaultRow) -> str:
    return row.fault.lower().replace(" ", "_")


def test_every_row_has_a_function():
    found = re.findall(r"^FAULT (\w+)\(", SOURCE.read_text(), re.MULTILINE)
    assert found == list(MESSAGES)
    assert {function(row) for row in IN_THE_IMAGE} == set(found)
    assert {f"test_{function(row)}" for row in AROUND_THE_IMAGE} <= set(globals())


def test_a_fault_while_the_image_boots(simulator, tmp_path):
    statement = 'if (state->active == 2) __asm volatile("udf #0");'
    firmware = tiny_model.build(tmp_path, statement)
    lines = (tmp_path / "sources" / "tiny_model.c").read_text().splitlines()
    line = next(number for number, code in enumerate(lines, 1) if statement in code)
    message = rf"at tiny_op_1_sum\+0x\w+ \(tiny_model\.c:{line}\).*while subnet 2 ran"
    with pytest.raises(SimulationError, match=f"undefined instruction, {message}") as caught:
        SESSIONS[simulator](firmware)
    assert simulator == "qemu" or "Last output: REDS RESULT subnet=1 sample=1" in str(caught.value)


@pytest.fixture(scope="module")
def tiny(tmp_path_factory) -> Firmware:
    return tiny_model.build(tmp_path_factory.mktemp("tiny"))


def test_forbidden_encodings(tmp_path):
    """A source compiled for a larger core, whatever of it runs."""
    board = load_board("rpi_pico")
    sources = tiny_model.write_sources(tmp_path / "sources", "sum /= state->active + 1;")
    arguments = (sources, "tiny", tiny_model.samples(), board, tmp_path / "image")
    build_firmware(*arguments)
    for compiler in tiny_model.target_compilers():
        flags = ["-mcpu=cortex_m3" if compiler.is_zig else "-mcpu=cortex-m3"]
        message = r"does not have: [0-9a-f]{8} at \w+\+0x.*Compile every source for this core"
        with pytest.raises(ToolchainError, match=message):
            build_firmware(*arguments, flags=flags, compiler=compiler)


@pytest.mark.parametrize(
    "encoding", [0xBF00, 0xBF30, 0xB662, 0xBA00, 0xBAC0, 0xDE00, 0xF7FFFFFE, 0xF3BF8F4F, 0xF3EF8005]
)
def test_encodings_of_armv6m(encoding):
    """NOP, WFI, CPSIE, REV, REVSH, UDF; BL, DSB, MRS."""
    assert is_armv6m(encoding, 4 if encoding > 0xFFFF else 2)


@pytest.mark.parametrize(
    "encoding",
    [0xB100, 0xBF08, 0xF2400000, 0xF8D00000, 0xFBB0F0F0, 0xF000B800, 0xE9D00100, 0xEE300A00],
)
def test_encodings_that_armv6m_lacks(encoding):
    """CBZ, IT; MOVW, LDR.W, UDIV, B.W, LDRD, VADD."""
    assert not is_armv6m(encoding, 4 if encoding > 0xFFFF else 2)


def test_corrupted_weights(tiny, simulator, tmp_path):
    """One bit, even where no sample of the image shows it."""
    elf = Elf.load(tiny.elf)
    weights = elf.symbol("weights").address
    (weight,) = elf.read(weights + 11, 1)
    path = tmp_path / "corrupt.elf"
    path.write_bytes(elf.patched(weights + 11, bytes([weight ^ 1])))
    message = r"image in flash is damaged: its CRC-32 is [0-9a-f]{8}, not [0-9a-f]{8} as built"
    with pytest.raises(SimulationError, match=message):
        SESSIONS[simulator](replace(tiny, elf=path))


def test_truncated_elf(tiny, tmp_path):
    """Cut anywhere, the file is refused; or all that is missing is nothing that a run needs."""
    whole = tiny.elf.read_bytes()
    path = tmp_path / "cut.elf"
    for size in range(0, len(whole), 97):
        path.write_bytes(whole[:size])
        with pytest.raises(SimulationError, match=r"cut\.elf is not a complete Arm ELF"):
            Elf.load(path)


@needs_qemu
def test_simulator_hangs(tmp_path):
    assert_ends(tmp_path, signal.SIGSTOP, r"passed the limit of 1\.5 seconds\. Last output: REDS")


@needs_qemu
def test_simulator_is_killed(tmp_path):
    assert_ends(tmp_path, signal.SIGKILL, r"QEMU ended unexpectedly\. Last output: REDS DONE")


def assert_ends(folder: Path, sent: signal.Signals, message: str) -> None:
    """Send a signal to QEMU while an inference runs."""
    # The value 99 does not occur in the embedded samples.
    endless = 'if (state->input[0] == 99) for (;;) __asm volatile("");'
    session = QemuSession(tiny_model.build(folder, endless), LIMITS)
    pid = session.machine._process.pid
    x = np.full(tiny_model.INPUT_BYTES, 99, np.int8)
    timer = Timer(0.3, os.kill, (pid, sent))
    timer.start()
    with pytest.raises(SimulationError, match=message):
        session.invoke(0, x)
    timer.join()
    assert not is_running(pid)


def test_two_builds_at_once(tmp_path):
    """The second one is refused; a killed one leaves no lock."""
    code = (
        "from tflm_reds.files import staged_folder\n"
        f"with staged_folder({str(tmp_path / 'out')!r}, 'm'): print(flush=True); input()"
    )
    command = [sys.executable, "-c", code]
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
    with subprocess.Popen(command, **pipes) as other:
        other.stdout.readline()
        with pytest.raises(OutputError, match=r"Another build is writing .*out"):
            build_into(tmp_path / "out")
        other.kill()
    build_into(tmp_path / "out")
    assert (tmp_path / "out" / "m").exists()


def build_into(folder: Path) -> None:
    with staged_folder(folder, "m") as partial:
        (partial / "m").touch()
