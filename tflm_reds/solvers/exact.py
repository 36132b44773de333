"""The exact solver of graphs of small pathwidth: a Lagrangian bound, then labels.

First the prices at which the Lagrangian bound is lowest; they also yield a feasible choice. The
optimum lies between the two. Widths and labels that cannot reach a target in that interval are
dropped; if a choice at the target or above is left, the best one is the optimum. The target starts
near the bound, where few labels survive, and falls until something is found.
"""

import time
from math import inf

from tflm_reds.solvers.elimination import Elimination, eliminate
from tflm_reds.solvers.labels import OutOfTimeError, Pruning, best_choice, grow_labels
from tflm_reds.solvers.lagrangian import Choice, Dual, Priced, solve_dual
from tflm_reds.solvers.milp import solve_milp
from tflm_reds.solvers.problem import Solution, WidthProblem

# Prices beside the best ones: a label that has spent little or much is judged better by others.
PRICE_FACTORS = (1.0, 0.97, 1.03, 0.9, 1.1, 0.75, 1.3)
# Targets, as shares of the way from the bound down to the known choice.
TARGET_STEPS = (1 / 64, 1 / 16, 1 / 4, 1.0)
# Under several limits the known choice may be a poor one.
FINE_TARGET_STEPS = (4**-8, 4**-7, 4**-6, 4**-5, 4**-4, *TARGET_STEPS)
ROUNDING = 1e-11  # of a bound, relative to the utilities


def solve_exact(problem: WidthProblem) -> Solution:
    """Solve `problem` to proven optimality; among equal choices, take the one of least cost.

    A graph whose tables would be too large (dense branches of wide layers) goes to `solve_milp`.

    Raises:
        PlanError: if no widths meet the limits.
    """
    start = time.perf_counter()
    stages = eliminate(problem)
    if stages is None:
        return solve_milp(problem)
    dual = solve_dual(stages)
    if dual is None:
        raise problem.infeasible()
    try:
        choice, labels = _search(stages, dual, start + problem.time_limit)
        status = "optimal"
    except OutOfTimeError:
        choice, labels, status = dual.choice, 0, "time limit"
    if choice is None:
        raise problem.infeasible()
    chosen = stages.chosen(choice)
    widths = {group: chosen[group] for group in problem.widths}
    value = problem.value(widths)
    bound = value if status == "optimal" else max(value, dual.bound)
    return Solution(widths, value, bound, status, time.perf_counter() - start, labels)


def _search(stages: Elimination, dual: Dual, deadline: float) -> tuple[Choice | None, int]:
    """The best choice (None if there is none) and the labels kept to find it."""
    several = len(stages.capacities) > 1
    known = stages.total(dual.choice)[0] if dual.choice else -inf
    floor = max(known, _least_value(stages))
    slack = ROUNDING * (1 + abs(dual.bound) + abs(floor))
    labels = 0
    for step in FINE_TARGET_STEPS if several else TARGET_STEPS:
        target = dual.bound - step * (dual.bound - floor) - slack
        choice, kept = _best_above(stages, dual, target, deadline)
        labels += kept
        if choice is not None:
            return choice, labels
    return None, labels


def _least_value(stages: Elimination) -> float:
    """Utility that no choice falls below."""
    return sum(float(stage.values.min()) for stage in stages.stages)


def _best_above(
    stages: Elimination, dual: Dual, target: float, deadline: float
) -> tuple[Choice | None, int]:
    """The best choice that reaches the target (None if none does); labels kept."""
    masks = [bounds >= target for bounds in Priced(stages, dual.prices).bounds()]
    if not all(mask.any() for mask in masks):
        return None, 0
    kept = stages.keep(masks)
    prices = [tuple(price * factor for price in dual.prices) for factor in PRICE_FACTORS]
    distinct = dict.fromkeys(prices)
    grown = grow_labels(Pruning(kept, [Priced(kept, p) for p in distinct], target, deadline))
    count = sum(map(len, grown))
    # A label's bound counts what it has left to spend; only its utility tells what it reached.
    if grown[-1].value.max(initial=-inf) < target:
        return None, count
    choice = best_choice(grown)
    return [int(mask.nonzero()[0][c]) for mask, c in zip(masks, choice, strict=True)], count
