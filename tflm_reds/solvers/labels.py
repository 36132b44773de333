"""Pareto labels of a chain: the partial choices that may still become the best one.

A label is a choice for the groups up to some group: its MACs, its utility, its last width. Of two
labels with the same last width, one that costs no less and is worth no more is dropped. A label is
also dropped when even the Lagrangian bound of the groups to come cannot lift it to a target.
"""

import time
from dataclasses import dataclass

import numpy as np

from tflm_reds.solvers.chain import Chain
from tflm_reds.solvers.lagrangian import Priced


class OutOfTimeError(Exception):
    """The deadline of a search has passed."""


@dataclass(frozen=True)
class Pruning:
    """What a label must reach to be kept.

    Attributes:
        chain: the groups, in the order in which labels grow.
        priced: the chain at several prices; each gives a bound, the lowest one counts.
        target: labels that cannot reach this utility are dropped.
        deadline: `time.perf_counter()` at which the search stops.
    """

    chain: Chain
    priced: tuple[Priced, ...]
    target: float
    deadline: float

    @classmethod
    def at(cls, chain: Chain, prices: list[float], target: float, deadline: float) -> "Pruning":
        """Bounds of `chain` at each of `prices`."""
        return cls(chain, tuple(Priced(chain, price) for price in prices), target, deadline)

    def survivors(self, group: int, choice: int, cost: np.ndarray, value: np.ndarray) -> np.ndarray:
        """Rows of the labels, all with width number `choice` of `group`, that may reach the target.

        Args:
            cost, value: MACs and utility of each label, [labels].
        """
        rows = np.flatnonzero(cost <= self.chain.capacity)
        for priced in self.priced:
            missing = self.target - priced.after[group][choice]
            spare = priced.price * (self.chain.capacity - cost[rows])
            rows = rows[value[rows] + spare >= missing]
        return rows[_front(cost[rows], value[rows])]


@dataclass(frozen=True)
class Labels:
    """Labels of one group, by last width and then by cost; in a width, value rises with cost.

    Attributes:
        choice: number of the last width among the allowed ones, [labels].
        cost: MACs so far, int64.
        value: utility so far, float64.
        parent: row of the label of the group before that this one extends.
    """

    choice: np.ndarray
    cost: np.ndarray
    value: np.ndarray
    parent: np.ndarray

    def __len__(self) -> int:
        return len(self.choice)

    def rows(self, choice: int) -> slice:
        """Rows of the labels whose last width has this number."""
        return slice(*np.searchsorted(self.choice, [choice, choice + 1]))


def grow_labels(pruning: Pruning, last: int) -> list[Labels]:
    """Labels of the groups 0 to `last`.

    Raises:
        OutOfTimeError: if the deadline passes.
    """
    chain = pruning.chain
    first = np.arange(len(chain.widths[0]))
    stages = [Labels(first, chain.costs[0], chain.values[0], first)]
    for group in range(1, last + 1):
        stages.append(_extend(pruning, group, stages[-1]))
    return stages


def _extend(pruning: Pruning, group: int, labels: Labels) -> Labels:
    """Every label of the group before, continued with every width of `group`, then pruned."""
    chain = pruning.chain
    slopes = chain.couplings[group - 1] * chain.widths[group - 1][labels.choice]
    kept = []
    for choice, width in enumerate(chain.widths[group]):
        if time.perf_counter() > pruning.deadline:
            raise OutOfTimeError
        cost = labels.cost + slopes * width + chain.costs[group][choice]
        value = labels.value + chain.values[group][choice]
        rows = pruning.survivors(group, choice, cost, value)
        kept.append((np.full(len(rows), choice), cost[rows], value[rows], rows))
    return Labels(*(np.concatenate(column) for column in zip(*kept, strict=True)))


def _front(cost: np.ndarray, value: np.ndarray) -> np.ndarray:
    """Rows of the Pareto front by rising cost: each is worth more than all cheaper ones."""
    order = np.lexsort((-value, cost))
    best = np.maximum.accumulate(value[order])
    return order[np.diff(best, prepend=-np.inf) > 0]


@dataclass(frozen=True)
class Meeting:
    """The best pair of a label from the left and one from the right, on the same last width."""

    value: float
    cost: int
    left_row: int
    right_row: int


def meet(chain: Chain, group: int, left: Labels, right: Labels) -> Meeting | None:
    """Join labels that grew from both ends of `chain` to `group`; None if no pair fits.

    Among pairs of equal value the one of fewest MACs is taken.
    """
    found = (
        _meet_at(chain, group, choice, left, right) for choice in range(len(chain.widths[group]))
    )
    return max(filter(None, found), key=lambda pair: (pair.value, -pair.cost), default=None)


def _meet_at(chain: Chain, group: int, choice: int, left: Labels, right: Labels) -> Meeting | None:
    ours, others = left.rows(choice), right.rows(choice)
    cost = left.cost[ours] - chain.costs[group][choice]  # both sides hold the group itself
    value = left.value[ours] - chain.values[group][choice]
    partner = np.searchsorted(right.cost[others], chain.capacity - cost, "right") - 1
    fits = np.flatnonzero(partner >= 0)
    if not len(fits):
        return None
    partner = partner[fits] + others.start
    value, cost = value[fits] + right.value[partner], cost[fits] + right.cost[partner]
    best = np.lexsort((cost, -value))[0]
    row = int(ours.start + fits[best])
    return Meeting(float(value[best]), int(cost[best]), row, int(partner[best]))


def trace(stages: list[Labels], row: int) -> list[int]:
    """The choice of each group, first to last, behind label `row` of the last stage."""
    choices = []
    for stage in reversed(stages):
        choices.append(int(stage.choice[row]))
        row = stage.parent[row]
    return choices[::-1]
