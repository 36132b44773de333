"""Checks of what a user asks the planner for; every refusal tells the number and the way out."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from itertools import pairwise
from math import ceil

import numpy as np

from tflm_reds.errors import PlanError
from tflm_reds.solvers.problem import MacTerm, count_macs


@dataclass(frozen=True)
class PlanRequest:
    """Checked arguments of `plan_widths`.

    Attributes:
        sizes, minimum: largest and least width of each group.
        scores: float64 importance of each unit of each group, descending.
        terms: MACs of every layer.
        budgets: ascending fractions below 1.0; the full network is understood.
    """

    sizes: dict[str, int]
    scores: dict[str, np.ndarray]
    terms: tuple[MacTerm, ...]
    budgets: tuple[float, ...]
    minimum: dict[str, int]

    @property
    def full_macs(self) -> int:
        """True MACs of the full network."""
        return count_macs(self.terms, self.sizes)

    def capacity(self, budget: float) -> int:
        """MACs of a budget, rounded down; 0.29 means 29/100, not the nearest double."""
        return int(Fraction(repr(budget)) * self.full_macs)

    @classmethod
    def checked(
        cls,
        sizes: Mapping[str, int],
        scores: Mapping[str, np.ndarray],
        terms: Sequence[MacTerm],
        budgets: Sequence[float],
        minimum: Mapping[str, int] | int,
    ) -> "PlanRequest":
        """Check the arguments, one against the other.

        Raises:
            PlanError: if one is wrong, or the smallest budget cannot be met.
        """
        whole = {group: int(size) for group, size in sizes.items()}
        request = cls(
            whole,
            {group: _checked_scores(group, size, scores) for group, size in whole.items()},
            _checked_terms(terms, whole),
            _checked_budgets(budgets),
            _checked_minimum(minimum, whole),
        )
        request._require_feasible()
        return request

    def _require_feasible(self) -> None:
        least = count_macs(self.terms, self.minimum)
        for budget in self.budgets[:1]:
            if self.capacity(budget) < least:
                fraction = ceil(1e4 * least / self.full_macs) / 1e4
                raise PlanError(
                    f"The budget {budget:g} allows {self.capacity(budget):,} MACs, but with every "
                    f"group at its minimum width the network takes {least:,}. The smallest "
                    f"feasible budget is {fraction:g}: raise the budget or lower `minimum`."
                )


def _checked_budgets(budgets: Sequence[float]) -> tuple[float, ...]:
    values = [float(budget) for budget in budgets]
    if wrong := [value for value in values if not 0 < value <= 1]:
        raise PlanError(
            f"A budget is a fraction of the full network's MACs, above 0 and at most 1: got "
            f"{wrong[0]:g}. Write 25 % as 0.25."
        )
    for before, value in pairwise(values):
        if value <= before:
            raise PlanError(
                f"Budgets must rise, without duplicates: {value:g} follows {before:g}. "
                f"Write {tuple(sorted(set(values)))}."
            )
    return tuple(value for value in values if value < 1)


def _checked_scores(group: str, size: int, scores: Mapping[str, np.ndarray]) -> np.ndarray:
    if size < 1:
        raise PlanError(f"Group {group!r} has {size} units. Every group needs at least one.")
    if group not in scores:
        raise PlanError(f"No scores for group {group!r}; there are scores for {sorted(scores)}.")
    values = np.asarray(scores[group], np.float64)
    if values.shape != (size,):
        raise PlanError(
            f"Group {group!r} has {size} units, but its scores have shape {values.shape}. "
            "Give one score per unit."
        )
    if not np.all(np.isfinite(values)) or np.any(values < 0):
        worst = values[~np.isfinite(values) | (values < 0)][0]
        raise PlanError(
            f"Scores of group {group!r} must be finite and not negative, got {worst:g}. "
            "Look for NaN in the calibration data."
        )
    if np.any(np.diff(values) > 0):
        raise PlanError(
            f"Scores of group {group!r} must descend: permute the network and its scores first."
        )
    return values


def _checked_terms(terms: Sequence[MacTerm], sizes: Mapping[str, int]) -> tuple[MacTerm, ...]:
    for term in terms:
        if unknown := [group for group in term.groups if group not in sizes]:
            raise PlanError(
                f"Layer {term.layer!r} depends on group {unknown[0]!r}, which has no size; "
                f"the groups are {', '.join(sizes)}."
            )
        if len(term.groups) > 2 or term.coefficient < 0:
            raise PlanError(
                f"Layer {term.layer!r} has {len(term.groups)} groups and the coefficient "
                f"{term.coefficient}; a layer has at most 2 groups and no negative MACs."
            )
    if count_macs(terms, sizes) == 0:
        raise PlanError("The network has no MACs: a budget would be a fraction of nothing.")
    return tuple(terms)


def _checked_minimum(minimum: Mapping[str, int] | int, sizes: Mapping[str, int]) -> dict[str, int]:
    if not isinstance(minimum, Mapping):
        minimum = {group: min(int(minimum), size) for group, size in sizes.items()}
    if unknown := [group for group in minimum if group not in sizes]:
        raise PlanError(
            f"A minimum width is given for {unknown[0]!r}; the groups are {', '.join(sizes)}."
        )
    least = {group: int(minimum.get(group, 1)) for group in sizes}
    for group, width in least.items():
        if not 1 <= width <= sizes[group]:
            raise PlanError(
                f"The minimum width of group {group!r} is {width}; it must lie between 1 and its "
                f"{sizes[group]} units."
            )
    return least
