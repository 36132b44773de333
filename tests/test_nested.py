"""Bottom-up, top-down and joint plans against enumeration of all nested widths."""

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from benchmarks.planner import NETS, lognormal_scores
from tflm_reds.errors import PlanError
from tflm_reds.planning import plan_widths
from tflm_reds.solvers.problem import MacTerm, count_macs

SIZES = {"a": 4, "b": 3, "c": 4}
GRAPHS = {
    "chain": (("a", "b"), ("b", "c")),
    "triangle": (("a", "b"), ("b", "c"), ("c", "a")),
}


def random_instance(seed: int, graph: str):
    """(terms, two budgets, utilities of widths 0 to size, neither concave nor convex)."""
    random = np.random.default_rng(seed)
    terms = [MacTerm(group, int(random.integers(1, 9)), (group,)) for group in SIZES]
    terms += [MacTerm("-".join(pair), int(random.integers(1, 9)), pair) for pair in GRAPHS[graph]]
    least = count_macs(terms, dict.fromkeys(SIZES, 1)) / count_macs(terms, SIZES)
    budgets = sorted(least + 1e-9 + (1 - least - 2e-9) * random.uniform(size=2))
    utilities = {
        group: np.concatenate([[0], np.cumsum(random.lognormal(sigma=1.5, size=size))])
        for group, size in SIZES.items()
    }
    return tuple(terms), budgets, utilities


def all_widths():
    return [
        dict(zip(SIZES, widths, strict=True))
        for widths in itertools.product(*(range(1, size + 1) for size in SIZES.values()))
    ]


def best_joint(terms, budgets, utilities) -> float:
    """The largest mean of score / best over all pairs of nested widths."""
    full = count_macs(terms, SIZES)
    fitting = [[w for w in all_widths() if count_macs(terms, w) <= b * full] for b in budgets]

    def score(widths):
        return sum(utilities[group][width] for group, width in widths.items())

    best = [max(map(score, choices)) for choices in fitting]
    pairs = (
        (small, large)
        for small, large in itertools.product(*fitting)
        if all(small[g] <= large[g] for g in SIZES)
    )
    return max(score(s) / best[0] / 2 + score(m) / best[1] / 2 for s, m in pairs)


@settings(max_examples=20)
@given(st.integers(0, 2**32), st.sampled_from(sorted(GRAPHS)))
def test_joint_plans_lie_between_the_directions_and_the_optimum(seed, graph):
    terms, budgets, utilities = random_instance(seed, graph)
    scores = {group: np.ones(size) for group, size in SIZES.items()}
    plans = {
        direction: plan_widths(
            SIZES, scores, terms, budgets, objective=utilities, direction=direction
        )
        for direction in ("bottom-up", "top-down", "joint")
    }
    optimum = best_joint(terms, budgets, utilities)
    joint = plans["joint"]
    assert joint.joint_score >= max(p.joint_score for p in plans.values())
    assert joint.joint_score <= optimum + 1e-9 <= joint.joint_bound + 2e-9
    assert joint.gap == pytest.approx(joint.joint_bound / joint.joint_score - 1, abs=1e-12)
    for plan in plans.values():
        assert all(price >= 0 for price in plan.price_of_nesting)
        assert plan.price_of_nesting[-1] == 0
    assert plans["bottom-up"].price_of_nesting[0] == pytest.approx(0, abs=1e-9)
    assert plans["top-down"].price_of_nesting[1] == pytest.approx(0, abs=1e-9)


@pytest.mark.parametrize("seed", [22, 50])
def test_joint_finds_the_optimum_where_both_directions_miss_it(seed):
    """Seven optional items of a plain knapsack, three nested capacities."""
    random = np.random.default_rng(seed)
    sizes = {f"g{i}": 2 for i in range(7)}
    costs = random.integers(10, 30, 7)
    terms = tuple(MacTerm(g, int(cost), (g,)) for g, cost in zip(sizes, costs, strict=True))
    utilities = {
        group: np.array([0, 0, value])
        for group, value in zip(sizes, costs * random.uniform(0.8, 1.2, 7), strict=True)
    }
    budgets = sorted((1 + random.uniform(0.2, 0.9, 3)) / 2)
    scores = {group: np.ones(2) for group in sizes}
    up, down, joint = (
        plan_widths(sizes, scores, terms, budgets, objective=utilities, direction=direction)
        for direction in ("bottom-up", "top-down", "joint")
    )
    assert joint.joint_score > max(up.joint_score, down.joint_score) + 0.01
    assert joint.gap < 1e-3


def test_weights_decide_between_the_subnets():
    terms, budgets, utilities = random_instance(11, "chain")
    scores = {group: np.ones(size) for group, size in SIZES.items()}

    def price(weights):
        plan = plan_widths(
            SIZES, scores, terms, budgets, objective=utilities, direction="joint", weights=weights
        )
        return plan.price_of_nesting

    assert price((1, 0))[0] == pytest.approx(0, abs=1e-9)
    assert price((0, 1))[1] == pytest.approx(0, abs=1e-9)


@pytest.mark.parametrize("weights", [(1,), (1, -1), (0, 0), (1, float("nan"))])
def test_wrong_weights_are_refused(weights):
    terms, budgets, _ = random_instance(0, "chain")
    scores = {group: np.ones(size) for group, size in SIZES.items()}
    with pytest.raises(PlanError, match="must be 2 numbers"):
        plan_widths(SIZES, scores, terms, budgets, direction="joint", weights=weights)


@pytest.mark.parametrize("direction", ["bottom-up", "top-down", "joint"])
def test_ten_subnets_of_a_reference_network(direction):
    sizes, terms = NETS["ds_cnn_s"]
    budgets = [k / 10 for k in range(1, 10)]
    plan = plan_widths(sizes, lognormal_scores(sizes, 3), terms, budgets, direction=direction)
    assert plan.subnet_count == 10 and plan.status == "optimal"
    assert plan.joint_score > 0.999
