"""The groups one after the other, as dynamic programming over their graph needs them.

Groups that a layer depends on are neighbours. When groups enter one by one, only those with a
neighbour still to come matter for the rest: the *frontier*. A chain has a frontier of one group, a
star (an embedding that every block reads) too, the triangle of a shortcut convolution two. The work
grows with the product of the widths in the frontier (the graph's pathwidth), not with their number.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import combinations
from math import prod

import numpy as np

from tflm_reds.solvers.problem import Limit, Term, WidthProblem

GRID_BITS = 50  # utilities are multiples of (about) their largest sum / 2**50: see `on_grid`
LARGEST_TABLE = 2**25  # entries: 256 MiB of float64


@dataclass(frozen=True)
class Stage:
    """One group enters.

    A *state* is one number for the widths of all frontier groups (C order of their indices).

    Attributes:
        group: its name.
        widths, values: its allowed widths (int64, ascending) and their utility, [n].
        frontier: numbers of the earlier stages whose groups the frontier holds, ascending.
        sizes: allowed widths of each of these.
        stays: whether each of them, and last the new group, is in the next frontier.
        costs: int64 [states, n] for each limit: what layers cost that all frontier groups and the
            new one decide.
        allowed: bool [states, n]: whether no peak limit forbids it; None if all are allowed.
    """

    group: str
    widths: np.ndarray
    values: np.ndarray
    frontier: tuple[int, ...]
    sizes: tuple[int, ...]
    stays: tuple[bool, ...]
    costs: tuple[np.ndarray, ...]
    allowed: np.ndarray | None

    def followers(self, states: np.ndarray) -> np.ndarray:
        """The part of the next state that `states` decide."""
        indices = np.unravel_index(states, self.sizes) if self.sizes else ()
        kept = [i for i, stays in zip(indices, self.stays, strict=False) if stays]
        kept_sizes = [n for n, stays in zip(self.sizes, self.stays, strict=False) if stays]
        return np.ravel_multi_index(kept, kept_sizes) if kept else np.zeros_like(states)

    def next_states(self, states: np.ndarray, choices: np.ndarray) -> np.ndarray:
        """The state after `choices` (indices of widths) in `states`; arguments broadcast."""
        followers = self.followers(states)
        return followers * len(self.widths) + choices if self.stays[-1] else followers + 0 * choices

    def at_next(self, table: np.ndarray) -> np.ndarray:
        """`table` [next states], as seen from each state and choice: broadcasts to [states, n]."""
        followers = self.followers(np.arange(prod(self.sizes)))
        if self.stays[-1]:
            return table.reshape(-1, len(self.widths))[followers]
        return table[followers][:, None]

    def best_by_next(self, table: np.ndarray) -> np.ndarray:
        """The largest entry of `table` [states, n] that leads to each next state."""
        leaving = tuple(i for i, stays in enumerate(self.stays) if not stays)
        return table.reshape(*self.sizes, len(self.widths)).max(axis=leaving).ravel()


@dataclass(frozen=True)
class Elimination:
    """A width problem in stages.

    Attributes:
        stages: in order; after the last one the frontier is empty.
        capacities: of each limit that may bind, less what depends on no group.
    """

    stages: tuple[Stage, ...]
    capacities: tuple[int, ...]

    def total(self, choice: Sequence[int]) -> tuple[float, tuple[int, ...]]:
        """(utility, cost under each limit) of one choice: the index of a width per stage."""
        state, value, costs = np.array(0), 0.0, [0] * len(self.capacities)
        for stage, index in zip(self.stages, choice, strict=True):
            value += float(stage.values[index])
            costs = [c + int(t[state, index]) for c, t in zip(costs, stage.costs, strict=True)]
            state = stage.next_states(state, np.array(index))
        return value, tuple(costs)

    def fits(self, costs: Sequence[int]) -> bool:
        """Whether `costs` are within all capacities."""
        return all(cost <= most for cost, most in zip(costs, self.capacities, strict=True))

    def chosen(self, choice: Sequence[int]) -> dict[str, int]:
        """The widths that the indices of `choice` stand for."""
        return {s.group: int(s.widths[c]) for s, c in zip(self.stages, choice, strict=True)}

    def worth(self, values: Sequence[np.ndarray]) -> "Elimination":
        """The same problem with other utilities, [n] per stage."""
        pairs = zip(self.stages, values, strict=True)
        return replace(self, stages=tuple(replace(s, values=v) for s, v in pairs))

    def keep(self, masks: Sequence[np.ndarray]) -> "Elimination":
        """The same problem with only the allowed widths that `masks` (bool, per stage) mark."""
        return replace(self, stages=tuple(_keep(s, masks, i) for i, s in enumerate(self.stages)))


def _keep(stage: Stage, masks: Sequence[np.ndarray], number: int) -> Stage:
    axes = np.ix_(*(masks[i] for i in (*stage.frontier, number)))
    shape = (*stage.sizes, len(stage.widths))

    def cut(table: np.ndarray) -> np.ndarray:
        kept = table.reshape(shape)[axes]
        return kept.reshape(-1, kept.shape[-1])

    return replace(
        stage,
        widths=stage.widths[masks[number]],
        values=stage.values[masks[number]],
        sizes=tuple(int(masks[i].sum()) for i in stage.frontier),
        costs=tuple(map(cut, stage.costs)),
        allowed=None if stage.allowed is None else cut(stage.allowed),
    )


def eliminate(problem: WidthProblem) -> Elimination | None:
    """Put the groups of `problem` in a good order; None if even that needs too large a table."""
    order, largest = _best_order(problem)
    if largest > LARGEST_TABLE:
        return None
    values = dict(zip(order, on_grid([problem.utilities[g] for g in order]), strict=True))
    sums = [limit for limit in problem.limits if not limit.peak]
    stages = tuple(_stage(problem, sums, values, order, i) for i in range(len(order)))
    capacities = [limit.capacity - _constant(limit) for limit in sums]
    # A limit that nothing can exceed would only make labels harder to compare.
    binding = [
        sum(int(stage.costs[r].max()) for stage in stages) > most
        for r, most in enumerate(capacities)
    ]
    stages = tuple(replace(s, costs=_where(binding, s.costs)) for s in stages)
    return Elimination(stages, _where(binding, capacities))


def _where(marks: Sequence[bool], items: Sequence) -> tuple:
    return tuple(item for item, mark in zip(items, marks, strict=True) if mark)


def _constant(limit: Limit) -> int:
    return sum(int(term.cost()) for term in limit.terms if not term.groups)


def on_grid(utilities: list[np.ndarray]) -> list[np.ndarray]:
    """Round utilities to multiples of one power of two, so small that nothing is lost.

    Sums of them are then exact whatever their order: equal choices compare as equal.
    """
    largest = sum(float(np.abs(array).max()) for array in utilities)
    step = 2.0 ** (np.frexp(largest)[1] - GRID_BITS)
    return [np.round(array / step) * step for array in utilities]


def _neighbours(problem: WidthProblem) -> dict[str, set[str]]:
    found: dict[str, set[str]] = {group: set() for group in problem.widths}
    for limit in problem.limits:
        for term in limit.terms:
            for a, b in combinations(set(term.groups), 2):
                found[a].add(b)
                found[b].add(a)
    return found


def _best_order(problem: WidthProblem) -> tuple[list[str], int]:
    """The greedy order of fewest table entries in sum, and the entries of its largest table."""
    neighbours = _neighbours(problem)
    sizes = {group: len(widths) for group, widths in problem.widths.items()}
    orders = [_greedy_order(start, neighbours, sizes) for start in sizes]
    order, tables = min(orders, key=lambda candidate: sum(candidate[1]))
    return order, max(tables)


def _greedy_order(
    start: str, neighbours: Mapping[str, set[str]], sizes: Mapping[str, int]
) -> tuple[list[str], list[int]]:
    """From `start` on, always the group of the smallest table; the entries of each table."""
    order, tables, frontier = [], [], set()
    coming = dict.fromkeys(sizes)
    group = start
    while True:
        del coming[group]
        order.append(group)
        tables.append(prod(sizes[g] for g in frontier) * sizes[group])
        frontier = {g for g in {*frontier, group} if neighbours[g] & coming.keys()}
        if not coming:
            return order, tables
        reachable = [g for g in coming if neighbours[g] & frontier] or coming
        group = min(reachable, key=lambda g: _frontier_size(g, frontier, coming, neighbours, sizes))


def _frontier_size(group, frontier, coming, neighbours, sizes) -> int:
    """Entries of the table of `group` and of the state after it."""
    left = coming.keys() - {group}
    after = [g for g in {*frontier, group} if neighbours[g] & left]
    return prod(sizes[g] for g in {*frontier, group}) + prod(sizes[g] for g in after)


def _stage(
    problem: WidthProblem,
    sums: Sequence[Limit],
    values: Mapping[str, np.ndarray],
    order: Sequence[str],
    number: int,
) -> Stage:
    neighbours, group = _neighbours(problem), order[number]
    frontier = [i for i in range(number) if neighbours[order[i]] & {*order[number:]}]
    axes = [*frontier, number]
    names = [order[i] for i in axes]
    sizes = [len(problem.widths[name]) for name in names]
    scope = {*order[: number + 1]}

    def table(term: Term) -> np.ndarray:
        shaped = {
            name: problem.widths[name].reshape([-1 if a == i else 1 for a in range(len(axes))])
            for i, name in enumerate(names)
        }
        return np.broadcast_to(term.cost(*(shaped[g] for g in term.groups)), sizes)

    def decided(limit: Limit) -> list[np.ndarray]:
        return [
            table(t)
            for t in limit.terms
            if scope.issuperset(t.groups)
            and (group in t.groups or (limit.peak and not t.groups and number == 0))
        ]

    costs = [sum(decided(limit), np.zeros(sizes, np.int64)) for limit in sums]
    peaks = [t <= limit.capacity for limit in problem.limits if limit.peak for t in decided(limit)]
    return Stage(
        group,
        problem.widths[group],
        values[group],
        tuple(frontier),
        tuple(sizes[:-1]),
        tuple(bool(neighbours[name] & {*order[number + 1 :]}) for name in names),
        tuple(cost.reshape(-1, sizes[-1]) for cost in costs),
        np.logical_and.reduce(peaks).reshape(-1, sizes[-1]) if peaks else None,
    )
