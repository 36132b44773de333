"""Modelled Cortex-M4 cycles from exact block counts; an estimate, not validated on silicon.

The rules follow the instruction timings of Arm's Cortex-M4 TRM (DDI 0439, table 3-1, and the text
on load/store timing). They are frozen: a change is a change of its own.
"""

from collections import Counter
from dataclasses import dataclass

import numpy as np

from tflm_reds.sim.counts import Counts
from tflm_reds.sim.thumb import Instruction, Kind, decode

REFILL_RANGE, REFILL = (1, 3), 2
FIXED = {
    Kind.LOAD_PC: 2,
    Kind.STORE_IMMEDIATE: 1,
    Kind.PAIR: 3,
    Kind.TABLE_BRANCH: 2,
    Kind.DIVIDE: 6,
    Kind.VFP_MULTIPLY_ADD: 3,
    Kind.VFP_DIVIDE: 14,
}
ADDRESSING = {
    Kind.LOAD, Kind.LOAD_PC, Kind.STORE_IMMEDIATE, Kind.STORE_REGISTER, Kind.PAIR
}  # fmt: skip


@dataclass(frozen=True)
class CycleEstimate:
    """Modelled cycles.

    Attributes:
        low: pipeline refill of 1 cycle, no flash wait states.
        high: refill of 3 cycles, the board's highest wait states on each data read from flash.
        ws0, ws2: refill of 2 cycles, 0 and 2 wait states.
    """

    low: int
    high: int
    ws0: int
    ws2: int


class CycleModel:
    """The frozen rules applied to one image.

    Args:
        image: content of flash from address `origin` on.
        wait_states: the board's highest, of a data read from flash.
    """

    def __init__(self, image: bytes, origin: int, wait_states: int):
        self._image, self._origin, self._wait_states = image, origin, wait_states
        self._decoded: dict[tuple[int, int], tuple[Instruction, ...]] = {}

    def estimate(self, counts: Counts) -> CycleEstimate:
        """Cycles of everything in `counts`, which must include the counted accesses."""
        core, refills = self._totals(counts.edges)
        core += sum(counts.unaligned_cycles)
        reads = sum(counts.flash_reads)
        low, high = REFILL_RANGE
        return CycleEstimate(
            low=core + low * refills,
            high=core + high * refills + self._wait_states * reads,
            ws0=core + REFILL * refills,
            ws2=core + REFILL * refills + 2 * reads,
        )

    def _totals(self, edges: np.ndarray) -> tuple[int, int]:
        """(cycles without refills, refills); a refill is charged to the block it leads to."""
        totals: Counter[str] = Counter()
        for edge in edges:
            source_size, count = int(edge["source_size"]), int(edge["count"])
            block = self._block(int(edge["target"]), int(edge["target_size"]))
            previous = self._block(int(edge["source"]), source_size)[-1] if source_size else None
            totals["core"] += count * block_cycles(block, previous)
            follows = edge["source"] + source_size == edge["target"]
            if previous and (previous.always_branches or not follows):
                totals["refills"] += count
        return totals["core"], totals["refills"]

    def _block(self, address: int, size: int) -> tuple[Instruction, ...]:
        if (address, size) not in self._decoded:
            start = address - self._origin
            self._decoded[address, size] = decode(self._image[start : start + size], address)
        return self._decoded[address, size]


def block_cycles(block: tuple[Instruction, ...], previous: Instruction | None = None) -> int:
    """Cycles of straight-line code without refills; `previous` ran directly before it."""
    total = 0
    for instruction in block:
        total += _cycles(instruction, previous)
        previous = instruction
    return total


def _cycles(instruction: Instruction, previous: Instruction | None) -> int:
    kind = instruction.kind
    if kind in (Kind.LOAD, Kind.STORE_REGISTER):
        cycles = 1 if _is_pipelined(instruction, previous) else 2
    elif kind is Kind.MULTIPLE:
        cycles = 1 + instruction.words
    elif kind is Kind.IT:
        cycles = 0 if previous and previous.size == 2 else 1
    elif kind is Kind.VFP:
        cycles = 1 + _uses_vfp_result(instruction, previous)
    else:
        cycles = FIXED.get(kind, 1)
    if kind in ADDRESSING and previous and previous.kind is Kind.ALU:
        cycles += bool(instruction.address_registers & previous.results)
    return cycles


def _is_pipelined(instruction: Instruction, previous: Instruction | None) -> bool:
    return (
        previous is not None
        and previous.kind is Kind.LOAD
        and not instruction.address_registers & previous.results
    )


def _uses_vfp_result(instruction: Instruction, previous: Instruction | None) -> bool:
    return (
        previous is not None
        and previous.kind in (Kind.VFP, Kind.VFP_MULTIPLY_ADD, Kind.VFP_DIVIDE)
        and bool(instruction.operands & previous.results)
    )
