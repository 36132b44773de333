"""Runs bare images and single functions in QEMU, with exact instruction counts.

QEMU is the second, independent simulator: it models exceptions, and it is the only one with the
vector instructions of the Cortex-M55. It stands still between calls and is driven by GDB's
protocol; a plug-in of our own counts the instructions.
"""

import re
import shutil
import struct
import subprocess
import tempfile
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import NoReturn

import numpy as np

from tflm_reds.boards.schema import Memory
from tflm_reds.codegen.toolchain import build_shared_library
from tflm_reds.errors import SimulationError, ToolchainError
from tflm_reds.sim.elf import Elf
from tflm_reds.sim.gdb import GdbConnection
from tflm_reds.sim.protocol import Limits
from tflm_reds.sim.records import active_subnet, describe_fault, find_record, parse_records

PROGRAM = "qemu-system-arm"
ENTRY = np.dtype([("address", "u4"), ("instructions", "u4"), ("executions", "u8")])
CAPACITY = 1 << 16  # of qemu_plugin.c
SP, LR, PC, XPSR = 13, 14, 15, 25
THUMB_STATE = 1 << 24
TRAP_BYTES = 1024  # at the end of RAM; code beside a breakpoint runs slowly
VECTORS = 16
FRAME_PC = 24  # bytes into an exception frame
INTERRUPT_SECONDS = 2.0  # a QEMU that hangs itself does not answer


@dataclass(frozen=True)
class QemuBoard:
    """A machine of QEMU: where code goes (its vector table first) and where data may lie.

    Attributes:
        options: what gives the machine this memory, where that is not its own.
    """

    machine: str
    code: Memory
    ram: Memory
    options: tuple[str, ...] = ()


_CODE = Memory(0x00000000, 4 << 20)
# mps2-an505 and mps3-an547 start in the secure state: these are their secure addresses. The only
# machine with a Cortex-M0 gets the largest memory that the board files of this core have.
BOARDS = {
    "cortex-m0plus": QemuBoard(
        "microbit",
        Memory(0x00000000, 2 << 20),
        Memory(0x20000000, 0x42000),
        ("-global", "nrf51-soc.flash-size=0x200000", "-global", "nrf51-soc.sram-size=0x42000"),
    ),
    "cortex-m3": QemuBoard("mps2-an385", _CODE, Memory(0x21000000, 16 << 20)),
    "cortex-m4f": QemuBoard("mps2-an386", _CODE, Memory(0x21000000, 16 << 20)),
    "cortex-m7f": QemuBoard("mps2-an500", _CODE, Memory(0x60000000, 16 << 20)),
    "cortex-m33f": QemuBoard(
        "mps2-an505", Memory(0x10000000, 4 << 20), Memory(0x38000000, 4 << 20)
    ),
    "cortex-m55f": QemuBoard(
        "mps3-an547", Memory(0x10000000, 512 << 10), Memory(0x31000000, 4 << 20)
    ),
}


def qemu_board(core: str) -> QemuBoard:
    """QEMU's machine with `core`.

    Raises:
        SimulationError: if there is none.
    """
    if core not in BOARDS:
        raise SimulationError(f"No QEMU machine for {core}. Known cores: {', '.join(BOARDS)}.")
    return BOARDS[core]


def find_qemu() -> str:
    """Path of QEMU for Arm.

    Raises:
        ToolchainError: if it is not installed.
    """
    path = shutil.which(PROGRAM)
    if path is None:
        raise ToolchainError(
            f"{PROGRAM} is not on PATH. Run `apt-get install qemu-system-arm` (macOS: "
            "`brew install qemu`), or choose the simulator unicorn, which pip installs."
        )
    return path


class QemuMachine:
    """One QEMU process with an image; a context manager, so that the process ends.

    It starts at the reset state and stands still: `run` lets the image run by itself, `call` calls
    one of its functions. On Linux QEMU dies with the thread that started it, even if Python is
    killed; elsewhere `close` ends it.

    Args:
        elf: linked for `board`.
        limits: seconds of each `run` and `call`; instructions are not limited here.
        options: further ones of QEMU.
        kernel: a raw image to load in place of the ELF file.
        trap: where functions return to; the end of RAM.
        stack: initial stack pointer of a call; below `trap`.

    Raises:
        SimulationError: if QEMU does not start.
        ToolchainError: if QEMU or a host compiler for the plug-in is missing.
    """

    def __init__(
        self,
        elf: Elf,
        board: QemuBoard,
        limits: Limits = Limits(),
        options: Sequence[str] = (),
        kernel: Path | None = None,
        trap: int | None = None,
        stack: int | None = None,
    ) -> None:
        self.elf, self.board, self.limits = elf, board, limits
        self.trap = board.ram.end - TRAP_BYTES if trap is None else trap
        self._stack = self.trap if stack is None else stack
        self._folder = tempfile.TemporaryDirectory()
        folder = Path(self._folder.name)
        self._entries = np.memmap(folder / "counts", ENTRY, "w+", shape=CAPACITY)
        self._console = folder / "console"
        self._process = self._start(folder, kernel or elf.path, (*board.options, *options))
        self._gdb = self._guarded(
            GdbConnection, self._process.stdout.fileno(), self._process.stdin.fileno()
        )
        self._gdb.add_breakpoint(self.trap)

    def _start(self, folder: Path, kernel: Path, options: Sequence[str]) -> subprocess.Popen:
        command = [find_qemu(), "-M", self.board.machine, "-kernel", str(kernel), "-S"]
        command += ["-display", "none", "-monitor", "none", "-serial", "none", "-gdb", "stdio"]
        command += ["-semihosting-config", "enable=on,target=native"]
        command += ["-plugin", f"{_plugin(folder)},counts={folder / 'counts'}", *options]
        with self._console.open("wb") as console:
            return subprocess.Popen(
                command,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=console,
                start_new_session=True,  # Ctrl-C reaches Python, which ends QEMU
            )

    def __enter__(self) -> "QemuMachine":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """End QEMU."""
        self._process.kill()
        self._process.communicate()
        self._folder.cleanup()

    @property
    def console(self) -> str:
        """Everything printed by semihosting so far, and QEMU's own messages."""
        return self._console.read_text(errors="replace")

    def read(self, address: int, size: int) -> bytes:
        """Bytes of memory."""
        return self._guarded(self._gdb.read_memory, address, size)

    def write(self, address: int, data: bytes) -> None:
        """Set bytes of memory; peripherals are not reached."""
        self._guarded(self._gdb.write_memory, address, data)

    def run(self) -> int:
        """Let the image run from reset until it exits by semihosting; return its exit code.

        Raises:
            SimulationError: if it passes the limit of seconds, or locks up.
        """
        code = self._proceed()
        if code is None:
            self._fail(f"stopped at {self.elf.describe(self._register(PC))} without an exit")
        return code

    def call(self, function: int, arguments: tuple[int, ...] = ()) -> int:
        """Call the function at an address with 32-bit arguments on a fresh stack; return r0.

        The caller has put a vector table in place (`catch_faults`, or the image's own).

        Raises:
            SimulationError: on a fault, or a passed limit.
        """
        self._enter(function, arguments)
        code = self._proceed()
        if code is not None:
            fault = find_record(parse_records(self.console), "FAULT")
            self._fail(describe_fault(fault, self.elf.describe) if fault else f"exited with {code}")
        if exception := self._register(XPSR) & 0x1FF:
            self._fail(f"exception {exception} {self._where()}")
        return self._register(0)

    def run_to(self, address: int) -> None:
        """Let the image run from where it stands to an address.

        Raises:
            SimulationError: if it exits, locks up, or passes the limit before.
        """
        self._guarded(self._gdb.add_breakpoint, address)
        code = self._proceed()
        self._guarded(self._gdb.remove_breakpoint, address)
        if code is not None:
            self._fail(f"exited with {code}")
        if self._register(PC) != address:
            self._fail("stopped on its way")

    def exit_code(self, function: int, arguments: tuple[int, ...] = ()) -> int:
        """Call a function that ends the run by semihosting; return the exit code.

        Raises:
            SimulationError: if it returns, or passes the limit.
        """
        self._enter(function, arguments)
        return self.run()

    def _enter(self, function: int, arguments: tuple[int, ...]) -> None:
        on_stack = arguments[4:]
        stack = (self._stack - 4 * len(on_stack)) & ~7
        self.write(stack, struct.pack(f"<{len(on_stack)}I", *on_stack))
        registers = dict(enumerate(arguments[:4]))
        registers |= {SP: stack, LR: self.trap | 1, PC: function & ~1, XPSR: THUMB_STATE}
        for number, value in registers.items():
            self._guarded(self._gdb.write_register, number, value)

    def _where(self) -> str:
        """Where the exception happened, by the frame that it left on the stack."""
        frame = self._register(SP)
        if not self.board.ram.origin <= frame < self.board.ram.end:
            return f"with the stack pointer {frame:#010x} outside of RAM (stack overflow?)"
        (address,) = struct.unpack("<I", self.read(frame + FRAME_PC, 4))
        return f"at {self.elf.describe(address)} (pc {address:#010x})"

    def catch_faults(self) -> None:
        """Replace the vector table by one whose exceptions end a `call` with an error."""
        table = struct.pack(f"<{VECTORS}I", self.board.ram.end, *[self.trap | 1] * (VECTORS - 1))
        self.write(self.board.code.origin, table)

    def reset_counts(self) -> None:
        """Start counting anew."""
        self._entries["executions"] = 0

    @property
    def instructions(self) -> int:
        """Instructions since `reset_counts`, those that an IT block skips included."""
        return int((self._entries["executions"] * self._entries["instructions"]).sum())

    def instructions_by_function(self) -> Counter[str]:
        """The same by function, without what it calls; hexadecimal where there is no symbol."""
        counts: Counter[str] = Counter()
        for address, instructions, executions in self._entries[self._entries["executions"] > 0]:
            name = self.elf.locate(int(address)).partition("+")[0]
            counts[name] += int(instructions) * int(executions)
        return counts

    def _register(self, number: int) -> int:
        return self._guarded(self._gdb.read_register, number)

    def _guarded(self, action, *arguments):
        """Do `action`; when it fails, end QEMU and say what it printed."""
        try:
            return action(*arguments)
        except (OSError, SimulationError) as error:
            self._fail(str(error))

    def _proceed(self) -> int | None:
        """Run to a breakpoint (None), or until the program exits (its exit code)."""
        try:
            return self._gdb.proceed(self.limits.seconds)
        except TimeoutError as error:
            self._fail(f"{error}{self._interrupted()}")
        except (OSError, SimulationError) as error:
            self._fail(str(error))

    def _interrupted(self) -> str:
        """Where the program was, and with which subnet; nothing if QEMU itself hangs."""
        try:
            self._gdb.interrupt(INTERRUPT_SECONDS)
            pc = self._gdb.read_register(PC)
            words = [f", at {self.elf.describe(pc)} (pc {pc:#010x})"]
            if subnet := self.elf.find("firmware_subnet"):
                (value,) = struct.unpack("<i", self._gdb.read_memory(subnet.address, 4))
                words.append(active_subnet(value))
            return ", ".join(words)
        except (OSError, SimulationError):
            return ""

    def _fail(self, what: str) -> NoReturn:
        last = self.console.strip().rpartition("\n")[2]
        self.close()
        raise SimulationError(
            f"{self.elf.path.name} in QEMU's {self.board.machine}: {what}. "
            f"Last output: {last or 'none'}."
        )


def _plugin(folder: Path) -> Path:
    source = Path(__file__).with_name("qemu_plugin.c")
    version = 1 if _major_version(find_qemu()) < 9 else 2
    flags = [f"-DPLUGIN_VERSION={version}"]
    return build_shared_library([source], folder / "counter.so", flags=flags)


@cache
def _major_version(program: str) -> int:
    text = subprocess.run([program, "--version"], capture_output=True, text=True, check=False)
    found = re.search(r"version (\d+)", text.stdout)
    return int(found[1]) if found else 0
