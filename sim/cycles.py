"""Modelled cycles from exact counts; an estimate with an interval, not validated on silicon.

`core_rules` says what an instruction takes. What depends on the board (`Timing`) is counted as
events, so that modelled cycles are linear in the board's figures, as `tflm_reds.calibration` needs.
"""

from dataclasses import dataclass, replace
from math import ceil, floor

from tflm_reds.boards.schema import Board, Interval, Timing
from tflm_reds.sim.core_rules import CORE_RULES, LOAD, CoreRules
from tflm_reds.sim.counts import Counts
from tflm_reds.sim.thumb import Instruction, decode


@dataclass(frozen=True)
class CycleEstimate:
    """Modelled cycles.

    Attributes:
        low, high: with the lowest and the highest figures of core and board.
        ws0, ws2: the core alone with its usual refill (2 cycles on a Cortex-M4), and 0 and 2 wait
            states on each data read from flash.
    """

    low: int
    high: int
    ws0: int
    ws2: int


@dataclass(frozen=True)
class Events:
    """What takes time in a run.

    Attributes:
        core: (lowest, highest) cycles that no board changes.
        refills: of the pipeline.
        loads: single loads, and stores with a register offset, that are not pipelined.
        unaligned: odd halfwords of accesses.
        flash_reads: data reads from flash.
        fetches: lines of code that the instruction cache did not hold.
    """

    core: tuple[int, int]
    refills: int
    loads: int
    unaligned: int
    flash_reads: int
    fetches: int

    def cycles(self, figures: dict[str, float], end: int = 0) -> float:
        """Cycles at one value of each of the board's figures, named as in `Timing`."""
        return (
            self.core[end]
            + self.refills * figures["refill"]
            + self.loads * figures["load"]
            + self.unaligned * figures["unaligned"]
            + self.flash_reads * figures["data_wait_states"]
            + self.fetches * figures["fetch_wait_states"]
        )


def has_cycle_model(core: str) -> bool:
    """Whether there are rules for the core; see `core_rules`."""
    return core in CORE_RULES


def cycle_model(board: Board, image: bytes) -> "CycleModel | None":
    """The model of one image on a board; None for a core without rules.

    Args:
        image: content of flash from `board.image_origin` on.
    """
    if not has_cycle_model(board.core):
        return None
    return CycleModel(image, board.image_origin, board.timing, CORE_RULES[board.core])


class CycleModel:
    """The rules applied to one image.

    Args:
        image: content of flash from address `origin` on.
    """

    def __init__(
        self,
        image: bytes,
        origin: int,
        timing: Timing,
        rules: CoreRules = CORE_RULES["cortex-m4f"],
    ):
        self._image, self._origin, self._rules = image, origin, rules
        self._intervals = intervals(timing, rules)
        self._decoded: dict[tuple[int, int], tuple[Instruction, ...]] = {}
        self._edges: dict[tuple[int, ...], BlockCost] = {}

    def estimate(self, counts: Counts) -> CycleEstimate:
        """Cycles of everything in `counts`, which must include the counted accesses."""
        events = self.events(counts)
        low, high = ({name: v[end] for name, v in self._intervals.items()} for end in (0, 1))
        usual = {"refill": self._rules.usual_refill, "load": LOAD, "unaligned": 1}
        alone = usual | {"data_wait_states": 0, "fetch_wait_states": 0}
        return CycleEstimate(
            low=floor(events.cycles(low)),
            high=ceil(events.cycles(high, end=1)),
            ws0=int(events.cycles(alone)),
            ws2=int(events.cycles(alone | {"data_wait_states": 2})),
        )

    def events(self, counts: Counts) -> Events:
        """What the board's figures are multiplied by; a refill belongs to the block it leads to."""
        low = high = loads = refills = 0
        for source, source_size, target, target_size, _, _, count in counts.edges.tolist():
            cost = self._edge(source, source_size, target, target_size)
            low += count * cost.low
            high += count * cost.high
            loads += count * cost.loads
            refills += count * cost.refills
        return Events(
            core=(low, high),
            refills=refills,
            loads=loads,
            unaligned=sum(counts.unaligned_cycles),
            flash_reads=sum(counts.flash_reads),
            fetches=sum(counts.fetches),
        )

    def _edge(self, source: int, source_size: int, target: int, target_size: int) -> "BlockCost":
        """Of the target block directly behind the source block; a source of size 0 is none."""
        key = source, source_size, target, target_size
        if key not in self._edges:
            previous = self._block(source, source_size)[-1] if source_size else None
            cost = block_cost(self._block(target, target_size), previous, self._rules)
            follows = source + source_size == target
            taken = previous is not None and (previous.always_branches or not follows)
            self._edges[key] = replace(cost, refills=int(taken))
        return self._edges[key]

    def _block(self, address: int, size: int) -> tuple[Instruction, ...]:
        if (address, size) not in self._decoded:
            start = address - self._origin
            self._decoded[address, size] = decode(self._image[start : start + size], address)
        return self._decoded[address, size]


def intervals(timing: Timing, rules: CoreRules) -> dict[str, Interval]:
    """(lowest, highest) of each of the board's figures; the core's own where none was measured."""
    own = {"refill": rules.refill, "load": (LOAD, LOAD), "unaligned": (1, 1)}
    return own | timing.intervals


@dataclass(frozen=True)
class BlockCost:
    """Of one block: (lowest, highest) cycles of the core, and events that `Events` counts."""

    low: int
    high: int
    loads: int
    refills: int = 0


def block_cost(
    block: tuple[Instruction, ...], previous: Instruction | None, rules: CoreRules
) -> BlockCost:
    """Straight-line code; `previous` ran directly before it."""
    low = high = loads = 0
    for instruction in block:
        cost = rules.cost(instruction, previous)
        low, high, loads = low + cost.cycles[0], high + cost.cycles[1], loads + cost.loads
        previous = instruction
    return BlockCost(low, high, loads)


def block_cycles(
    block: tuple[Instruction, ...], previous: Instruction | None = None, core: str = "cortex-m4f"
) -> int:
    """Lowest cycles of straight-line code without refills; `previous` ran directly before it."""
    cost = block_cost(block, previous, CORE_RULES[core])
    return cost.low + LOAD * cost.loads
