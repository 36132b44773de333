"""Fits the cycle model's figures of a board to the loops that boards/calibration.c times."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from tflm_reds.boards.schema import Board, Interval
from tflm_reds.errors import DataError
from tflm_reds.sim.core_rules import CORE_RULES, CoreRules
from tflm_reds.sim.records import Record
from tflm_reds.sim.thumb import Kind

OVERHEAD = 2  # SUBS and BNE of each turn
COLD_CACHES = 4  # as many times the cache are the cold loops long
NOISE = 0.05  # cycles by which a rule may be missed


@dataclass(frozen=True)
class Probe:
    """How often a turn of one loop meets what a figure tells, against another loop.

    Attributes:
        figure: a name of `Timing`.
        count: how often a turn meets it.
        core: cycles of a turn that are neither in the baseline nor any figure's.
        refills: likewise, of the pipeline.
    """

    figure: str
    loop: str
    baseline: str | None
    count: int
    core: int
    refills: int = 0


@dataclass(frozen=True)
class Check:
    """What an instruction should take by the core's rules, and does on the board."""

    what: str
    rule: Interval
    board: float

    @property
    def holds(self) -> bool:
        """Whether the board keeps the rule."""
        low, high = self.rule
        return low - NOISE <= self.board <= high + NOISE


@dataclass(frozen=True)
class Fit:
    """(lowest, highest) of each figure over the loops that tell it, and checks of the rules."""

    figures: Mapping[str, Interval]
    checks: tuple[Check, ...]


def fit(records: Iterable[Record], board: Board) -> Fit:
    """Fit the figures of `board` to the LOOP records of one run of its calibration image.

    Raises:
        DataError: if a loop is missing, or took less than its instructions alone.
    """
    turns = cycles_per_turn(records)
    found: dict[str, list[float]] = {}
    for probe in probes(board):
        if probe.loop in turns:
            refill = sum(found.get("refill", [0.0])) / max(1, len(found.get("refill", ())))
            found.setdefault(probe.figure, []).append(_value(probe, turns, refill))
    missing = {"refill", "load", "data_wait_states"} - found.keys()
    if missing:
        raise DataError(
            f"The log has no loops for {', '.join(sorted(missing))}: it was cut. Read it again."
        )
    figures = {name: (min(values), max(values)) for name, values in found.items()}
    load = sum(figures["load"]) / 2
    return Fit(figures, tuple(checks(turns, CORE_RULES[board.core], load)))


def cycles_per_turn(records: Iterable[Record]) -> dict[str, float]:
    """By loop."""
    loops = [record for record in records if record.kind == "LOOP"]
    return {r.values["name"]: r.integer("cycles") / r.integer("turns") for r in loops}


def probes(board: Board) -> tuple[Probe, ...]:
    """Those of the pipeline first: others subtract its refills."""
    found = [
        Probe("refill", "empty", None, count=1, core=OVERHEAD + 1),
        Probe("refill", "branch", "empty", count=4, core=3),
        Probe("load", "load", "empty", count=8, core=7),
        Probe("load", "chase", "empty", count=8, core=-1),
        Probe("unaligned", "odd_halfword", "load", count=8, core=0),
        Probe("unaligned", "odd_byte", "load", count=16, core=0),
        Probe("data_wait_states", "walk_near_flash", "walk_near_ram", count=8, core=0),
        Probe("data_wait_states", "walk_far_flash", "walk_far_ram", count=8, core=0),
    ]
    size, line = board.timing.cache_bytes, board.timing.cache_line_bytes
    if size:
        lines = COLD_CACHES * size // line
        words = lines * line // 4
        found += [
            Probe("fetch_wait_states", "cold_straight", "empty", lines + 1, words - 1),
            Probe("fetch_wait_states", "cold_branch", "empty", lines + 1, lines - 1, lines),
        ]
    return tuple(found)


def _value(probe: Probe, turns: Mapping[str, float], refill: float) -> float:
    if probe.baseline and probe.baseline not in turns:
        raise DataError(f"The log has no loop {probe.baseline}: it was cut. Read it again.")
    baseline = turns[probe.baseline] if probe.baseline else 0.0
    rest = turns[probe.loop] - baseline - probe.core - probe.refills * refill
    value = rest / probe.count
    if value < -NOISE:
        raise DataError(
            f"The loop {probe.loop} took {-rest:.1f} cycles a turn less than its instructions do "
            "by the core's rules: its counter does not run at the core's clock, or another image "
            "ran. Calibrate again."
        )
    return round(max(0.0, value), 2)


def checks(turns: Mapping[str, float], rules: CoreRules, load: float) -> Iterable[Check]:
    """The rules that no figure of the board replaces."""
    own = {kind: rules.cycles.get(kind, (1, 1)) for kind in Kind}
    pipelined = (1.0, 1.0) if rules.is_pipelined else (load, load)
    interlock = float(rules.is_pipelined)
    expected = {
        "load_pipelined": ("load behind a load", pipelined, load - 1, 7),
        "store": ("store", own[Kind.STORE_IMMEDIATE], 0, 8),
        "interlock": ("late address", (interlock, interlock), 8 * (1 + load) - 1, 8),
        "load_multiple": ("LDM of one register", (2, 2), 8 - 1, 8),
        "multiply_add": ("MLA", own[Kind.MULTIPLY_ADD], -1, 8),
        "long_multiply_add": ("SMLAL", own[Kind.LONG_MULTIPLY_ADD], -1, 8),
        "dual_multiply_add": ("SMLAD", (1, 1), -1, 8),
        "divide": ("UDIV", (2, 12), 0, 8),
        "load_pair": ("LDRD", own[Kind.PAIR], -1, 8),
    }
    for loop, (what, rule, core, count) in expected.items():
        if loop in turns:
            yield Check(what, rule, round((turns[loop] - turns["empty"] - core) / count, 2))
