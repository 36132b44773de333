"""The exact solver of chains: a Lagrangian bound, then labels that meet in the middle.

First the price at which the Lagrangian bound is lowest; it also yields a feasible choice. The
optimum lies between the two. Widths and labels that cannot reach a target in that interval are
dropped; if a choice at the target or above is left, the best one is the optimum. The target starts
near the bound, where few labels survive, and falls until something is found.
"""

import time

import numpy as np

from tflm_reds.solvers.chain import Chain, chain_of
from tflm_reds.solvers.labels import OutOfTimeError, Pruning, grow_labels, meet, trace
from tflm_reds.solvers.lagrangian import Dual, solve_dual
from tflm_reds.solvers.problem import Solution, WidthProblem

# Prices beside the best one: a label that has spent little or much is judged better by another.
PRICE_FACTORS = (1.0, 0.97, 1.03, 0.9, 1.1, 0.75, 1.3)
# Targets, as shares of the way from the bound down to the known choice.
TARGET_STEPS = (1 / 64, 1 / 16, 1 / 4, 1.0)
ROUNDING = 1e-11  # of a bound, relative to the utilities


def solve_exact(problem: WidthProblem) -> Solution:
    """Solve `problem` to proven optimality; among equal choices, take the one of fewest MACs.

    Raises:
        PlanError: if the groups form no chain, or even the narrowest widths exceed the capacity.
    """
    start = time.perf_counter()
    problem.require_feasible()
    chain = chain_of(problem)
    dual = solve_dual(chain)
    try:
        chosen, labels = _search(chain, dual, start + problem.time_limit)
        status = "optimal"
    except OutOfTimeError:
        chosen, labels, status = chain.chosen(dual.choice), 0, "time limit"
    by_group = dict(zip(chain.groups, chosen, strict=True))
    widths = {group: by_group[group] for group in problem.widths}
    value = problem.value(widths)
    bound = value if status == "optimal" else max(value, dual.bound)
    return Solution(widths, value, bound, status, time.perf_counter() - start, labels)


def _search(chain: Chain, dual: Dual, deadline: float) -> tuple[list[int], int]:
    """Widths of the best choice along the chain, and the labels kept to find it."""
    known, _ = chain.total(dual.choice)
    prices = [dual.price * factor for factor in PRICE_FACTORS]
    slack = ROUNDING * (1 + abs(dual.bound) + abs(known))
    labels = 0
    for step in TARGET_STEPS:
        target = dual.bound - step * (dual.bound - known) - slack
        widths, kept = _best_above(Pruning.at(chain, prices, target, deadline))
        labels += kept
        if widths is not None:
            return widths, labels
    raise AssertionError("the last target is the value of a known choice")


def _best_above(pruning: Pruning) -> tuple[list[int] | None, int]:
    """Widths of the best choice that reaches the target (None if none does); labels kept."""
    chain = pruning.chain.keep(_widths_above(pruning))
    if not all(len(widths) for widths in chain.widths):
        return None, 0
    prices = [priced.price for priced in pruning.priced]
    middle = len(chain) // 2
    left, right = (
        grow_labels(Pruning.at(half, prices, pruning.target, pruning.deadline), last)
        for half, last in ((chain, middle), (chain.reversed, len(chain) - 1 - middle))
    )
    kept = sum(map(len, left + right))
    best = meet(chain, middle, left[-1], right[-1])
    if best is None or best.value < pruning.target:
        return None, kept
    choice = trace(left, best.left_row) + trace(right, best.right_row)[-2::-1]
    return chain.chosen(choice), kept


def _widths_above(pruning: Pruning) -> list[np.ndarray]:
    """Per group, which widths some choice that reaches the target may have."""
    bounds = [priced.bounds() for priced in pruning.priced]
    return [np.min(group, axis=0) >= pruning.target for group in zip(*bounds, strict=True)]
