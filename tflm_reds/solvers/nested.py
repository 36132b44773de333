"""Nested subnets: each is a width problem between its neighbours.

Bottom-up solves the smallest subnet first and its units stay; top-down solves the largest first and
smaller subnets use only its units (the paper's iterative knapsack, TMC 25(1):451, section 4).
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

import numpy as np

from tflm_reds.solvers.problem import Limit, Solution, WidthProblem

Widths = Mapping[str, int]
Solver = Callable[[WidthProblem], Solution]


@dataclass(frozen=True)
class NestedProblem:
    """Widths for the subnets below the full network, 0 (smallest) to count - 1.

    Attributes:
        widths: allowed widths of each group, int64, ascending, the full one last.
        utilities: float64 utility of each allowed width.
        limits: (subnet, {subnet: widths} decided, alone) -> what the subnet may cost; `alone`:
            as if there were no other subnets.
        count: number of subnets.
        solve: solver of one subnet.
        time_limit: seconds for each solve.
    """

    widths: Mapping[str, np.ndarray]
    utilities: Mapping[str, np.ndarray]
    limits: Callable[[int, Mapping[int, Widths], bool], tuple[Limit, ...]]
    count: int
    solve: Solver
    time_limit: float

    @property
    def full_value(self) -> float:
        """Utility of the full network."""
        return sum(float(utility[-1]) for utility in self.utilities.values())

    def value(self, widths: Widths) -> float:
        """Utility of one choice of widths."""
        return WidthProblem(self.widths, self.utilities, ()).value(widths)

    def subnet(
        self,
        number: int,
        known: Mapping[int, Widths],
        utilities: Mapping[str, np.ndarray] | None = None,
        alone: bool = False,
    ) -> WidthProblem:
        """The problem of one subnet when the `known` ones are decided."""
        utilities = utilities or self.utilities
        smaller = [widths for k, widths in known.items() if k < number]
        larger = [widths for k, widths in known.items() if k > number]
        allowed, values = {}, {}
        for group, widths in self.widths.items():
            low = max((w[group] for w in smaller), default=0)
            high = min((w[group] for w in larger), default=widths[-1])
            kept = (low <= widths) & (widths <= high)
            allowed[group], values[group] = widths[kept], utilities[group][kept]
        limits = self.limits(number, known, alone)
        return WidthProblem(allowed, values, limits, self.time_limit)

    def alone(self, number: int) -> Solution:
        """The best widths of one subnet within its budget, without nesting."""
        return self.solve(self.subnet(number, {}, alone=True))


def solve_in_order(problem: NestedProblem, order: Iterable[int]) -> dict[int, Solution]:
    """Each subnet the best within its budget, given those that were solved before it."""
    solutions: dict[int, Solution] = {}
    for number in order:
        known = {k: solution.widths for k, solution in solutions.items()}
        solutions[number] = problem.solve(problem.subnet(number, known))
    return solutions


def orders(count: int) -> list[tuple[int, ...]]:
    """Bottom-up, top-down, and from each subnet between first upwards and then downwards."""
    between = [(*range(k, count), *reversed(range(k))) for k in range(1, count - 1)]
    return [tuple(range(count)), tuple(reversed(range(count))), *between]
