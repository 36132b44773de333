"""Machines that call C functions with buffers: this host, Cortex-M cores in Unicorn and in QEMU.

All have the same methods. In Unicorn each buffer ends right before unmapped memory, where a read
beyond it faults, and constants cannot be written; in QEMU bytes written beside a buffer are found.
"""

from collections.abc import Iterable, Sequence
from pathlib import Path

import unicorn
from host_machine import ALIGNMENT, KERNELS, folders
from unicorn import arm_const

from tflm_reds.boards.schema import FOLDER, Memory, Timing
from tflm_reds.codegen.cores import find_core
from tflm_reds.codegen.toolchain import Compiler, build_image
from tflm_reds.errors import SimulationError
from tflm_reds.sim.counting import make_counter
from tflm_reds.sim.counts import Counts
from tflm_reds.sim.cycles import CycleEstimate, CycleModel
from tflm_reds.sim.elf import Elf
from tflm_reds.sim.machine import ARGUMENTS, CPU_MODELS
from tflm_reds.sim.op_table import NO_OPS
from tflm_reds.sim.protocol import Limits
from tflm_reds.sim.qemu import QemuMachine, qemu_board

TESTS = Path(__file__).parent
PAGE = 4096
GAP = b"\x5a" * ALIGNMENT


def _build(sources, folder: Path, core: str, code: int, variables, include, flags, compiler) -> Elf:
    """Link the code for address `code`, variables of at most `variables.size` bytes to theirs."""
    script = folder / "kernels.ld"
    text = (TESTS / "cortex_m" / "kernels.ld").read_text()
    numbers = {"CODE_ORIGIN": code, "RAM_ORIGIN": variables.origin, "RAM_SIZE": variables.size}
    for name, number in numbers.items():
        text = text.replace(name, hex(number))
    script.write_text(text)
    sources = [*sources, TESTS / "cortex_m" / "freestanding.c", FOLDER / "arithmetic.c"]
    image, include = folder / f"{core}.elf", folders(include)
    return Elf.load(
        build_image(sources, image, find_core(core), script, include, [*flags], compiler)
    )


def _variables(elf: Elf) -> tuple[int, bytes]:
    """Where the image has its variables, and what startup code copies there."""
    origin, size = elf.sections.get(".variables", (0, 0))
    return origin, elf.segments[-1][1][:size]


class CortexM:
    """Functions of a bare image, called in Unicorn; counts instructions and models cycles.

    Args:
        core: as in codegen/cores.py.
        guard: buffers end at unmapped memory; else they begin at a multiple of 4096.
        variables: bytes that the image's variables may take.
    """

    pointer = "I"
    _FLASH = Memory(0, 0x40000000)
    _CONSTANTS = 0x10000000
    _STACK = 0x50000000
    _STACK_BYTES = 16 * PAGE
    _BUFFERS = 0x60000000
    _VARIABLES = 0x70000000

    def __init__(
        self,
        sources: Iterable[Path],
        folder: Path,
        include: Path | Sequence[Path] = KERNELS,
        flags: Iterable[str] = (),
        compiler: Compiler | None = None,
        core: str = "cortex-m4f",
        guard: bool = True,
        variables: int = 0,
    ) -> None:
        ram = Memory(self._VARIABLES, variables)
        elf = _build(sources, folder, core, 0, ram, include, flags, compiler)
        self._open(elf, core, guard)

    @classmethod
    def of_elf(cls, elf: Elf, core: str = "cortex-m4f", guard: bool = True) -> "CortexM":
        """The functions of an image linked elsewhere, which has a `reds_test_stop`."""
        machine = cls.__new__(cls)
        machine._open(elf, core, guard)
        return machine

    def _open(self, elf: Elf, core: str, guard: bool) -> None:
        self.elf, self._guard = elf, guard
        self._uc = unicorn.Uc(unicorn.UC_ARCH_ARM, unicorn.UC_MODE_THUMB)
        self._uc.ctl_set_cpu_model(CPU_MODELS[core])
        self._image = self.elf.flash_image(0)
        self._map(0, -(-len(self._image) // PAGE) * PAGE, unicorn.UC_PROT_EXEC)
        self._uc.mem_write(0, self._image)
        self._map(self._STACK, self._STACK_BYTES, unicorn.UC_PROT_WRITE)
        self._map(self._VARIABLES, PAGE, unicorn.UC_PROT_WRITE)
        self._uc.mem_write(*_variables(elf))
        self._regions: list[tuple[int, int]] = []
        self._next = {True: self._CONSTANTS, False: self._BUFFERS}
        self._counter = None

    def _map(self, address: int, size: int, right: int) -> None:
        self._uc.mem_map(address, size, unicorn.UC_PROT_READ | right)

    def place(self, data: bytes, constant: bool = False) -> int:
        """Address of a fresh copy of `data`, in flash if it is constant."""
        size = -(-max(len(data), 1) // PAGE) * PAGE
        start = self._next[constant]
        self._map(start, size, unicorn.UC_PROT_NONE if constant else unicorn.UC_PROT_WRITE)
        self._regions.append((start, size))
        self._next[constant] += size + PAGE
        address = start + size - len(data) if self._guard else start
        self._uc.mem_write(address, data)
        return address

    def read(self, address: int, size: int) -> bytes:
        return bytes(self._uc.mem_read(address, size))

    def write(self, address: int, data: bytes) -> None:
        self._uc.mem_write(address, data)

    def symbol(self, name: str) -> int:
        return self.elf.symbol(name).address

    def call(self, name: str, *arguments: int) -> int:
        """Call `name` with integers and addresses; return its int result."""
        stack = self._STACK + self._STACK_BYTES - PAGE
        for register, value in zip(ARGUMENTS, arguments, strict=False):
            self._uc.reg_write(register, value)
        for i, value in enumerate(arguments[4:]):
            self._uc.mem_write(stack + 4 * i, value.to_bytes(4, "little"))
        self._uc.reg_write(arm_const.UC_ARM_REG_SP, stack)
        stop = self.symbol("reds_test_stop")
        self._uc.reg_write(arm_const.UC_ARM_REG_LR, stop | 1)
        self._uc.emu_start(self.symbol(name) | 1, stop)
        return self._uc.reg_read(arm_const.UC_ARM_REG_R0)

    def count(self, name: str, *arguments: int) -> Counts:
        """Like `call`, but return everything that was executed."""
        if self._counter is None:
            self._counter = make_counter(self._uc, self._FLASH, NO_OPS)
            self._cycle_model = CycleModel(self._image, 0, Timing())
        self._counter.reset()
        self._counter.count_accesses(True)
        self.call(name, *arguments)
        self._counter.count_accesses(False)
        return self._counter.counts()

    def count_instructions(self, name: str, *arguments: int) -> int:
        """Like `call`, but return the number of instructions executed."""
        return self.count(name, *arguments).instructions

    def cycles(self, counts: Counts) -> CycleEstimate:
        """Cycles of a Cortex-M4 for what `count` returned."""
        return self._cycle_model.estimate(counts)

    def free(self) -> None:
        """Unmap all buffers."""
        for start, size in self._regions:
            self._uc.mem_unmap(start, size)
        self._regions.clear()
        self._next = {True: self._CONSTANTS, False: self._BUFFERS}


class QemuCortexM:
    """Functions of a bare image, called in QEMU; a context manager."""

    pointer = "I"

    def __init__(
        self,
        sources: Iterable[Path],
        folder: Path,
        include: Path | Sequence[Path] = KERNELS,
        flags: Iterable[str] = (),
        compiler: Compiler | None = None,
        core: str = "cortex-m55f",
        variables: int = 0,
        options: Sequence[str] = (),
    ) -> None:
        board = qemu_board(core)
        ram = Memory(board.ram.origin, variables)
        self.elf = _build(sources, folder, core, board.code.origin, ram, include, flags, compiler)
        self._machine = QemuMachine(self.elf, board, Limits(seconds=60), options)
        self._machine.catch_faults()
        self.write(*_variables(self.elf))
        self.call("reds_test_start")
        self._start = self._next = ram.end + -ram.end % ALIGNMENT
        self._ends: list[int] = []

    def __enter__(self) -> "QemuCortexM":
        return self

    def __exit__(self, *_: object) -> None:
        self._machine.close()

    def place(self, data: bytes, constant: bool = False) -> int:
        """Address of a fresh copy of `data`, aligned to 16 bytes."""
        address, end = self._next, self._next + len(data)
        gap = GAP[: ALIGNMENT - end % ALIGNMENT] + GAP
        self._machine.write(address, data + gap)
        self._ends.append(end)
        self._next = end + len(gap)
        return address

    def read(self, address: int, size: int) -> bytes:
        return self._machine.read(address, size)

    def write(self, address: int, data: bytes) -> None:
        self._machine.write(address, data)

    def symbol(self, name: str) -> int:
        return self.elf.symbol(name).address

    def call(self, name: str, *arguments: int) -> int:
        """Call `name` with integers and addresses; return its int result."""
        words = tuple(value & 0xFFFFFFFF for value in arguments)
        return self._machine.call(self.symbol(name), words)

    def handle_exception(self, number: int, name: str) -> None:
        """Let the function `name` handle an exception, in place of an error."""
        entry = self._machine.board.code.origin + 4 * number
        self.write(entry, (self.symbol(name) | 1).to_bytes(4, "little"))

    def count_instructions(self, name: str, *arguments: int) -> int:
        """Like `call`, but return the number of instructions executed."""
        self._machine.reset_counts()
        self.call(name, *arguments)
        return self._machine.instructions

    def free(self) -> None:
        """Forget all buffers.

        Raises:
            SimulationError: if a byte behind one of them was written.
        """
        for end in self._ends:
            if self.read(end, ALIGNMENT) != GAP:
                raise SimulationError(f"The bytes behind the buffer that ends at {end:#x} changed.")
        self._ends.clear()
        self._next = self._start
