"""The width problem of one budget, and what a solver answers."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import inf, prod

import numpy as np

from tflm_reds.errors import PlanError


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


def count_macs(terms: Sequence[MacTerm], widths: Mapping[str, int]) -> int:
    """True multiply-accumulates of one inference with these `widths`."""
    return sum(int(term.coefficient) * prod(int(widths[g]) for g in term.groups) for term in terms)


@dataclass(frozen=True)
class WidthProblem:
    """Choose one width per group: most utility in sum, at most `capacity` MACs.

    Attributes:
        widths: allowed widths of each group, int64, ascending.
        utilities: float64 utility of each allowed width, the same lengths, finite.
        terms: MACs of every layer.
        capacity: MACs allowed.
        time_limit: seconds after which a solver gives up proving.
    """

    widths: Mapping[str, np.ndarray]
    utilities: Mapping[str, np.ndarray]
    terms: tuple[MacTerm, ...]
    capacity: int
    time_limit: float = 600.0

    def value(self, widths: Mapping[str, int]) -> float:
        """Utility of a choice of widths."""
        return sum(
            float(self.utilities[group][np.searchsorted(allowed, widths[group])])
            for group, allowed in self.widths.items()
        )

    def macs(self, widths: Mapping[str, int]) -> int:
        """MACs of a choice of widths."""
        return count_macs(self.terms, widths)

    def require_feasible(self) -> None:
        """Raise PlanError if even the narrowest widths exceed the capacity."""
        least = self.macs({group: allowed[0] for group, allowed in self.widths.items()})
        if least > self.capacity:
            raise PlanError(
                f"The narrowest widths take {least:,} MACs, more than the {self.capacity:,} "
                "allowed. Raise the budget or lower the minimum widths."
            )

    def constant(self) -> int:
        """MACs of the terms that depend on no group."""
        return sum(term.coefficient for term in self.terms if not term.groups)

    def own_costs(self, group: str) -> np.ndarray:
        """int64 MACs of the terms of `group` alone, for each of its allowed widths."""
        widths = self.widths[group]
        costs = np.zeros(len(widths), np.int64)
        for term in self.terms:
            if set(term.groups) == {group}:
                costs += term.coefficient * widths ** len(term.groups)
        return costs

    def couplings(self) -> dict[tuple[str, str], int]:
        """MACs per product of the two widths, for each pair of different groups."""
        order = list(self.widths)
        coefficients: dict[tuple[str, str], int] = {}
        for term in self.terms:
            if len(set(term.groups)) == 2 and term.coefficient:
                pair = tuple(sorted(term.groups, key=order.index))
                coefficients[pair] = coefficients.get(pair, 0) + term.coefficient
        return coefficients


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
