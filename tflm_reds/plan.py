"""Plan: the width of every channel group in every nested subnet, under budgets of true MACs."""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from tflm_reds.errors import PlanError
from tflm_reds.files import write_text
from tflm_reds.solvers.checks import PlanRequest
from tflm_reds.solvers.exact import solve_exact
from tflm_reds.solvers.milp import solve_milp
from tflm_reds.solvers.objectives import OBJECTIVES, Objective
from tflm_reds.solvers.problem import Limit, MacTerm, Solution, WidthProblem, count_macs

__all__ = ["SOLVERS", "MacTerm", "Plan", "count_macs", "plan_widths"]

SCHEMA = 1
DIRECTIONS = ("bottom-up", "top-down")
Solver = Callable[[WidthProblem], Solution]
SOLVERS: dict[str, Solver] = {"exact": solve_exact, "milp": solve_milp}


@dataclass(frozen=True)
class Plan:
    """Nested widths of all subnets, 0 (smallest) to K-1 (the full network).

    Attributes:
        budgets: fraction of the full network's true MACs allowed to each subnet; the last is 1.0.
        widths: per subnet, the width of each channel group.
        macs: per subnet, true MACs of one inference.
        status: "optimal" if every subnet is proven optimal given its neighbour, else "time limit".
        values: per subnet, the objective reached.
        upper_bounds: per subnet, what no widths within the budget and the nesting can exceed.
        gaps: per subnet, (upper bound - value) / |value|.
        seconds: wall-clock time of all solves.
        direction: "bottom-up" or "top-down".
        objective, solver: their names.

    Raises:
        PlanError: if the fields do not describe nested subnets.
    """

    budgets: tuple[float, ...]
    widths: tuple[dict[str, int], ...]
    macs: tuple[int, ...]
    status: str
    values: tuple[float, ...]
    upper_bounds: tuple[float, ...]
    gaps: tuple[float, ...]
    seconds: float
    direction: str
    objective: str
    solver: str

    def __post_init__(self) -> None:
        per_subnet = (self.widths, self.macs, self.values, self.upper_bounds, self.gaps)
        if not self.budgets or any(len(field) != len(self.budgets) for field in per_subnet):
            raise PlanError(
                f"A plan of {len(self.budgets)} budgets needs widths, MACs, values, bounds and "
                f"gaps of as many subnets, got {[len(field) for field in per_subnet]}."
            )
        if list(self.budgets) != sorted(set(self.budgets)) or self.budgets[-1] != 1:
            raise PlanError(f"The budgets of a plan must rise to 1.0, got {self.budgets}.")
        for k, (small, large) in enumerate(zip(self.widths, self.widths[1:], strict=False)):
            if small.keys() != large.keys() or any(small[g] > large[g] for g in small):
                raise PlanError(
                    f"Subnet {k} is not nested in subnet {k + 1}: {small} against {large}. "
                    "Every width may only grow with the subnet."
                )

    @property
    def subnet_count(self) -> int:
        """K, the full network included."""
        return len(self.budgets)

    @property
    def fractions(self) -> tuple[float, ...]:
        """True MACs of each subnet as a fraction of the full network's."""
        return tuple(macs / self.macs[-1] for macs in self.macs)

    @property
    def gap(self) -> float:
        """The largest gap of any subnet."""
        return max(self.gaps)

    def to_dict(self) -> dict[str, Any]:
        """Plain lists, numbers and strings, for JSON."""
        return {"schema": SCHEMA} | asdict(self)

    @classmethod
    def from_dict(cls, content: Mapping[str, Any]) -> "Plan":
        """The plan that `to_dict` wrote.

        Raises:
            PlanError: if a field is missing, unknown, or of another schema.
        """
        try:
            fields = dict(content)
            if fields.pop("schema") != SCHEMA:
                raise PlanError(f"The plan has schema {content['schema']}, expected {SCHEMA}.")
            tuples = {k: tuple(v) if isinstance(v, list) else v for k, v in fields.items()}
            return cls(**tuples)
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise PlanError(
                f"This is no plan: {error}. Make a new one with plan_widths()."
            ) from error

    def save(self, path: str | Path) -> Path:
        """Write the plan as JSON, atomically."""
        return write_text(path, json.dumps(self.to_dict(), indent=1) + "\n")

    @classmethod
    def load(cls, path: str | Path) -> "Plan":
        """Read a file written by `save`.

        Raises:
            PlanError: if the file is missing or corrupt.
        """
        try:
            content = json.loads(Path(path).read_text(encoding="utf-8"))
        except (OSError, ValueError) as error:
            raise PlanError(f"Cannot read the plan {path}: {error}. Make a new one.") from error
        return cls.from_dict(content)

    def __str__(self) -> str:
        """A table: a row for each subnet."""
        head = ["subnet", "budget", "MACs", "of full", "gap", *self.widths[0]]
        rows = [head] + [
            [str(k), f"{100 * self.budgets[k]:g} %", f"{self.macs[k]:,}"]
            + [f"{100 * self.fractions[k]:.1f} %", f"{self.gaps[k]:.2g}"]
            + [str(width) for width in self.widths[k].values()]
            for k in range(self.subnet_count)
        ]
        columns = [max(map(len, column)) for column in zip(*rows, strict=True)]
        lines = ["  ".join(map(str.rjust, row, columns)).rstrip() for row in rows]
        how = f"{self.direction}, {self.objective}, {self.solver}: {self.status}"
        return "\n".join([*lines, f"({how} in {self.seconds:.2f} s)"])


def plan_widths(
    sizes: Mapping[str, int],
    scores: Mapping[str, np.ndarray],
    terms: Sequence[MacTerm],
    budgets: Sequence[float],
    *,
    direction: str = "bottom-up",
    objective: str | Objective = "product",
    minimum: Mapping[str, int] | int = 1,
    solver: str | Solver = "exact",
    time_limit: float = 600.0,
) -> Plan:
    """Choose nested widths: each subnet the best within its budget, given its neighbour.

    The iterative knapsack of REDS (IEEE TMC 25(1):451, section 4) over true MACs. Bottom-up solves
    the smallest budget first and its units stay; top-down solves the largest first and smaller
    subnets use only its units. The full network is always the last subnet.

    Args:
        sizes: units of each channel group.
        scores: importance of each unit, [size], descending, non-negative.
        terms: MACs of every layer, those without a group included.
        budgets: ascending fractions of the full network's true MACs, each in (0, 1].
        direction: "bottom-up" or "top-down".
        objective: "product" of the kept shares of importance, "sum" of the kept scores (the
            paper's), or a function as in `solvers.objectives`.
        minimum: least width, of each group or of all (a smaller group keeps all its units).
        solver: "exact" (chains), "milp" (any graph), or a function of a WidthProblem.
        time_limit: seconds for each budget.

    Raises:
        PlanError: if an argument is wrong or a budget too small; it names the smallest feasible.
    """
    request = PlanRequest.checked(sizes, scores, terms, budgets, minimum)
    utility = _named("objective", objective, OBJECTIVES)
    solve = _named("solver", solver, SOLVERS)
    if direction not in DIRECTIONS:
        raise PlanError(f"Unknown direction {direction!r}. Choose one of {', '.join(DIRECTIONS)}.")
    utilities = {group: _utility(utility, group, request.scores[group]) for group in request.sizes}
    solutions = _solve_nested(request, utilities, solve, direction, time_limit)
    return Plan(
        budgets=(*request.budgets, 1.0),
        widths=tuple(solution.widths for solution in solutions),
        macs=tuple(count_macs(request.terms, solution.widths) for solution in solutions),
        status=next((s.status for s in solutions if s.status != "optimal"), "optimal"),
        values=tuple(solution.value for solution in solutions),
        upper_bounds=tuple(solution.upper_bound for solution in solutions),
        gaps=tuple(solution.gap for solution in solutions),
        seconds=sum(solution.seconds for solution in solutions),
        direction=direction,
        objective=_name(objective),
        solver=_name(solver),
    )


def _utility(objective: Objective, group: str, scores: np.ndarray) -> np.ndarray:
    """Utility of the widths 0 to size, checked: an objective may be the user's own."""
    values = np.asarray(objective(scores), np.float64)
    if values.shape != (len(scores) + 1,) or not np.all(np.isfinite(values[1:])):
        raise PlanError(
            f"The objective {_name(objective)} must give group {group!r} a finite utility for each "
            f"width from 0 to {len(scores)} (width 0 may be -inf), found {values}."
        )
    return values


def _solve_nested(
    request: PlanRequest,
    utilities: Mapping[str, np.ndarray],
    solve: Solver,
    direction: str,
    time_limit: float,
) -> list[Solution]:
    """A solution for each budget, ascending, and the full network."""
    bottom_up = direction == "bottom-up"
    lower, upper = request.minimum, request.sizes
    solutions: list[Solution] = []
    for budget in request.budgets if bottom_up else request.budgets[::-1]:
        allowed = {group: np.arange(lower[group], upper[group] + 1) for group in request.sizes}
        values = {group: utilities[group][widths] for group, widths in allowed.items()}
        capacity = request.capacity(budget)
        solution = solve(
            WidthProblem(allowed, values, (Limit("MACs", capacity, request.terms),), time_limit)
        )
        if bottom_up:
            lower = solution.widths
        else:
            upper = solution.widths
        solutions.append(solution)
    full = sum(float(utility[-1]) for utility in utilities.values())
    whole = Solution(dict(request.sizes), full, full, "optimal", 0.0)
    return [*(solutions if bottom_up else solutions[::-1]), whole]


def _named(what: str, choice: str | Callable, known: Mapping[str, Callable]) -> Callable:
    if callable(choice):
        return choice
    if choice not in known:
        raise PlanError(f"Unknown {what} {choice!r}. Choose one of {', '.join(known)}.")
    return known[choice]


def _name(choice: str | Callable) -> str:
    return choice if isinstance(choice, str) else getattr(choice, "__name__", "custom")
