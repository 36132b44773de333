"""Choose the kernel of each op by measured costs, within the arena that `optimize` allows."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from math import inf

from tflm_reds.boards.schema import Board
from tflm_reds.codegen.lower import SLACK, lower, prepare
from tflm_reds.codegen.passes.select_kernels import Candidate, candidates
from tflm_reds.codegen.program import Program
from tflm_reds.codegen.toolchain import Compiler, target_compiler
from tflm_reds.codegen.tuning.alone import alone
from tflm_reds.codegen.tuning.cache import measure_cached
from tflm_reds.codegen.tuning.measure import Costs, cost_unit
from tflm_reds.errors import ToolchainError
from tflm_reds.quantized import QuantizedNet
from tflm_reds.sim.machine import CPU_MODELS

LEAST_GAIN = 0.01
"""Less than this share of an op's time does not pay for another choice than that by shape."""


@dataclass(frozen=True)
class Tuning:
    """What was measured, and what was chosen for it.

    Attributes:
        unit: of the costs; None: nothing was measured, and `note` says why.
        measured: costs of the candidates of each op that has several, the choice by shape first.
        chosen: of the ops for which another candidate than that by shape is better.
        runs: how many candidates were run for this; the others' costs were known already.
    """

    unit: str | None
    note: str
    measured: Mapping[str, Mapping[Candidate, Costs]] = field(default_factory=dict)
    chosen: Mapping[str, Candidate] = field(default_factory=dict)
    runs: int = 0


def tune(
    net: QuantizedNet,
    board: Board,
    optimize: str = "speed",
    ram: Sequence[int | None] | None = None,
    compiler: Compiler | None = None,
) -> Tuning:
    """Measure the candidates of each op on the board's simulated core and choose.

    The best candidate has the least sum, over the subnets, of its cost divided by the least one in
    that subnet. `lower(net, optimize, ram, tuning.chosen)` makes the program.

    Raises:
        SimulationError: if a kernel faults.
    """
    if board.core not in CPU_MODELS:
        return Tuning(None, f"Kernels were chosen by shape: Unicorn has no {board.core}.")
    try:
        compiler = compiler or target_compiler()
    except ToolchainError as error:
        return Tuning(None, f"Kernels were chosen by shape. {error}")
    program = prepare(net)
    options = {op.name: candidates(program, op, optimize == "ram") for op in program.ops}
    measured, runs = _measure(program, options, board, compiler)
    unit = cost_unit(board.core)
    tuning = Tuning(unit, _note(measured, unit, board, compiler), measured, runs=runs)
    return _choose(tuning, net, optimize, ram)


def _measure(
    program: Program,
    options: Mapping[str, Sequence[Candidate]],
    board: Board,
    compiler: Compiler,
) -> tuple[dict[str, dict[Candidate, Costs]], int]:
    pairs = [(op, one) for op in program.ops for one in options[op.name] if options[op.name][1:]]
    if not pairs:
        return {}, 0
    programs = [alone(program, *pair) for pair in pairs]
    costs, runs = measure_cached(programs, board, compiler)
    measured: dict[str, dict[Candidate, Costs]] = {}
    for (op, candidate), cost in zip(pairs, costs, strict=True):
        measured.setdefault(op.name, {})[candidate] = cost
    return measured, runs


def relative_cost(costs: Mapping[Candidate, Costs], candidate: Candidate) -> float:
    """Mean over the subnets of the candidate's cost divided by the least one; infinite: refused."""
    if not costs[candidate]:
        return inf
    least = [min(column) for column in zip(*filter(None, costs.values()), strict=True)]
    ratios = [cost / best for cost, best in zip(costs[candidate], least, strict=True)]
    return sum(ratios) / len(ratios)


def _choose(
    tuning: Tuning, net: QuantizedNet, optimize: str, ram: Sequence[int | None] | None
) -> Tuning:
    """The best candidate of each op, one op after another, with which the arena is in its limit."""
    by_shape = program = lower(net, optimize, ram)
    chosen: dict[str, Candidate] = {}
    for name, costs in tuning.measured.items():
        used = _used(program)
        for candidate in faster(costs, used[name]):
            trial = lower(net, optimize, ram, chosen | {name: candidate})
            fits = _fits(trial, by_shape, SLACK[optimize], ram)
            # Nor may any other op lose scratch memory by it.
            if not costs[used[name]] or (fits and _used(trial) == used | {name: candidate}):
                chosen[name], program = candidate, trial
                break
    return replace(tuning, chosen=chosen)


def _used(program: Program) -> dict[str, Candidate]:
    return {op.name: Candidate(op.kernel, op.scratch_bytes) for op in program.ops}


def faster(costs: Mapping[Candidate, Costs], used: Candidate) -> list[Candidate]:
    """The candidates that are faster than the one that is used, best first."""
    limit = (1 - LEAST_GAIN) * relative_cost(costs, used)
    better = [one for one in costs if costs[one] and relative_cost(costs, one) <= limit]
    return sorted(better, key=lambda candidate: relative_cost(costs, candidate))


def _fits(
    trial: Program, by_shape: Program, slack: float, ram: Sequence[int | None] | None
) -> bool:
    """Whether no arena exceeds what the tensors of the choice by shape allow, nor that choice."""
    limits = ram or [None] * by_shape.subnet_count
    sizes = zip(trial.arena_sizes, by_shape.arena_sizes, by_shape.live_sizes, limits, strict=True)
    return all(
        arena <= max(usual, min(int(slack * live), arena if limit is None else limit))
        for arena, usual, live, limit in sizes
    )


def _note(measured: Mapping, unit: str, board: Board, compiler: Compiler) -> str:
    if not measured:
        return "Every op has one candidate only: there was nothing to measure."
    return (
        f"Candidates of {len(measured)} ops were compared by {unit} of each, alone and in "
        f"every subnet, on a simulated {board.core} ({compiler.version})."
    )
