"""Checks of what a user asks the planner for; every refusal tells the number and the way out."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import ceil
from typing import Any

import numpy as np

from tflm_reds.budget import Budget, checked_budgets
from tflm_reds.costs import Costs, LimitMaker
from tflm_reds.errors import PlanError
from tflm_reds.solvers.problem import InfeasibleError, Limit, MacTerm, Term, count_macs

PerGroup = Mapping[str, int] | int


@dataclass(frozen=True)
class PlanRequest:
    """Checked arguments of `plan_widths`.

    Attributes:
        sizes: full width of each group.
        scores: float64 importance of each unit of each group, descending.
        costs: terms of all that may be limited.
        budgets: of the subnets below the full network, smallest first.
        widths: allowed widths of each group, int64, ascending, the full one last.
    """

    sizes: dict[str, int]
    scores: dict[str, np.ndarray]
    costs: Costs
    budgets: tuple[Budget, ...]
    widths: dict[str, np.ndarray]

    @property
    def maker(self) -> LimitMaker:
        """What makes the limits of each subnet."""
        return LimitMaker(self.costs, self.budgets, self.sizes)

    @classmethod
    def checked(
        cls,
        sizes: Mapping[str, int],
        scores: Mapping[str, np.ndarray],
        costs: Costs | Sequence[MacTerm],
        budgets: Sequence[Any],
        minimum: PerGroup = 1,
        multiple: PerGroup = 1,
    ) -> "PlanRequest":
        """Check the arguments, one against the other.

        Raises:
            PlanError: if one is wrong.
        """
        whole = {group: int(size) for group, size in sizes.items()}
        costs = costs if isinstance(costs, Costs) else Costs(tuple(costs))
        _check_terms(costs, whole)
        checked = {group: _checked_scores(group, size, scores) for group, size in whole.items()}
        least = _per_group("minimum width", minimum, whole)
        steps = _per_group("multiple", multiple, whole)
        request = cls(
            whole,
            checked,
            costs,
            checked_budgets(budgets),
            {group: _allowed(size, least[group], steps[group]) for group, size in whole.items()},
        )
        request.maker.require_terms()
        return request

    def infeasible(self, number: int, error: InfeasibleError) -> PlanError:
        """Why no widths meet budget `number`: the limit that the narrowest ones exceed, if any."""
        narrowest = {group: int(widths[0]) for group, widths in self.widths.items()}
        for limit in self.maker.limits(number, {}, alone=True):
            if limit.cost(narrowest) > limit.capacity:
                return PlanError(self._exceeded(number, limit, narrowest))
        return error

    def _exceeded(self, number: int, limit: Limit, narrowest: dict[str, int]) -> str:
        least, layers = limit.cost(narrowest), limit.by_layer(narrowest)
        worst = max(layers, key=layers.__getitem__)
        smallest = f"{least:,} {limit.name}"
        if limit.name == "MACs":
            smallest = f"{ceil(1e4 * least / count_macs(self.costs.macs, self.sizes)) / 1e4:g}"
        return (
            f"The budget {self.budgets[number]} allows {limit.capacity:,} {limit.name}, but with "
            f"every group at its minimum width the network takes {least:,}, of which layer "
            f"{worst!r} takes {layers[worst]:,}. The smallest feasible budget is {smallest}: raise "
            "the budget or lower `minimum`."
        )


def _allowed(size: int, least: int, multiple: int) -> np.ndarray:
    """Multiples from the least width on; the full width is always one of them."""
    widths = np.arange(1, size + 1)
    return widths[(widths >= least) & (widths % multiple == 0) | (widths == size)]


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


def _check_terms(costs: Costs, sizes: Mapping[str, int]) -> None:
    others: tuple[Term, ...] = costs.label + costs.ram + costs.weights + costs.tables + costs.time
    for term in (*costs.macs, *others):
        if unknown := [group for group in term.groups if group not in sizes]:
            raise PlanError(
                f"Layer {term.layer!r} depends on group {unknown[0]!r}, which has no size; "
                f"the groups are {', '.join(sizes)}."
            )
    for term in costs.macs:
        if len(term.groups) > 2 or term.coefficient < 0:
            raise PlanError(
                f"Layer {term.layer!r} has {len(term.groups)} groups and the coefficient "
                f"{term.coefficient}; a layer has at most 2 groups and no negative MACs."
            )
    if count_macs(costs.macs, sizes) == 0:
        raise PlanError("The network has no MACs: a budget would be a fraction of nothing.")


def _per_group(what: str, given: PerGroup, sizes: Mapping[str, int]) -> dict[str, int]:
    """One number for each group; a single number is cut to the size of smaller groups."""
    if not isinstance(given, Mapping):
        given = {group: min(int(given), size) for group, size in sizes.items()}
    if unknown := [group for group in given if group not in sizes]:
        raise PlanError(f"A {what} is given for {unknown[0]!r}; the groups are {', '.join(sizes)}.")
    numbers = {group: int(given.get(group, 1)) for group in sizes}
    for group, number in numbers.items():
        if not 1 <= number <= sizes[group]:
            raise PlanError(
                f"The {what} of group {group!r} is {number}; it must lie between 1 and its "
                f"{sizes[group]} units."
            )
    return numbers
