"""Labels: the partial choices that may still become the best one.

A label is a choice for the groups up to some stage: its costs, its utility, the widths in the
frontier. Of two labels with the same frontier widths, one that costs no less and is worth no more
is dropped. A label is also dropped when even the Lagrangian bound of the groups to come cannot lift
it to a target.
"""

import time
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from tflm_reds.solvers.elimination import Elimination, Stage
from tflm_reds.solvers.lagrangian import Choice, Priced

BATCH = 2**18  # labels made at once, before the first of them is dropped
COMPARED = 32  # earlier labels that one is compared with where there are several limits


class OutOfTimeError(Exception):
    """The deadline of a search has passed."""


@dataclass(frozen=True)
class Pruning:
    """What a label must reach to be kept.

    Attributes:
        problem: the stages in which labels grow.
        priced: the problem at several prices; each gives a bound, the lowest one counts.
        target: labels that cannot reach this utility are dropped.
        deadline: `time.perf_counter()` at which the search stops.
    """

    problem: Elimination
    priced: Sequence[Priced]
    target: float
    deadline: float

    def survivors(
        self, stage: int, states: np.ndarray, costs: np.ndarray, values: np.ndarray
    ) -> np.ndarray:
        """Numbers of the labels after `stage` that may reach the target.

        Args:
            states, values: [labels]; state after the stage, and utility so far.
            costs: [limits, labels].
        """
        capacities = np.array(self.problem.capacities)[:, None]
        rows = np.flatnonzero((costs <= capacities).all(axis=0) & np.isfinite(values))
        for priced in self.priced:
            spare = priced.prices @ (capacities - costs[:, rows])
            most = values[rows] + spare + priced.after[stage + 1][states[rows]]
            rows = rows[most >= self.target]
        return rows


@dataclass(frozen=True)
class Labels:
    """The labels after one stage.

    Attributes:
        state: widths in the frontier, [labels].
        cost: so far under each limit, int64 [limits, labels].
        value: utility so far, float64.
        choice: index of the width of the group that entered.
        parent: number of the label of the stage before that this one extends.
    """

    state: np.ndarray
    cost: np.ndarray
    value: np.ndarray
    choice: np.ndarray
    parent: np.ndarray

    def __len__(self) -> int:
        return len(self.value)

    def take(self, rows: np.ndarray) -> "Labels":
        """The labels of these numbers."""
        return Labels(
            self.state[rows],
            self.cost[:, rows],
            self.value[rows],
            self.choice[rows],
            self.parent[rows],
        )


def grow_labels(pruning: Pruning) -> list[Labels]:
    """Labels after each stage.

    Raises:
        OutOfTimeError: if the deadline passes.
    """
    start, limits = np.zeros(1, np.int64), len(pruning.problem.capacities)
    labels = Labels(start, np.zeros((limits, 1), np.int64), np.zeros(1), start, start)
    grown = []
    for number in range(len(pruning.problem.stages)):
        labels = _extend(pruning, number, labels)
        grown.append(labels)
    return grown


def best_choice(grown: Sequence[Labels]) -> Choice:
    """The choice of most utility behind `grown`, of least cost among equals."""
    last = grown[-1]
    row = int(np.lexsort((*last.cost[::-1], -last.value))[0])
    choice: Choice = []
    for labels in reversed(grown):
        choice.append(int(labels.choice[row]))
        row = labels.parent[row]
    return choice[::-1]


def _extend(pruning: Pruning, number: int, labels: Labels) -> Labels:
    """Every label of the stage before, continued with every width of the group, then pruned."""
    stage = pruning.problem.stages[number]
    size = len(stage.widths)
    step = max(1, BATCH // max(1, len(labels)))
    edges = [*range(0, size, step), size]
    parts = [_extend_batch(pruning, number, labels, *edge) for edge in pairwise(edges)]
    joined = Labels(
        *(
            np.concatenate([getattr(part, name) for part in parts], axis=-1)
            for name in ("state", "cost", "value", "choice", "parent")
        )
    )
    return joined.take(_front(joined))


def _extend_batch(pruning: Pruning, number: int, labels: Labels, first: int, last: int) -> Labels:
    if time.perf_counter() > pruning.deadline:
        raise OutOfTimeError
    stage: Stage = pruning.problem.stages[number]
    parents = np.repeat(np.arange(len(labels)), last - first)
    choices = np.tile(np.arange(first, last), len(labels))
    states = labels.state[parents]
    value = labels.value[parents] + stage.values[choices]
    if stage.allowed is not None:
        value = np.where(stage.allowed[states, choices], value, -np.inf)
    steps = [cost[states, choices] for cost in stage.costs]
    cost = labels.cost[:, parents] + np.array(steps, np.int64).reshape(len(steps), len(parents))
    following = stage.next_states(states, choices)
    rows = pruning.survivors(number, following, cost, value)
    return Labels(following, cost, value, choices, parents).take(rows)


def _front(labels: Labels) -> np.ndarray:
    """Numbers of the labels that no other one of the same state dominates.

    With one limit or none the front is exact. With several, a label is compared only with the 32
    before it in order of cost: one that is kept needlessly costs time, nothing else.
    """
    order = np.lexsort((-labels.value, *labels.cost[::-1], labels.state))
    state, value, cost = labels.state[order], labels.value[order], labels.cost[:, order]
    if len(cost) < 2:
        rank = np.unique(value, return_inverse=True)[1]
        rank += (len(rank) + 1) * np.cumsum(np.diff(state, prepend=state[:1]) > 0)
        return order[np.diff(np.maximum.accumulate(rank), prepend=-1) > 0]
    dominated = np.zeros(len(order), bool)
    for shift in range(1, min(COMPARED, len(order) - 1) + 1):
        worse = (state[shift:] == state[:-shift]) & (value[shift:] <= value[:-shift])
        dominated[shift:] |= worse & (cost[:, shift:] >= cost[:, :-shift]).all(axis=0)
    return order[~dominated]
