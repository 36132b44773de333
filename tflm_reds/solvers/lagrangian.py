"""Lagrangian relaxation: every limit becomes a price.

At prices `p` the best choice of utility - p . costs is a longest path through the stages, and that
optimum + p . capacities bounds the utility of every choice within the limits.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from scipy.optimize import linprog

from tflm_reds.solvers.elimination import Elimination, Stage

Choice = list[int]
CUTTING_PLANES = 200  # a valid bound is left whenever the search for the lowest one stops


@dataclass(frozen=True)
class Priced:
    """An elimination with a price on what each limit counts.

    Attributes:
        problem: the stages.
        prices: utility per unit of each limit, at least 0.
    """

    problem: Elimination
    prices: tuple[float, ...]

    @property
    def allowance(self) -> float:
        """What the limits are worth."""
        pairs = zip(self.prices, self.problem.capacities, strict=True)
        return sum(price * capacity for price, capacity in pairs)

    def rewards(self, stage: Stage, states: slice = slice(None)) -> np.ndarray:
        """Utility less priced costs, [states, n]; -inf where a peak limit forbids it."""
        reward = stage.values[None, :]
        for price, cost in zip(self.prices, stage.costs, strict=True):
            reward = reward - price * cost[states] if price else reward
        if stage.allowed is not None:
            reward = np.where(stage.allowed[states], reward, -np.inf)
        return reward

    @cached_property
    def after(self) -> list[np.ndarray]:
        """Per stage and state before it, the best total of it and all later ones; last: [0]."""
        best = [np.zeros(1)]
        for stage in reversed(self.problem.stages):
            best.append((self.rewards(stage) + stage.at_next(best[-1])).max(axis=1))
        return best[::-1]

    @property
    def bound(self) -> float:
        """No choice within the limits has more utility; -inf if there is none."""
        return float(self.after[0][0]) + self.allowance

    def best_choice(self) -> Choice:
        """The choice of most utility - prices . costs; the smallest widths among equals."""
        choice: Choice = []
        state = 0
        for stage, after in zip(self.problem.stages, self.after[1:], strict=True):
            following = stage.next_states(np.array(state), np.arange(len(stage.widths)))
            reward = self.rewards(stage, slice(state, state + 1))[0] + after[following]
            choice.append(int(np.argmax(reward)))
            state = int(following[choice[-1]])
        return choice

    def bounds(self) -> list[np.ndarray]:
        """Per stage and width, no choice with this width and within limits has more utility."""
        bounds, before = [], np.zeros(1)
        for stage, after in zip(self.problem.stages, self.after[1:], strict=True):
            until = before[:, None] + self.rewards(stage)
            bounds.append((until + stage.at_next(after)).max(axis=0) + self.allowance)
            before = stage.best_by_next(until)
        return bounds


@dataclass(frozen=True)
class Dual:
    """The prices at which the bound is lowest.

    Attributes:
        prices: utility per unit of each limit.
        bound: upper bound of the utility within the limits.
        choice: a choice within the limits, found on the way; None if none was.
    """

    prices: tuple[float, ...]
    bound: float
    choice: Choice | None


def solve_dual(problem: Elimination) -> Dual | None:
    """Minimise the Lagrangian bound; None if no choice can meet the limits."""
    free = Priced(problem, (0.0,) * len(problem.capacities))
    if not np.isfinite(free.bound):
        return None
    best = free.best_choice()
    value, costs = problem.total(best)
    if problem.fits(costs):
        return Dual(free.prices, value, best)
    least = [_cheapest(problem, r) for r in range(len(problem.capacities))]
    if any(problem.total(choice)[1][r] > problem.capacities[r] for r, choice in enumerate(least)):
        return None
    return _intersect(problem, least[0], best) if len(least) == 1 else _cut(problem, [best, *least])


def _cheapest(problem: Elimination, limit: int) -> Choice:
    """The choice that takes least of `limit`."""
    stages = problem.stages
    worthless = [np.zeros_like(stage.values) for stage in stages]
    prices = tuple(float(r == limit) for r in range(len(problem.capacities)))
    return Priced(problem.worth(worthless), prices).best_choice()


def _intersect(problem: Elimination, under: Choice, over: Choice) -> Dual:
    """The lowest bound under one limit, from a choice within it and one beyond it.

    The bound is the upper envelope of one line per choice. Its lowest point lies between a line
    that falls (a choice over the limit) and one that rises: intersect the two, replace one of them
    by the line on top there, until none is higher.
    """
    (capacity,) = problem.capacities
    while True:
        (value, (cost,)), (high_value, (high_cost,)) = problem.total(under), problem.total(over)
        price = max(0.0, (high_value - value) / (high_cost - cost))
        crossing = value - price * cost
        choice = Priced(problem, (price,)).best_choice()
        new_value, (new_cost,) = problem.total(choice)
        top = new_value - price * new_cost
        tolerance = 1e-12 * (abs(value) + price * abs(cost))
        if top <= crossing + tolerance or choice in (under, over):
            return Dual((price,), max(top, crossing) + price * capacity, under)
        if new_cost <= capacity:
            under = choice
        else:
            over = choice


def _cut(problem: Elimination, choices: list[Choice]) -> Dual:
    """The lowest bound under several limits: Kelley's cutting planes, a line for each choice."""
    totals = [problem.total(choice) for choice in choices]
    best: Priced | None = None
    for _ in range(CUTTING_PLANES):
        priced = Priced(problem, _lowest_point(totals, problem.capacities))
        choice = priced.best_choice()
        if best is None or priced.bound < best.bound:
            best = priced
        if choice in choices:
            break
        choices.append(choice)
        totals.append(problem.total(choice))
    assert best is not None
    feasible = [(value, i) for i, (value, costs) in enumerate(totals) if problem.fits(costs)]
    known = choices[max(feasible)[1]] if feasible else None
    return Dual(best.prices, best.bound, known)


def _lowest_point(totals: Sequence[tuple], capacities: Sequence[int]) -> tuple[float, ...]:
    """Prices at which the highest line value + prices . (capacities - costs) is lowest."""
    scale = np.maximum(1.0, np.abs(np.asarray(capacities, float)))
    values = np.array([value for value, _ in totals])
    spare = (np.asarray(capacities) - np.array([costs for _, costs in totals])) / scale
    # Variables: the prices (scaled), and the height; height >= value + prices . spare.
    matrix = np.column_stack([spare, -np.ones(len(values))])
    objective = np.append(np.zeros(len(capacities)), 1.0)
    bounds = [(0, None)] * len(capacities) + [(None, None)]
    answer = linprog(objective, A_ub=matrix, b_ub=-values, bounds=bounds)
    if answer.x is None:  # lines that all fall: no choice found yet meets these limits together
        return tuple(1e3 * (np.ptp(values) + 1) / scale)
    return tuple(np.maximum(answer.x[:-1], 0.0) / scale)
