"""plan_widths: nested widths within budgets, proven optimal, with the price of nesting."""

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np

from tflm_reds.budget import FULL, Budget
from tflm_reds.costs import Costs
from tflm_reds.errors import PlanError
from tflm_reds.plan import Plan
from tflm_reds.plan_request import PerGroup, PlanRequest
from tflm_reds.solvers.exact import solve_exact
from tflm_reds.solvers.joint import Scale, solve_joint
from tflm_reds.solvers.milp import solve_milp
from tflm_reds.solvers.nested import NestedProblem, Solver, Widths, orders, solve_in_order
from tflm_reds.solvers.objectives import OBJECTIVES, Objective
from tflm_reds.solvers.problem import InfeasibleError, MacTerm, Solution, count_macs

DIRECTIONS = ("bottom-up", "top-down", "joint")
SOLVERS: dict[str, Solver] = {"exact": solve_exact, "milp": solve_milp}


def plan_widths(
    sizes: Mapping[str, int],
    scores: Mapping[str, np.ndarray],
    costs: Costs | Sequence[MacTerm],
    budgets: Sequence[Any],
    *,
    direction: str = "bottom-up",
    objective: str | Objective | Mapping[str, np.ndarray] = "width",
    minimum: PerGroup = 1,
    multiple: PerGroup = 1,
    weights: Sequence[float] | None = None,
    solver: str | Solver = "exact",
    time_limit: float = 600.0,
) -> Plan:
    """Choose nested widths: each subnet the best within its budget, given its neighbour.

    The iterative knapsack of REDS (IEEE TMC 25(1):451, section 4) over true costs. Bottom-up solves
    the smallest budget first and its units stay; top-down solves the largest first and smaller
    subnets use only its units; joint improves on the better of both for all budgets together
    (`solvers.joint`). The full network is always the last subnet.

    Args:
        sizes: units of each channel group.
        scores: importance of each unit, [size], descending, non-negative.
        costs: what the widths cost (`network_costs.network_costs`), or only the MACs of every
            layer, those without a group included.
        budgets: smallest first: a number is a fraction of the full network's true MACs, in (0, 1];
            a `Budget` may limit other things too.
        direction: "bottom-up", "top-down" or "joint".
        objective: "width", least narrowness whatever the scores; "product" of the kept shares of
            importance; "sum" of the kept scores (the paper's); a function as in
            `solvers.objectives`; or the utility of the widths 0 to size of each group.
        minimum: least width, of each group or of all (a smaller group keeps all its units).
        multiple: widths are multiples of this, of each group or of all; the full width is too.
        weights: of the subnets below the full network in the joint objective (default: equal).
        solver: "exact", "milp", or a function of a WidthProblem.
        time_limit: seconds for each solve.

    Raises:
        PlanError: if an argument is wrong or a budget too small; it names the smallest feasible
            one and the layer that forces it.
    """
    request = PlanRequest.checked(sizes, scores, costs, budgets, minimum, multiple)
    if direction not in DIRECTIONS:
        raise PlanError(f"Unknown direction {direction!r}. Choose one of {', '.join(DIRECTIONS)}.")
    utilities = {group: _utility(objective, group, s) for group, s in request.scores.items()}
    problem = NestedProblem(
        request.widths,
        {group: utilities[group][widths] for group, widths in request.widths.items()},
        request.maker.limits,
        len(request.budgets),
        _named("solver", solver, SOLVERS),
        time_limit,
    )
    start = time.perf_counter()
    alone = _solve_alone(request, problem)
    scale = Scale(
        _floor(utilities, request),
        tuple(solution.upper_bound for solution in alone),
        _weights(weights, problem),
    )
    search = _search(problem, direction, scale, alone)
    seconds = time.perf_counter() - start
    widths = (*search.widths, request.sizes)
    macs = tuple(count_macs(request.costs.macs, w) for w in widths)
    full = problem.full_value
    return Plan(
        budgets=_names(request.budgets, macs),
        limits=(*request.budgets, FULL),
        widths=tuple(dict(w) for w in widths),
        macs=macs,
        costs=request.costs.measure(widths),
        status=search.status,
        values=(*search.values, full),
        upper_bounds=(*search.upper_bounds, full),
        independent=(*scale.best, full),
        joint_score=search.joint_score,
        joint_bound=search.joint_bound,
        seconds=seconds,
        direction=direction,
        objective=_name(objective),
        solver=_name(solver),
    )


@dataclass(frozen=True)
class _Search:
    """The fields of a Plan that a search finds, for the subnets below the full network."""

    widths: tuple[Widths, ...]
    status: str
    values: tuple[float, ...]
    upper_bounds: tuple[float, ...]
    joint_score: float
    joint_bound: float


def _solve_alone(request: PlanRequest, problem: NestedProblem) -> list[Solution]:
    """The best widths for each budget without nesting: what nesting is measured by."""
    solutions = []
    for number in range(problem.count):
        try:
            solutions.append(problem.alone(number))
        except InfeasibleError as error:
            raise request.infeasible(number, error) from error
    return solutions


def _search(
    problem: NestedProblem, direction: str, scale: Scale, alone: Sequence[Solution]
) -> _Search:
    if direction == "joint":
        starts = [_in_order(solve_in_order(problem, order)) for order in orders(problem.count)]
        found = solve_joint(problem, scale, [[s.widths for s in start] for start in starts])
        return _Search(
            found.widths,
            _status([*alone, *(solution for start in starts for solution in start)]),
            tuple(problem.value(widths) for widths in found.widths),
            scale.best,
            found.objective,
            found.upper_bound,
        )
    upwards, downwards = orders(problem.count)[:2]
    order = upwards if direction == "bottom-up" else downwards
    solutions = _in_order(solve_in_order(problem, order))
    values = tuple(solution.value for solution in solutions)
    return _Search(
        tuple(solution.widths for solution in solutions),
        _status(solutions),
        values,
        tuple(solution.upper_bound for solution in solutions),
        scale.objective(values),
        1.0,
    )


def _in_order(solutions: Mapping[int, Solution]) -> list[Solution]:
    return [solutions[number] for number in sorted(solutions)]


def _status(solutions: Sequence[Solution]) -> str:
    return next((s.status for s in solutions if s.status != "optimal"), "optimal")


def _utility(
    objective: str | Objective | Mapping[str, np.ndarray], group: str, scores: np.ndarray
) -> np.ndarray:
    """Utility of the widths 0 to size, checked: an objective may be the user's own."""
    if isinstance(objective, Mapping):
        given: Any = objective.get(group, ())
    else:
        given = _named("objective", objective, OBJECTIVES)(scores)
    values = np.asarray(given, np.float64)
    if values.shape != (len(scores) + 1,) or not np.all(np.isfinite(values[1:])):
        raise PlanError(
            f"The objective {_name(objective)} must give group {group!r} a finite utility for each "
            f"width from 0 to {len(scores)} (width 0 may be -inf), found {values}."
        )
    return values


def _floor(utilities: Mapping[str, np.ndarray], request: PlanRequest) -> float:
    """Utility of no units at all; of the narrowest widths if that is -inf."""
    nothing = sum(float(utility[0]) for utility in utilities.values())
    narrowest = sum(float(utilities[group][w[0]]) for group, w in request.widths.items())
    return nothing if np.isfinite(nothing) else narrowest


def _weights(given: Sequence[float] | None, problem: NestedProblem) -> tuple[float, ...]:
    """The weights of the subnets, in sum 1."""
    weights = np.ones(problem.count) if given is None else np.asarray(given, np.float64)
    bad = weights.shape != (problem.count,) or not np.all(np.isfinite(weights) & (weights >= 0))
    if bad or (problem.count and not weights.any()):
        raise PlanError(
            f"The weights {given} must be {problem.count} numbers, one for each budget below the "
            "full network, at least 0 and not all 0."
        )
    return tuple(float(w) for w in weights / weights.sum())


def _names(budgets: Sequence[Budget], macs: Sequence[int]) -> tuple[float, ...]:
    """A fraction of the true MACs that stands for each subnet: allowed, or else taken."""
    if all(budget.macs is not None for budget in budgets):
        return (*(float(budget.macs or 0) for budget in budgets), 1.0)
    names = [round(count / macs[-1], 4) for count in macs]
    for number, (name, following) in enumerate(pairwise(names)):
        if name >= following:
            raise PlanError(
                f"The budget {budgets[number]} leads to the same subnet as the next larger one "
                f"({100 * name:g} % of the MACs): it does not limit anything more. Drop it."
            )
    return tuple(names)


def _named(what: str, choice: str | Callable, known: Mapping[str, Callable]) -> Callable:
    if callable(choice):
        return choice
    if choice not in known:
        raise PlanError(f"Unknown {what} {choice!r}. Choose one of {', '.join(known)}.")
    return known[choice]


def _name(choice: Any) -> str:
    if isinstance(choice, Mapping):
        return "utilities"
    return choice if isinstance(choice, str) else getattr(choice, "__name__", "custom")
