"""Channel groups in a row: each shares MACs with at most the one before and the one after."""

from collections import defaultdict
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import pairwise

import numpy as np

from tflm_reds.errors import PlanError
from tflm_reds.solvers.problem import WidthProblem

GRID_BITS = 50  # utilities are multiples of (about) their largest sum / 2**50: see `on_grid`


@dataclass(frozen=True)
class Chain:
    """A width problem whose groups form a path; separate paths are put end to end.

    Attributes:
        groups: names along the path.
        widths, values, costs: for each group, its allowed widths (int64, ascending), their
            utility (float64) and the MACs of the group alone (int64).
        couplings: [len(groups) - 1] MACs per product of the widths of groups i and i + 1.
        capacity: MACs allowed, the constant terms taken off.
    """

    groups: tuple[str, ...]
    widths: tuple[np.ndarray, ...]
    values: tuple[np.ndarray, ...]
    costs: tuple[np.ndarray, ...]
    couplings: tuple[int, ...]
    capacity: int

    def __len__(self) -> int:
        return len(self.groups)

    @cached_property
    def reversed(self) -> "Chain":
        """The same problem read from the other end."""
        return Chain(
            self.groups[::-1],
            self.widths[::-1],
            self.values[::-1],
            self.costs[::-1],
            self.couplings[::-1],
            self.capacity,
        )

    def keep(self, masks: list[np.ndarray]) -> "Chain":
        """The chain with only the allowed widths that `masks` (bool, per group) mark."""
        kept = {
            name: tuple(array[mask] for array, mask in zip(getattr(self, name), masks, strict=True))
            for name in ("widths", "values", "costs")
        }
        return replace(self, **kept)

    def total(self, choice: list[int]) -> tuple[float, int]:
        """(utility, MACs) of one choice: an index of an allowed width per group."""
        value = sum(float(v[c]) for v, c in zip(self.values, choice, strict=True))
        cost = sum(int(v[c]) for v, c in zip(self.costs, choice, strict=True))
        chosen = self.chosen(choice)
        for coupling, left, right in zip(self.couplings, chosen, chosen[1:], strict=False):
            cost += coupling * left * right
        return value, cost

    def chosen(self, choice: list[int]) -> list[int]:
        """The widths that the indices of `choice` stand for."""
        return [int(w[c]) for w, c in zip(self.widths, choice, strict=True)]


def chain_of(problem: WidthProblem) -> Chain:
    """Find the path in `problem`, whatever the order of its groups and terms.

    Raises:
        PlanError: if the groups form no path, as those of residual networks may.
    """
    couplings = problem.couplings()
    groups = _path(list(problem.widths), couplings)
    either_way = couplings | {(b, a): c for (a, b), c in couplings.items()}
    values = on_grid([problem.utilities[group] for group in groups])
    return Chain(
        tuple(groups),
        tuple(problem.widths[group] for group in groups),
        tuple(values),
        tuple(problem.own_costs(group) for group in groups),
        tuple(either_way.get(pair, 0) for pair in pairwise(groups)),
        problem.capacity - problem.constant(),
    )


def on_grid(utilities: list[np.ndarray]) -> list[np.ndarray]:
    """Round utilities to multiples of one power of two, so small that nothing is lost.

    Sums of them are then exact whatever their order: equal choices compare as equal.
    """
    largest = sum(float(np.abs(array).max()) for array in utilities)
    step = 2.0 ** (np.frexp(largest)[1] - GRID_BITS)
    return [np.round(array / step) * step for array in utilities]


def _path(groups: list[str], couplings: dict[tuple[str, str], int]) -> list[str]:
    """The groups in path order; each path starts at the end named first in `groups`."""
    neighbours: dict[str, list[str]] = defaultdict(list)
    for a, b in couplings:
        neighbours[a].append(b)
        neighbours[b].append(a)
    path: list[str] = []
    for start in groups:
        group = start if len(neighbours[start]) < 2 and start not in path else None
        while group is not None:
            path.append(group)
            group = next((n for n in neighbours[group] if n not in path), None)
    _require_chain(groups, neighbours, path)
    return path


def _require_chain(groups: list[str], neighbours: dict[str, list[str]], path: list[str]) -> None:
    branching = next((g for g in groups if len(neighbours[g]) > 2), None)
    if branching:
        reason = f"group {branching!r} shares layers with {', '.join(neighbours[branching])}"
    elif len(path) < len(groups):
        reason = f"the groups {', '.join(g for g in groups if g not in path)} form a ring"
    else:
        return
    raise PlanError(
        f"The exact solver plans chains of channel groups, but here {reason}. "
        "Plan this network with solver='milp'."
    )
