"""All subnets at once: most of sum_k w_k score_k / best_k, with an upper bound.

score_k is the utility of subnet k above the floor (no units at all, or the narrowest widths where
the utility of none is -inf), best_k that of the best widths for its budget alone; the weights are
scaled to sum 1, so that the objective is 1 where nesting costs nothing.

The bound relaxes the nesting: a unit that a smaller subnet has and a larger one lacks costs a
penalty (one multiplier for each unit and pair of neighbours). The subnets are then independent and
are solved exactly with changed utilities; the multipliers follow the subgradient (Polyak's step).
What a subnet shares with all larger ones is nested; filled up again one subnet at a time, that is
the next candidate. Bottom-up and top-down are the first ones: the result is never below them.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from tflm_reds.solvers.nested import NestedProblem, Widths
from tflm_reds.solvers.problem import Solution

ROUNDS = 30
ENOUGH = 1e-6  # a gap as small as this is not worth another round
Multipliers = list[dict[str, np.ndarray]]
"""Per subnet and group, a penalty for each step from one allowed width to the next."""


@dataclass(frozen=True)
class Scale:
    """Turns the utilities of the subnets into the joint objective.

    Attributes:
        floor: utility that counts as nothing.
        best: per subnet, utility of the best widths for its budget alone.
        weights: per subnet, in sum 1.
    """

    floor: float
    best: tuple[float, ...]
    weights: tuple[float, ...]

    @property
    def factors(self) -> tuple[float, ...]:
        """Joint objective per utility of each subnet; 0 where there is nothing to choose."""
        pairs = zip(self.weights, self.best, strict=True)
        return tuple(w / (best - self.floor) if best > self.floor else 0.0 for w, best in pairs)

    def objective(self, values: Sequence[float]) -> float:
        """The joint objective for these utilities (or bounds of them)."""
        return self.objective_of_scaled([f * v for f, v in zip(self.factors, values, strict=True)])

    def objective_of_scaled(self, values: Sequence[float]) -> float:
        """The joint objective for utilities that are multiplied with `factors` already."""
        triples = zip(self.factors, values, self.weights, strict=True)
        return sum(v - f * self.floor if f else weight for f, v, weight in triples)


@dataclass(frozen=True)
class JointSolution:
    """Nested widths of all subnets, and what no others can exceed.

    Attributes:
        widths: per subnet.
        objective, upper_bound: of the joint objective.
    """

    widths: tuple[Widths, ...]
    objective: float
    upper_bound: float


def solve_joint(
    problem: NestedProblem, scale: Scale, starts: Sequence[Sequence[Widths]]
) -> JointSolution:
    """Improve on `starts` (widths of all subnets) until the bound is near or rounds are over."""
    candidates = [tuple(start) for start in starts]
    best = max(candidates, key=lambda widths: _objective(problem, scale, widths))
    reached, bound = _objective(problem, scale, best), 1.0
    multipliers: Multipliers = [
        {group: np.zeros(len(w) - 1) for group, w in problem.widths.items()}
        for _ in range(problem.count - 1)
    ]
    for _ in range(ROUNDS):
        if bound - reached <= ENOUGH:
            break
        relaxed = _relax(problem, scale, multipliers)
        round_bound = scale.objective_of_scaled([s.upper_bound for s in relaxed])
        bound = min(bound, round_bound)
        for candidate in _repair(problem, [solution.widths for solution in relaxed]):
            if (value := _objective(problem, scale, candidate)) > reached:
                best, reached = candidate, value
        if not _step(problem, multipliers, relaxed, round_bound - reached):
            break
    return JointSolution(best, reached, max(bound, reached))


def _objective(problem: NestedProblem, scale: Scale, widths: Sequence[Widths]) -> float:
    return scale.objective([problem.value(w) for w in widths])


def _relax(problem: NestedProblem, scale: Scale, multipliers: Multipliers) -> list[Solution]:
    """Each subnet alone, with a penalty on units that its larger neighbour may lack."""
    solutions = []
    for k, factor in enumerate(scale.factors):
        utilities = {}
        for group, utility in problem.utilities.items():
            penalty = np.zeros(len(utility))
            if k < problem.count - 1:
                penalty[1:] += np.cumsum(multipliers[k][group])
            if k > 0:
                penalty[1:] -= np.cumsum(multipliers[k - 1][group])
            utilities[group] = factor * utility - penalty
        solutions.append(problem.solve(problem.subnet(k, {}, utilities, alone=True)))
    return solutions


def _step(
    problem: NestedProblem, multipliers: Multipliers, relaxed: Sequence[Solution], gap: float
) -> bool:
    """Move the multipliers along the subgradient; False if they stay where they are."""
    slopes = [
        {
            group: _units(widths, relaxed[k].widths[group])
            - _units(widths, relaxed[k + 1].widths[group])
            for group, widths in problem.widths.items()
        }
        for k in range(problem.count - 1)
    ]
    square = sum(float(s @ s) for by_group in slopes for s in by_group.values())
    moved = False
    for by_group, slope in zip(multipliers, slopes, strict=True):
        for group, old in by_group.items():
            by_group[group] = np.maximum(old + gap / max(square, 1.0) * slope[group], 0.0)
            moved |= not np.array_equal(old, by_group[group])
    return moved


def _units(widths: np.ndarray, width: int) -> np.ndarray:
    """Whether `width` takes each step between the allowed widths, 0.0 or 1.0."""
    return (widths[1:] <= width).astype(float)


def _repair(problem: NestedProblem, widths: Sequence[Widths]) -> list[tuple[Widths, ...]]:
    """Nested widths within the limits: what all larger subnets share, filled up in either order."""
    shared: dict[int, Mapping[str, int]] = {}
    for k in range(problem.count):
        larger = widths[k:]
        shared[k] = {group: min(w[group] for w in larger) for group in problem.widths}
    repaired = []
    for order in (range(problem.count), reversed(range(problem.count))):
        nested = dict(shared)
        for k in order:
            subnet = problem.subnet(k, {j: w for j, w in nested.items() if j != k})
            if not subnet.fits(nested[k]):
                return repaired
            nested[k] = problem.solve(subnet).widths
        repaired.append(tuple(nested[k] for k in range(problem.count)))
    return repaired
