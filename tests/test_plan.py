"""plan_widths: nested, within budget, best given the neighbour; and what it refuses."""

import json
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from benchmarks.planner import NETS, lognormal_scores
from tflm_reds.errors import PlanError
from tflm_reds.plan import Plan
from tflm_reds.planning import plan_widths
from tflm_reds.solvers.exact import solve_exact
from tflm_reds.solvers.problem import MacTerm, count_macs

BUDGETS = (0.25, 0.5, 0.75)
SIZES, TERMS = NETS["ds_cnn_s"]
SCORES = lognormal_scores(SIZES, seed=0)
PAIR = {"a": 8, "b": 8}
PAIR_TERMS = (MacTerm("a", 10, ("a",)), MacTerm("b", 5, ("a", "b")), MacTerm("fc", 3, ("b",)))


def equal_scores(sizes):
    return {group: np.ones(size) for group, size in sizes.items()}


def test_reference_networks_have_their_published_macs():
    assert {name: count_macs(terms, sizes) for name, (sizes, terms) in NETS.items()} == {
        "ds_cnn_s": 2_656_768,
        "ds_cnn_l": 28_327_812,
    }


@settings(max_examples=25)
@given(
    st.integers(0, 1000),
    st.sampled_from(["bottom-up", "top-down"]),
    st.sampled_from(["product", "sum"]),
    st.lists(st.floats(0.05, 0.99), min_size=1, max_size=5, unique=True).map(sorted),
)
def test_plans_are_nested_and_within_budget(seed, direction, objective, budgets):
    scores = lognormal_scores(SIZES, seed)
    plan = plan_widths(SIZES, scores, TERMS, budgets, direction=direction, objective=objective)
    assert plan.budgets == (*budgets, 1.0)
    assert plan.widths[-1] == SIZES
    for small, large in zip(plan.widths, plan.widths[1:], strict=False):
        assert all(1 <= small[group] <= large[group] for group in SIZES)
    for widths, macs, budget in zip(plan.widths, plan.macs, plan.budgets, strict=True):
        assert macs == count_macs(TERMS, widths) <= budget * plan.macs[-1]
    assert (plan.status, plan.gap) == ("optimal", 0)
    assert plan.values == tuple(sorted(plan.values))


@pytest.mark.parametrize(("direction", "free"), [("bottom-up", 0), ("top-down", -2)])
def test_the_first_solved_subnet_is_the_best_of_all(direction, free):
    plan = plan_widths(SIZES, SCORES, TERMS, BUDGETS, direction=direction)
    alone = plan_widths(SIZES, SCORES, TERMS, [plan.budgets[free]])
    assert plan.values[free] == alone.values[0]
    for k, budget in enumerate(BUDGETS):
        assert plan.values[k] <= plan_widths(SIZES, SCORES, TERMS, [budget]).values[0]


def test_direction_matters():
    """The tight example of the paper's Theorem 1: one heavy unit or three light ones."""
    sizes = dict.fromkeys("hxyz", 2)
    scores = {group: np.array([10.0, 1.0]) for group in sizes} | {"h": np.array([10.0, 1.1])}
    terms = tuple(MacTerm(g, cost, (g,)) for g, cost in zip("hxyz", (4, 3, 3, 3), strict=True))
    budgets = (0.66, 0.85)  # of 26: first units and 4 MACs more, or 9 more
    up, down = (
        plan_widths(sizes, scores, terms, budgets, direction=direction, objective="sum")
        for direction in ("bottom-up", "top-down")
    )
    assert up.values[:2] == pytest.approx((41.1, 42.1))
    assert down.values[:2] == pytest.approx((41.0, 43.0))


def test_product_objective_buys_no_bottleneck():
    scores = {"a": np.full(8, 0.01), "b": np.linspace(8, 1, 8)}
    narrow = plan_widths(PAIR, scores, PAIR_TERMS, [0.3], objective="sum").widths[0]
    balanced = plan_widths(PAIR, scores, PAIR_TERMS, [0.3], objective="product").widths[0]
    assert narrow["a"] <= 2
    assert balanced["a"] >= 3


def test_scores_that_are_all_zero_count_as_equal():
    zeros = {group: np.zeros(size) for group, size in SIZES.items()}
    plan = plan_widths(SIZES, zeros, TERMS, BUDGETS)
    assert plan.widths == plan_widths(SIZES, equal_scores(SIZES), TERMS, BUDGETS).widths
    assert min(plan.widths[0].values()) > 16


def test_minimum_widths_and_groups_without_freedom():
    plan = plan_widths(SIZES, SCORES, TERMS, BUDGETS, minimum={"conv1": 64, "pw4": 60})
    assert [widths["conv1"] for widths in plan.widths] == [64] * 4
    assert plan.widths[0]["pw4"] >= 60
    plan = plan_widths(SIZES | {"tiny": 2}, SCORES | {"tiny": np.ones(2)}, TERMS, [0.5], minimum=20)
    assert min(plan.widths[0][group] for group in SIZES) >= 20
    assert plan.widths[0]["tiny"] == 2


def test_full_budget_is_the_full_network_once():
    plan = plan_widths(SIZES, SCORES, TERMS, (0.5, 1.0))
    assert plan.budgets == (0.5, 1.0)
    assert plan.widths[-1] == SIZES


def test_budgets_are_decimal_fractions():
    plan = plan_widths({"a": 100}, {"a": np.ones(100)}, (MacTerm("a", 1, ("a",)),), [0.29])
    assert plan.macs[0] == 29  # 0.29 * 100 is 28.999... in binary


def test_residual_graphs_are_planned_exactly():
    """A stack in, an inner layer and a stack out that a shortcut convolution ties in a triangle."""
    sizes = dict.fromkeys(("stem", "inner", "out"), 6)
    pairs = (("stem", "inner"), ("inner", "out"), ("out", "stem"))
    terms = tuple(MacTerm("-".join(pair), 7, pair) for pair in pairs)
    plans = [
        plan_widths(sizes, equal_scores(sizes), terms, [0.5], solver=solver)
        for solver in ("exact", "milp")
    ]
    assert plans[0].values == pytest.approx(plans[1].values, rel=1e-5)
    assert plans[0].gap == 0 and 0 < plans[0].macs[0] <= 0.5 * plans[0].macs[-1]


def test_own_objective_and_solver_are_named():
    def square_root(scores):
        return np.sqrt(np.arange(len(scores) + 1))

    plan = plan_widths(SIZES, SCORES, TERMS, [0.5], objective=square_root, solver=solve_exact)
    assert (plan.objective, plan.solver) == ("square_root", "solve_exact")
    utilities = {group: square_root(scores) for group, scores in SCORES.items()}
    given = plan_widths(SIZES, SCORES, TERMS, [0.5], objective=utilities)
    assert (given.objective, given.widths) == ("utilities", plan.widths)


def test_widths_are_multiples_or_full():
    plan = plan_widths(SIZES, SCORES, TERMS, BUDGETS, multiple={"conv1": 8, "pw4": 24}, minimum=5)
    assert {widths["conv1"] % 8 for widths in plan.widths} == {0}
    assert {widths["pw4"] for widths in plan.widths} <= {24, 48, 64}
    assert plan.status == "optimal"
    free = plan_widths(SIZES, SCORES, TERMS, BUDGETS, minimum=5)
    assert all(f >= m for f, m in zip(free.values[:1], plan.values[:1], strict=True))


def test_all_multiples_at_once_may_exceed_a_small_group():
    sizes = SIZES | {"tiny": 2}
    plan = plan_widths(sizes, SCORES | {"tiny": np.ones(2)}, TERMS, [0.5], multiple=8)
    assert plan.widths[0]["tiny"] == 2
    assert all(plan.widths[0][group] % 8 == 0 for group in SIZES)


def test_smallest_feasible_budget_is_named_and_works():
    with pytest.raises(PlanError, match=r"smallest feasible budget is 0\.\d+") as refusal:
        plan_widths(SIZES, SCORES, TERMS, (0.001, 0.5))
    assert "10,012" in str(refusal.value)  # MACs with every width 1
    smallest = float(str(refusal.value).split("budget is ")[1].split(":")[0])
    assert plan_widths(SIZES, SCORES, TERMS, (smallest, 0.5)).widths[0]["conv1"] == 1


@pytest.mark.parametrize(
    ("budgets", "message"),
    [
        ((0.5, 0.5), "50 % follows 50 %"),
        ((0.5, 0.25), "macs 0.25 follows 0.5"),
        ((0.0, 0.5), "got 0"),
        ((0.5, 25), "got 25"),
        ((-0.1,), "got -0.1"),
        ((float("nan"),), "got nan"),
    ],
)
def test_wrong_budgets_are_refused(budgets, message):
    with pytest.raises(PlanError, match=message):
        plan_widths(SIZES, SCORES, TERMS, budgets)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"scores": {"a": np.ones(8)}}, "No scores for group 'b'"),
        ({"scores": {"a": np.ones(8), "b": np.ones(7)}}, "has 8 units"),
        ({"scores": {"a": np.ones(8), "b": -np.ones(8)}}, "not negative, got -1"),
        ({"scores": {"a": np.ones(8), "b": np.full(8, np.nan)}}, "got nan"),
        ({"scores": {"a": np.ones(8), "b": np.arange(8)}}, "must descend"),
        ({"costs": (MacTerm("x", 1, ("c",)),)}, "group 'c', which has no size"),
        ({"costs": (MacTerm("x", 1, ("a", "b", "a")),)}, "has 3 groups"),
        ({"costs": (MacTerm("x", -1, ("a",)),)}, "no negative MACs"),
        ({"costs": ()}, "no MACs"),
        ({"sizes": {"a": 8, "b": 0}}, "has 0 units"),
        ({"minimum": {"c": 1}}, "given for 'c'"),
        ({"minimum": {"a": 9}}, "is 9"),
        ({"minimum": 0}, "is 0"),
        ({"multiple": {"a": 9}}, "multiple of group 'a' is 9"),
        ({"multiple": {"c": 2}}, "given for 'c'"),
        ({"direction": "sideways"}, "bottom-up, top-down"),
        ({"objective": "max"}, "sum, product"),
        ({"solver": "gurobi"}, "exact, milp"),
        ({"objective": np.cumsum}, "objective cumsum .* from 0 to 8"),
        ({"objective": lambda scores: np.full(len(scores) + 1, np.nan)}, "finite utility"),
    ],
)
def test_wrong_arguments_are_refused(change, message):
    right = {"sizes": PAIR, "scores": equal_scores(PAIR), "costs": PAIR_TERMS, "budgets": [0.5]}
    with pytest.raises(PlanError, match=message):
        plan_widths(**(right | change))


def test_saved_plan_loads_again(tmp_path):
    plan = plan_widths(SIZES, SCORES, TERMS, BUDGETS)
    assert Plan.load(plan.save(tmp_path / "deep" / "plan.json")) == plan
    assert Plan.from_dict(json.loads(json.dumps(plan.to_dict()))) == plan


@pytest.mark.parametrize("content", ["", "[]", "{}", '{"schema": 2}', '{"schema": 1, "x": 0}'])
def test_broken_plan_files_are_refused(tmp_path, content):
    path = tmp_path / "plan.json"
    with pytest.raises(PlanError, match="plan"):
        Plan.load(path)
    path.write_text(content)
    with pytest.raises(PlanError, match="plan"):
        Plan.load(path)


def test_a_plan_of_the_first_version_tells_the_way_out():
    with pytest.raises(PlanError, match=r"schema 1, this version reads schema 2.*nest"):
        Plan.from_dict({"schema": 1, "budgets": [1.0]})


def test_a_plan_must_be_nested_and_complete():
    plan = plan_widths(PAIR, equal_scores(PAIR), PAIR_TERMS, [0.5])
    with pytest.raises(PlanError, match="not nested"):
        replace(plan, widths=plan.widths[::-1])
    with pytest.raises(PlanError, match=r"must rise to 1\.0"):
        replace(plan, budgets=(0.5, 0.9))
    with pytest.raises(PlanError, match="as many subnets"):
        replace(plan, macs=plan.macs[:1])


def test_table_shows_every_subnet():
    plan = plan_widths(SIZES, SCORES, TERMS, BUDGETS)
    lines = str(plan).splitlines()
    assert len(lines) == 7
    for k, line in enumerate(lines[1:5]):
        assert f"{plan.macs[k]:,}" in line
        assert line.split()[-5:] == [str(width) for width in plan.widths[k].values()]
    assert "bottom-up" in lines[-2] and "optimal" in lines[-2]
