"""The width problem of one subnet, and what a solver answers."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from math import inf, prod
from typing import Any, Protocol

import numpy as np

from tflm_reds.errors import PlanError


class InfeasibleError(PlanError):
    """No widths meet the limits."""


class Term(Protocol):
    """What one layer costs, as a function of the widths of a few channel groups."""

    @property
    def layer(self) -> str:
        """Name of the Keras layer."""

    @property
    def groups(self) -> tuple[str, ...]:
        """Groups whose widths the cost depends on; one may be named twice."""

    def cost(self, *widths: Any) -> Any:
        """Cost at one width for each of `groups`: integers, or int64 arrays that broadcast."""


@dataclass(frozen=True)
class MacTerm:
    """MACs of one layer: `coefficient` times the product of the widths of `groups`.

    Attributes:
        layer: name of the Keras layer.
        coefficient: multiply-accumulates for one unit of each group, at least 0.
        groups: 0 to 2 names of channel groups; one name twice means the square of its width.
    """

    layer: str
    coefficient: int
    groups: tuple[str, ...]

    def cost(self, *widths: Any) -> Any:
        """`coefficient` times the product of `widths`."""
        return prod(widths, start=int(self.coefficient))


def count(terms: Iterable[Term], widths: Mapping[str, int]) -> int:
    """Sum of the costs of `terms` at these `widths`."""
    return sum(int(term.cost(*(int(widths[g]) for g in term.groups))) for term in terms)


def count_macs(terms: Sequence[MacTerm], widths: Mapping[str, int]) -> int:
    """True multiply-accumulates of one inference with these `widths`."""
    return count(terms, widths)


@dataclass(frozen=True)
class Limit:
    """No more than `capacity` of something, in all layers together or in each of them.

    Attributes:
        name: its unit, for messages: "MACs", "B of RAM".
        capacity: the most allowed, an integer.
        terms: what the layers cost.
        peak: the largest term counts (memory that layers use in turn), not the sum of all.
    """

    name: str
    capacity: int
    terms: tuple[Term, ...]
    peak: bool = False

    def cost(self, widths: Mapping[str, int]) -> int:
        """What a choice of widths takes."""
        costs = self.by_layer(widths).values()
        return max(costs, default=0) if self.peak else sum(costs)

    def by_layer(self, widths: Mapping[str, int]) -> dict[str, int]:
        """What each layer takes."""
        join = max if self.peak else int.__add__
        costs: dict[str, int] = {}
        for term in self.terms:
            costs[term.layer] = join(costs.get(term.layer, 0), count([term], widths))
        return costs


@dataclass(frozen=True)
class WidthProblem:
    """Choose one width per group: most utility in sum, within every limit.

    Attributes:
        widths: allowed widths of each group, int64, ascending.
        utilities: float64 utility of each allowed width, the same lengths, finite.
        limits: what the widths may cost.
        time_limit: seconds after which a solver gives up proving.
    """

    widths: Mapping[str, np.ndarray]
    utilities: Mapping[str, np.ndarray]
    limits: tuple[Limit, ...]
    time_limit: float = 600.0

    def value(self, widths: Mapping[str, int]) -> float:
        """Utility of a choice of widths."""
        return sum(
            float(self.utilities[group][np.searchsorted(allowed, widths[group])])
            for group, allowed in self.widths.items()
        )

    def fits(self, widths: Mapping[str, int]) -> bool:
        """Whether a choice of widths is within every limit."""
        return all(limit.cost(widths) <= limit.capacity for limit in self.limits)

    @property
    def narrowest(self) -> dict[str, int]:
        """The least allowed width of each group."""
        return {group: int(allowed[0]) for group, allowed in self.widths.items()}

    def infeasible(self) -> InfeasibleError:
        """The error that says which limit no widths meet, and which layer forces it."""
        for limit in self.limits:
            cost, layers = limit.cost(self.narrowest), limit.by_layer(self.narrowest)
            if cost > limit.capacity:
                worst = max(layers, key=layers.__getitem__)
                return InfeasibleError(
                    f"The narrowest widths take {cost:,} {limit.name}, more than the "
                    f"{limit.capacity:,} allowed; layer {worst!r} alone takes {layers[worst]:,}. "
                    "Raise the budget or lower the minimum widths."
                )
        names = ", ".join(f"{limit.capacity:,} {limit.name}" for limit in self.limits)
        return InfeasibleError(f"No widths meet all limits at once: {names}. Raise one of them.")


@dataclass(frozen=True)
class Solution:
    """Answer of a solver.

    Attributes:
        widths: chosen width of each group.
        value: its utility.
        upper_bound: no feasible choice has more utility than this.
        status: "optimal", or "time limit" (the best choice found until then).
        seconds: wall-clock time of the solver.
        labels: partial choices that the exact solver kept; 0 for other solvers.
    """

    widths: dict[str, int]
    value: float
    upper_bound: float
    status: str
    seconds: float
    labels: int = 0

    @property
    def gap(self) -> float:
        """(upper bound - value) / |value|: 0 when proven optimal."""
        excess = self.upper_bound - self.value
        if excess <= 0:
            return 0.0
        return excess / abs(self.value) if self.value else inf
