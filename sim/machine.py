"""One Cortex-M in Unicorn with exactly a board's memory; faults become named errors."""

import struct
from collections.abc import Callable, Mapping
from typing import NoReturn

import numpy as np
import unicorn
from unicorn import arm_const

from tflm_reds.boards.schema import Board, Memory
from tflm_reds.errors import SimulationError
from tflm_reds.sim.chips import PAGE, find_bank, pages, serve_chip
from tflm_reds.sim.counting import make_counter
from tflm_reds.sim.elf import Elf
from tflm_reds.sim.op_table import OpTable
from tflm_reds.sim.peripherals import (
    CYCLE_COUNTER,
    SYSTEM_CONTROL,
    CycleCounter,
    Registers,
    SystemControl,
)
from tflm_reds.sim.protocol import Limits
from tflm_reds.sim.records import FAULTS, active_subnet
from tflm_reds.sim.thumb import find_fpu_instruction

CPU_MODELS = {
    "cortex-m0": arm_const.UC_CPU_ARM_CORTEX_M0,
    "cortex-m0plus": arm_const.UC_CPU_ARM_CORTEX_M0,
    "cortex-m3": arm_const.UC_CPU_ARM_CORTEX_M3,
    "cortex-m4f": arm_const.UC_CPU_ARM_CORTEX_M4,
    "cortex-m7f": arm_const.UC_CPU_ARM_CORTEX_M7,
    "cortex-m33f": arm_const.UC_CPU_ARM_CORTEX_M33,
}
CONSOLE_SEMIHOSTING = 0x52454453  # console.c
BREAKPOINT, SEMIHOSTING_BREAKPOINT = 7, b"\xab\xbe"
SYS_WRITE0, SYS_EXIT_EXTENDED = 0x04, 0x20
STRING_CHUNK = 64
ACCESSES = {
    unicorn.UC_MEM_READ_UNMAPPED: "read from unmapped address",
    unicorn.UC_MEM_WRITE_UNMAPPED: "write to unmapped address",
    unicorn.UC_MEM_FETCH_UNMAPPED: "jump to unmapped address",
    unicorn.UC_MEM_WRITE_PROT: "write to flash at",
    unicorn.UC_MEM_READ_PROT: "forbidden read from",
    unicorn.UC_MEM_FETCH_PROT: "jump to data at",
}
# By the numbers of target/arm/cpu.h in QEMU, from which Unicorn stems.
EXCEPTIONS = {1: "undefined instruction", 4: "unaligned access", BREAKPOINT: "breakpoint"}
FPU_IS_OFF = FAULTS[19]
FPU_ACCESS = 0xD88, 0xF << 20  # CPACR
ARGUMENTS = (
    arm_const.UC_ARM_REG_R0, arm_const.UC_ARM_REG_R1,
    arm_const.UC_ARM_REG_R2, arm_const.UC_ARM_REG_R3,
)  # fmt: skip


class Machine:
    """A board with an image in flash, as it is after reset.

    Args:
        semihosting: print by semihosting instead of the board's serial port.
        ops: the ops that the counter tells apart.
        counter: `make_counter`, or the class of one of the counters.

    Attributes:
        clock: what the cycle counter reads; the instructions, until it is replaced.
    """

    def __init__(
        self, board: Board, elf: Elf, ops: OpTable, semihosting=False, counter=make_counter
    ):
        self.board, self.elf = board, elf
        # Never UC_MODE_MCLASS: it forces a Cortex-M33 whatever model is set.
        self._engine = unicorn.Uc(unicorn.UC_ARCH_ARM, unicorn.UC_MODE_THUMB)
        if board.core not in CPU_MODELS:
            raise SimulationError(
                f"Unicorn has no {board.core} (board {board.name}). It knows: "
                f"{', '.join(CPU_MODELS)}; choose another simulator."
            )
        self._engine.ctl_set_cpu_model(CPU_MODELS[board.core])
        self._semihosted = bytearray()
        self._fault: str | None = None
        self._exited = False
        self.halt = elf.symbol("firmware_halt").address
        self._map_memory()
        self.counter = counter(self._engine, board.flash, ops, board.timing)
        self.clock = lambda: self.counter.instructions
        self._map_peripherals()
        self._engine.hook_add(unicorn.UC_HOOK_MEM_INVALID, self._on_invalid_access)
        self._engine.hook_add(unicorn.UC_HOOK_INTR, self._on_exception)
        if semihosting or self._port is None:
            self.write_word(elf.symbol("firmware_console").address, CONSOLE_SEMIHOSTING)

    @property
    def console(self) -> str:
        """Everything printed so far."""
        sent = self._port.sent if self._port else b""
        return bytes(sent + self._semihosted).decode(errors="replace")

    def read(self, address: int, size: int) -> bytes:
        """Bytes of memory."""
        return bytes(self._engine.mem_read(address, size))

    def write(self, address: int, data: bytes) -> None:
        """Set bytes of memory."""
        self._engine.mem_write(address, data)

    def read_word(self, address: int) -> int:
        """A signed 32-bit word."""
        return struct.unpack("<i", self.read(address, 4))[0]

    def write_word(self, address: int, value: int) -> None:
        """Set a 32-bit word."""
        self.write(address, struct.pack("<I", value & 0xFFFFFFFF))

    def watch(self, region: Memory, on_access: Callable[[bool, int], None]) -> None:
        """Call `on_access(is_write, address)` on every data access to `region` from now on."""

        def hook(_engine, access, address, _size, _value, _) -> None:
            on_access(access == unicorn.UC_MEM_WRITE, address)

        kinds = unicorn.UC_HOOK_MEM_READ | unicorn.UC_HOOK_MEM_WRITE
        self._engine.hook_add(kinds, hook, begin=region.origin, end=region.end - 1)

    def boot(self, limits: Limits) -> None:
        """Run from the vector table until the firmware halts.

        Raises:
            SimulationError: on a fault or a passed limit.
        """
        stack, reset = struct.unpack("<II", self.read(self.board.image_origin, 8))
        self._engine.reg_write(arm_const.UC_ARM_REG_SP, stack)
        self._run(reset, limits)

    def call(self, function: int, arguments: tuple[int, ...], limits: Limits) -> int:
        """Call a function of the halted image; return r0.

        Raises:
            SimulationError: on a fault or a passed limit.
        """
        for register, value in zip(ARGUMENTS, arguments, strict=False):
            self._engine.reg_write(register, value & 0xFFFFFFFF)
        self._engine.reg_write(arm_const.UC_ARM_REG_LR, self.halt | 1)
        self._run(function | 1, limits)
        return self._engine.reg_read(arm_const.UC_ARM_REG_R0)

    def _run(self, start: int, limits: Limits) -> None:
        self.counter.limit = self.counter.instructions + limits.instructions
        try:
            self._engine.emu_start(start, self.halt, timeout=int(limits.seconds * 1e6))
        except unicorn.UcError as error:
            undefined = error.errno == unicorn.UC_ERR_INSN_INVALID
            self._fail(self._fault or (EXCEPTIONS[1] if undefined else f"stopped with {error}"))
        if self._fault:
            self._fail(self._fault)
        if not self._exited and self._pc != self.halt:
            self._fail(self._passed_limit(limits))
        self._check_fpu()

    def _check_fpu(self) -> None:
        """Unicorn's FPU works even when it is off, so look whether it was used."""
        if not self.board.core_features.has_fpu or self._system.has_set(*FPU_ACCESS):
            return
        for block in np.unique(self.counter.counts().edges[["target", "target_size"]]):
            address, size = block.tolist()
            if (used := find_fpu_instruction(self.read(address, size), address)) is not None:
                self._fail_at(used, FPU_IS_OFF, "found after the run")

    @property
    def _pc(self) -> int:
        return self._engine.reg_read(arm_const.UC_ARM_REG_PC) & ~1

    def _passed_limit(self, limits: Limits) -> str:
        self.counter.counts()  # raises if its table of edges is full
        if self.counter.instructions > self.counter.limit:
            return f"passed the limit of {limits.instructions} instructions"
        return f"passed the limit of {limits.seconds:g} seconds"

    def _fail(self, what: str) -> NoReturn:
        subnet = self.read_word(self.elf.symbol("firmware_subnet").address)
        self._fail_at(self._pc, what, active_subnet(subnet))

    def _fail_at(self, pc: int, what: str, when: str) -> NoReturn:
        last = self.console.strip().rpartition("\n")[2]
        raise SimulationError(
            f"{self.elf.path.name} on {self.board.name}: {what}, at {self.elf.describe(pc)} "
            f"(pc {pc:#010x}), {when}. Last output: {last or 'none'}."
        )

    def _map_memory(self) -> None:
        board, executable = self.board, unicorn.UC_PROT_READ | unicorn.UC_PROT_EXEC
        content = self.elf.flash_image(board.flash.origin)
        self._engine.mem_map(board.flash.origin, board.flash.size, executable)
        self._engine.mem_write(board.flash.origin, content.ljust(board.flash.size, b"\xff"))
        writable = unicorn.UC_PROT_READ | unicorn.UC_PROT_WRITE
        self._engine.mem_map(board.ram.origin, board.ram.size, writable)

    def _map_peripherals(self) -> None:
        banks, self._port = serve_chip(self.board, self.read)
        chip_pages = pages(self.board, banks)
        banks[SYSTEM_CONTROL] = self._system = SystemControl(self._instructions, self._count_wraps)
        banks[CYCLE_COUNTER] = CycleCounter(self._instructions)
        for page in sorted(chip_pages | {SYSTEM_CONTROL, CYCLE_COUNTER}):
            self._engine.mmio_map(
                page, PAGE, _reader(banks, page), None, _writer(banks, page), None
            )

    def _instructions(self) -> int:
        return self.clock()

    def _count_wraps(self, count: int) -> None:
        """What the exception of SysTick does in cycle_counter.c."""
        self.write_word(self.elf.symbol("cycle_counter_wraps").address, count)

    def _on_invalid_access(self, _engine, access, address, size, _value, _) -> bool:
        kind = ACCESSES.get(access, f"invalid access {access} to")
        self._fault = f"{kind} {address:#010x} ({size} bytes)"
        return False

    def _on_exception(self, engine, number, _) -> None:
        pc = self._pc
        if number == BREAKPOINT and self.read(pc, 2) == SEMIHOSTING_BREAKPOINT:
            self._semihost()
            engine.reg_write(arm_const.UC_ARM_REG_PC, (pc + 2) | 1)
            return
        self._fault = EXCEPTIONS.get(number, f"exception {number}")
        engine.emu_stop()

    def _semihost(self) -> None:
        operation, argument = map(self._engine.reg_read, ARGUMENTS[:2])
        if operation == SYS_WRITE0:
            self._semihosted += self._read_string(argument)
        elif operation == SYS_EXIT_EXTENDED:
            self._exited = True
            self._engine.emu_stop()

    def _read_string(self, address: int) -> bytes:
        text = b""
        while b"\0" not in text:
            text += self.read(address + len(text), STRING_CHUNK)
        return text.partition(b"\0")[0]


def _reader(banks: Mapping[int, Registers], page: int):
    def read(_engine, offset, _size, _data):
        bank, register = find_bank(banks, page + offset)
        return bank.read(register)

    return read


def _writer(banks: Mapping[int, Registers], page: int):
    def write(_engine, offset, _size, value, _data):
        bank, register = find_bank(banks, page + offset)
        bank.write(register, value)

    return write
