"""Cycles of single instructions on the cores whose manuals tell them, in order of execution.

Cortex-M4: DDI 0439, table 3-1 and the text on load and store timings. These rules are frozen: a
change is a change of its own. Cortex-M3: DDI 0337, table 18-1. Cortex-M0 and M0+: DDI 0432 and DDI
0484, table 3-1, with the multiplier of one cycle. Of the Cortex-M7, M33 and M55 no public manual
gives such a table: they have no cycle model.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field

from tflm_reds.sim.thumb import Instruction, Kind

ALU = {Kind.ALU, Kind.MULTIPLY_ADD, Kind.LONG_MULTIPLY, Kind.LONG_MULTIPLY_ADD}
ADDRESSING = {Kind.LOAD, Kind.LOAD_PC, Kind.STORE_IMMEDIATE, Kind.STORE_REGISTER, Kind.PAIR}


@dataclass(frozen=True)
class Cost:
    """What one instruction takes: cycles (lowest, highest), and loads that are not pipelined."""

    cycles: tuple[int, int]
    loads: int = 0


@dataclass(frozen=True)
class CoreRules:
    """The timing of one core.

    Attributes:
        refill: (lowest, highest) cycles of the pipeline's refill after a branch.
        usual_refill: the one that single figures are given for.
        cycles: (lowest, highest) of the kinds of instructions that do not take one cycle.
        is_pipelined: loads follow each other without a gap, IT is folded, and an address that the
            instruction before computed is late; otherwise every instruction is on its own.
    """

    refill: tuple[int, int]
    usual_refill: int
    cycles: Mapping[Kind, tuple[int, int]] = field(default_factory=dict)
    is_pipelined: bool = True

    def cost(self, instruction: Instruction, previous: Instruction | None) -> Cost:
        """Of one instruction, without refills; `previous` ran directly before it."""
        kind = instruction.kind
        if kind in (Kind.LOAD, Kind.STORE_REGISTER):
            interlock = self._interlock(instruction, previous)
            if self.is_pipelined and _follows_load(instruction, previous):
                return Cost((1, 1))
            return Cost((interlock, interlock), loads=1)
        if kind is Kind.MULTIPLE:
            cycles = 1 + instruction.words + (instruction.always_branches and not self.is_pipelined)
            return Cost((cycles, cycles))
        low, high = self._own(instruction, previous)
        interlock = self._interlock(instruction, previous)
        return Cost((low + interlock, high + interlock))

    def _own(self, instruction: Instruction, previous: Instruction | None) -> tuple[int, int]:
        kind = instruction.kind
        if kind is Kind.IT and previous and previous.size == 2:
            return 0, 0
        if kind is Kind.VFP and _uses_vfp_result(instruction, previous):
            return 2, 2
        if kind is Kind.BRANCH and instruction.size == 4 and not self.is_pipelined:
            return 2, 2  # BL
        return self.cycles.get(kind, (1, 1))

    def _interlock(self, instruction: Instruction, previous: Instruction | None) -> int:
        if not self.is_pipelined or instruction.kind not in ADDRESSING or previous is None:
            return 0
        return previous.kind in ALU and bool(instruction.address_registers & previous.results)


LOAD = 2
"""Cycles of a load that is not pipelined, on all these cores."""

_ARMV7_M = {
    Kind.LOAD_PC: (2, 2),
    Kind.PAIR: (3, 3),
    Kind.TABLE_BRANCH: (2, 2),
    Kind.DIVIDE: (6, 6),  # the manuals: 2 to 12
    Kind.VFP_MULTIPLY_ADD: (3, 3),
    Kind.VFP_DIVIDE: (14, 14),
}
_CORTEX_M3 = {
    Kind.MULTIPLY_ADD: (2, 2),
    Kind.LONG_MULTIPLY: (3, 5),  # ends early where an operand is small
    Kind.LONG_MULTIPLY_ADD: (4, 7),
}
_ARMV6_M = {Kind.STORE_IMMEDIATE: (2, 2)}

CORE_RULES = {
    "cortex-m0": CoreRules((2, 2), 2, _ARMV6_M, is_pipelined=False),
    "cortex-m0plus": CoreRules((1, 1), 1, _ARMV6_M, is_pipelined=False),
    "cortex-m3": CoreRules((1, 3), 2, _ARMV7_M | _CORTEX_M3),
    "cortex-m4f": CoreRules((1, 3), 2, _ARMV7_M),
}


def _follows_load(instruction: Instruction, previous: Instruction | None) -> bool:
    """Whether the instruction's address phase overlaps the load before it."""
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
