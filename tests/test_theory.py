"""The paper's bounds on nesting (docs/theory.md) on plain knapsacks, planned with our solver."""

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from tflm_reds.solvers.exact import solve_exact
from tflm_reds.solvers.nested import NestedProblem, solve_in_order
from tflm_reds.solvers.problem import Limit, MacTerm

HALF = 30  # capacity of the smaller knapsack; the larger one holds twice as much
ITEMS = st.lists(
    st.tuples(st.integers(1, HALF), st.integers(1, 1000)), min_size=1, max_size=9
)  # (weight, profit)


def ratios(items, half: int = HALF) -> tuple[float, float]:
    """(bottom-up at full capacity, top-down at half) over the optimum there."""
    groups = [f"item{i}" for i in range(len(items))]
    terms = tuple(MacTerm(g, weight, (g,)) for g, (weight, _) in zip(groups, items, strict=True))
    empty = sum(weight for weight, _ in items)  # a group's first unit is always there

    def limits(subnet, known, alone):
        return (Limit("kg", empty + half * (subnet + 1), terms),)

    problem = NestedProblem(
        dict.fromkeys(groups, np.array([1, 2])),
        {g: np.array([0.0, profit]) for g, (_, profit) in zip(groups, items, strict=True)},
        limits,
        2,
        solve_exact,
        60.0,
    )
    best = [problem.alone(k).value for k in (0, 1)]
    upwards, downwards = solve_in_order(problem, (0, 1)), solve_in_order(problem, (1, 0))
    return upwards[1].value / best[1], downwards[0].value / best[0]


@settings(max_examples=25)
@given(ITEMS)
def test_items_of_at_most_half_the_capacity_keep_the_bounds(items):
    bottom_up, top_down = ratios(items)
    assert bottom_up >= 2 / 3 - 1e-9
    assert top_down >= 1 / 2 - 1e-9


def test_the_tight_examples_reach_the_bounds():
    bottom_up, _ = ratios([(21, 1001), (20, 1000), (20, 1000), (20, 1000)])
    assert bottom_up == 2001 / 3000
    _, top_down = ratios([(20, 1001), (20, 1001), (20, 1001), (30, 2000)])
    assert top_down == 1001 / 2000


def test_heavier_items_break_both_bounds():
    bottom_up, _ = ratios([(2 * HALF, 1000), (HALF, 1)])
    assert bottom_up == 1 / 1000
    _, top_down = ratios([(2 * HALF, 1000), (HALF, 999)])
    assert top_down == 0
