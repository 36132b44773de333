"""Runs a board's image in QEMU, the second simulator, with exact counts by function."""

import shutil
import struct
import tempfile
from dataclasses import replace
from pathlib import Path

import numpy as np

from tflm_reds.boards.schema import Board, Memory
from tflm_reds.codegen.firmware import Firmware, relink
from tflm_reds.errors import SimulationError
from tflm_reds.sim.elf import Elf
from tflm_reds.sim.machine import CONSOLE_SEMIHOSTING
from tflm_reds.sim.protocol import Limits, RunResult, SubnetRun
from tflm_reds.sim.qemu import PROGRAM, QemuBoard, QemuMachine, qemu_board
from tflm_reds.sim.session import Session, run_samples

VECTOR_BYTES = 64


class QemuSession(Session):
    """A booted image in QEMU; a context manager, so that the process ends.

    The image prints by semihosting and starts no chip: QEMU has the core and the memory of a board,
    but not its peripherals.

    Args:
        firmware: the image; it boots at once and must end with its final record.
        limits: seconds of the boot, and of each later call.

    Raises:
        SimulationError: if the image faults, passes a limit, or reports failures; if QEMU has no
            machine with the core, or none with that much memory.
        ToolchainError: if QEMU is missing.
    """

    def __init__(self, firmware: Firmware, limits: Limits = Limits()) -> None:
        self._folder = tempfile.TemporaryDirectory()
        folder = Path(self._folder.name)
        machine, self.relinked = find_machine(firmware.board)
        if self.relinked:
            firmware = relink(firmware, board_of(machine, firmware.board), folder)
        self.firmware, self.elf = firmware, Elf.load(firmware.elf)
        (stack,) = struct.unpack("<I", self.elf.read(firmware.board.image_origin, 4))
        self.machine = QemuMachine(
            self.elf, machine, limits, kernel=_kernel(firmware, self.elf, folder),
            trap=self.address("firmware_halt"), stack=stack,
        )  # fmt: skip
        try:
            self._boot()
        except BaseException:
            self.close()
            raise

    def _boot(self) -> None:
        self.write_word("firmware_console", CONSOLE_SEMIHOSTING)
        self.machine.run_to(self.address("firmware_exit"))
        self.accept_boot(self.machine.console, self.machine.instructions)

    def __enter__(self) -> "QemuSession":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """End QEMU."""
        self.machine.close()
        self._folder.cleanup()

    def call(self, symbol: str, *arguments: int) -> int:
        """Call a function of the image with up to four 32-bit arguments; return r0."""
        return self.machine.call(self.address(symbol), arguments)

    def measure(self, subnet: int, x: np.ndarray) -> SubnetRun:
        """Count one inference of `subnet` on one int8 input, its first and its second run."""
        self.invoke((subnet + 1) % len(self.firmware.samples.outputs), x)
        switch = self._count("reds_set_subnet", self.address("firmware_state"), subnet)
        first = self._count(*self.inference(subnet))
        second = self._count(*self.inference(subnet))
        return SubnetRun(
            subnet=subnet,
            instructions=second,
            first_instructions=first,
            switch_instructions=switch,
            by_function=dict(self.machine.instructions_by_function()),
        )

    def exit_code(self, failures: int) -> int:
        """Let the image end as it does with `failures`; QEMU's exit code."""
        return self.machine.exit_code(self.address("firmware_exit"), (failures,))

    def _count(self, symbol: str, *arguments: int) -> int:
        self.machine.reset_counts()
        self.call(symbol, *arguments)
        return self.machine.instructions


class QemuSimulator:
    """The independent second simulator: QEMU's own processor model, exceptions, Cortex-M55."""

    name = "qemu"

    def available(self) -> bool:
        """Whether QEMU for Arm is on PATH."""
        return shutil.which(PROGRAM) is not None

    def run(self, firmware: Firmware, limits: Limits = Limits()) -> RunResult:
        """Run the image, then measure every subnet on its first embedded sample.

        Raises:
            SimulationError: on a fault, a passed limit, a missing final record, or wrong results.
            ToolchainError: if QEMU is missing.
        """
        with QemuSession(firmware, limits) as session:
            result = run_samples(session, self.name, session.relinked)
            if code := session.exit_code(0):
                raise SimulationError(f"{firmware.model} ended QEMU with exit code {code}, not 0.")
            return result


def find_machine(board: Board) -> tuple[QemuBoard, bool]:
    """QEMU's machine for a board, and whether the image must be linked again for its memory.

    Raises:
        SimulationError: if QEMU has no machine with the core.
    """
    name = board.tools.qemu_machine
    if not name:
        return qemu_board(board.core), True
    return QemuBoard(name, board.flash, board.ram), False


def board_of(machine: QemuBoard, board: Board) -> Board:
    """The board with the machine's addresses; of its RAM it may use as much as it has itself.

    Raises:
        SimulationError: if the machine has less RAM.
    """
    if board.ram.size > machine.ram.size:
        raise SimulationError(
            f"QEMU's {machine.machine} has {machine.ram.size} bytes of RAM, {board.name} "
            f"{board.ram.size}. Choose another simulator."
        )
    ram = Memory(machine.ram.origin, board.ram.size)
    return replace(board, flash=machine.code, ram=ram, image_origin=machine.code.origin)


def _kernel(firmware: Firmware, elf: Elf, folder: Path) -> Path:
    """What QEMU loads: the ELF file, or the image padded to the start of flash.

    Behind a bootloader the padded image has a copy of its vector table in the bootloader's place,
    where QEMU's processor starts.
    """
    board = firmware.board
    if board.image_origin == board.flash.origin:
        return firmware.elf
    padded = bytearray(elf.flash_image(board.flash.origin))
    padded[:VECTOR_BYTES] = elf.read(board.image_origin, VECTOR_BYTES)
    path = folder / "padded.bin"
    path.write_bytes(padded)
    return path
