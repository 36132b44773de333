"""Counts what each of several ops takes on a simulated core, alone and in every subnet."""

import tempfile
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from tflm_reds.boards.schema import Board, Memory
from tflm_reds.codegen.firmware import Firmware, Samples, build_firmware
from tflm_reds.codegen.program import Program, flash_bytes
from tflm_reds.codegen.toolchain import Compiler
from tflm_reds.codegen.tuning.alone import together
from tflm_reds.codegen.writer import model_identifier, write_sources
from tflm_reds.sim.cycles import cycle_model, has_cycle_model
from tflm_reds.sim.elf import Elf
from tflm_reds.sim.machine import Machine
from tflm_reds.sim.op_table import OpTable
from tflm_reds.sim.protocol import Limits

MAIN = Path(__file__).with_name("main.c")
ROOM = 1 << 18  # for code, stack and variables of the image
SEED = 0
OK = 0

Costs = tuple[int, ...]
"""What an op takes in each subnet; empty: its kernel refuses the arguments in one of them."""


def cost_unit(core: str) -> str:
    """What `measure` counts on `core`: modelled cycles, where there is a model, or instructions."""
    return "modelled cycles" if has_cycle_model(core) else "instructions"


def measure(
    programs: Sequence[Program], board: Board, compiler: Compiler, figure: str = "ws0"
) -> list[Costs]:
    """The costs of each of the programs of one op, in `cost_unit(board.core)`.

    All ops read the same random bytes.

    Args:
        programs: all with the same number of subnets.
        figure: which one of `CycleEstimate`; by default that of the core alone.

    Raises:
        ToolchainError: if the compiler refuses a source.
        SimulationError: if the simulator does not know the core, or a kernel faults.
    """
    program = together(programs)
    with tempfile.TemporaryDirectory() as folder:
        firmware = _build(program, board, compiler, Path(folder))
        session = _Session(firmware, figure)
        return [session.costs(op, program.subnet_count) for op in range(len(programs))]


def _build(program: Program, board: Board, compiler: Compiler, folder: Path) -> Firmware:
    """The image for a board with memory for all these weights and any arena."""
    flash = sum(flash_bytes(program, program.subnet_count - 1).values()) + ROOM
    enlarged = replace(
        board,
        flash=_enlarge(board.flash, board.image_origin - board.flash.origin + flash),
        ram=_enlarge(board.ram, board.stack_bytes + program.arena_sizes[-1] + ROOM),
    )
    none = np.zeros((program.subnet_count, 1, 1), np.int8)
    samples = Samples(none[0], none)  # of the input and output that nobody uses
    sources = write_sources(program, folder / "src")
    identifier = model_identifier(program)
    return build_firmware(
        sources, identifier, samples, enlarged, folder, compiler=compiler, main=MAIN
    )


def _enlarge(memory: Memory, size: int) -> Memory:
    page = 1 << 12
    return replace(memory, size=max(memory.size, -(-size // page) * page))


class _Session:
    """A booted image whose ops can be called."""

    def __init__(self, firmware: Firmware, figure: str) -> None:
        board, self._elf = firmware.board, Elf.load(firmware.elf)
        self._machine = Machine(board, self._elf, OpTable.find(self._elf, firmware.model))
        self._limits, self._figure = Limits(), figure
        self._machine.boot(self._limits)
        self._cycle_model = cycle_model(board, self._elf.flash_image(board.image_origin))
        self._arena = self._elf.symbol("firmware_arena")
        self._machine.counter.count_accesses(self._cycle_model is not None)
        self._random = np.random.default_rng(SEED).bytes(self._arena.size)

    def costs(self, op: int, subnets: int) -> Costs:
        """Of one op in each subnet."""
        costs = [self._cost(op, subnet) for subnet in range(subnets)]
        return () if None in costs else tuple(costs)

    def _cost(self, op: int, subnet: int) -> int | None:
        machine = self._machine
        machine.write(self._arena.address, self._random)
        for name, value in (("firmware_op", op), ("firmware_subnet", subnet)):
            machine.write_word(self._elf.symbol(name).address, value)
        machine.counter.reset()
        status = machine.call(self._elf.symbol("main").address, (), self._limits)
        counts = machine.counter.counts().slot(op)
        if status != OK:
            return None
        if self._cycle_model is None:
            return counts.instructions
        return getattr(self._cycle_model.estimate(counts), self._figure)
