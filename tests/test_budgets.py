"""Budgets: checks, several limits at once, and what forces a limit that cannot be met."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from benchmarks.planner import NETS, lognormal_scores
from tflm_reds.budget import Budget, checked_budgets, combined_budgets
from tflm_reds.costs import Costs, LimitMaker
from tflm_reds.errors import PlanError
from tflm_reds.plan import Plan
from tflm_reds.planning import plan_widths
from tflm_reds.solvers.problem import MacTerm, count

SIZES, TERMS = NETS["ds_cnn_s"]
SCORES = lognormal_scores(SIZES, seed=1)
PAIRS = [*zip(list(SIZES), list(SIZES)[1:], strict=False)]
COSTS = Costs(
    macs=TERMS,
    label=TERMS[:-1],
    ram=tuple(MacTerm(f"{a}-{b}", 2, (a, b)) for a, b in PAIRS),
    weights=tuple(MacTerm(b, 1, (a, b)) for a, b in PAIRS),
    tables=tuple(MacTerm(group, 9, (group,)) for group in SIZES),
    time=tuple(replace(term, coefficient=10 * term.coefficient) for term in TERMS),
)


def plan(budgets, **options) -> Plan:
    return plan_widths(SIZES, SCORES, COSTS, budgets, **options)


@settings(max_examples=15)
@given(
    st.fixed_dictionaries(
        {"macs": st.floats(0.3, 0.9)},
        optional={
            "label": st.floats(0.3, 0.9),
            "ram": st.integers(2000, 8000),
            "flash": st.integers(9000, 16000),
            "ms": st.floats(8, 25),
        },
    ),
    st.sampled_from(["bottom-up", "top-down"]),
)
def test_every_subnet_keeps_all_its_limits(limits, direction):
    small = {kind: 0.7 * v if isinstance(v, float) else v for kind, v in limits.items()}
    budgets = [Budget(**small), Budget(**limits)]
    result = plan(budgets, direction=direction)
    for k, budget in enumerate(budgets):
        costs = result.costs[k] | {"macs": result.fractions[k]}
        # The label's MACs are rounded, as the paper's are.
        costs["label"] = (costs["label"] - 1) / count(COSTS.label, SIZES)
        assert all(costs[kind] <= limit for kind, limit in budget.limits.items())
    assert result.limits == (*budgets, Budget(macs=1.0))
    assert result.status == "optimal"


def test_costs_are_those_of_the_image_cut_to_each_subnet():
    result = plan([0.25, 0.5])
    tables = [count(COSTS.tables, widths) for widths in result.widths]
    for k, widths in enumerate(result.widths):
        assert result.costs[k]["flash"] == count(COSTS.weights, widths) + sum(tables[: k + 1])
        assert result.costs[k]["ram"] == max(2 * widths[a] * widths[b] for a, b in PAIRS)
        assert result.costs[k]["ms"] == pytest.approx(result.macs[k] * 10e-6)


def test_a_limit_of_a_larger_subnet_binds_the_smaller_one_too():
    """Bottom-up must leave room: the smaller subnet is part of the larger one."""
    result = plan([Budget(macs=0.4), Budget(macs=0.5, ram=3000)])
    assert result.costs[0]["ram"] <= result.costs[1]["ram"] <= 3000


@pytest.mark.parametrize("direction", ["bottom-up", "top-down", "joint"])
def test_room_is_left_for_the_tables_of_every_subnet(direction):
    budgets = [Budget(macs=k / 10, flash=14000) for k in range(3, 8)]
    result = plan(budgets, direction=direction)
    assert max(costs["flash"] for costs in result.costs[:-1]) <= 14000


def test_flash_limits_of_decided_neighbours():
    """An image's other tables are known, or counted as wide as the subnet itself."""
    maker = LimitMaker(COSTS, (Budget(flash=9000), Budget(flash=12000)), SIZES)
    widths = dict.fromkeys(SIZES, 10)
    own = count(COSTS.weights, widths) + count(COSTS.tables, widths)
    (alone,) = maker.limits(0, {}, alone=True)
    assert (alone.cost(widths), alone.capacity) == (own, 9000)
    small, larger = maker.limits(0, {1: dict.fromkeys(SIZES, 20)})
    assert (small.cost(widths), small.capacity) == (own, 9000)
    assert larger.cost(widths) == count(COSTS.tables, widths)
    assert larger.capacity == 12000 - count(COSTS.weights, dict.fromkeys(SIZES, 20)) - count(
        COSTS.tables, dict.fromkeys(SIZES, 20)
    )
    (larger,) = maker.limits(1, {})
    assert larger.cost(widths) == own + count(COSTS.tables, widths)


def test_subnets_without_mac_budgets_are_named_by_what_they_take():
    result = plan([Budget(ram=1000), Budget(ram=3000)])
    assert result.budgets == (*(round(share, 4) for share in result.fractions[:-1]), 1.0)
    assert Plan.from_dict(result.to_dict()) == result


def test_the_table_shows_limits_and_costs():
    text = str(plan([Budget(macs=0.5, ram=3000, flash=12000, ms=12)], direction="joint"))
    assert "50 %, 3,000 B RAM, 12,000 B flash, 12 ms" in text
    assert all(title in text for title in ("RAM B", "flash B", "label MACs", "of at most"))


def test_lists_of_limits_make_a_budget_for_each_subnet():
    assert combined_budgets() == tuple(Budget(macs=m) for m in (0.25, 0.5, 0.75))
    assert combined_budgets(ram=[100, 200], macs=None) == (Budget(ram=100), Budget(ram=200))
    both = combined_budgets(macs=[0.2, 0.4], ram=[900], flash=[10, 20])
    assert both[1] == Budget(macs=0.4, ram=900, flash=20)
    with pytest.raises(PlanError, match="3 budgets, but 2 values of macs"):
        combined_budgets(macs=[0.2, 0.4], ram=[1, 2, 3])


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({}, "limits nothing"),
        ({"macs": 0.0}, "macs is a fraction .* got 0"),
        ({"label": 25}, "label is a fraction .* Write 25 % as 0.25"),
        ({"ram": 0}, "ram is above 0: got 0"),
        ({"ms": -1.0}, "ms is above 0: got -1"),
        ({"flash": float("nan")}, "flash is above 0: got nan"),
    ],
)
def test_wrong_limits_are_refused(values, message):
    with pytest.raises(PlanError, match=message):
        Budget(**values)


@pytest.mark.parametrize(
    ("budgets", "message"),
    [
        ((0.25, "half"), "'half' is no budget"),
        (({"rom": 5},), "'rom': 5.* macs, label, ram, flash, ms"),
        ((None,), "None is no budget"),
        ((Budget(macs=0.3, ram=900), Budget(macs=0.5, ram=800)), "ram 800 follows 900.*Sort"),
        ((Budget(macs=0.3, ms=5.0), Budget(macs=0.2, ms=9.0)), "macs 0.2 follows 0.3"),
        ((Budget(ram=900), Budget(ram=900)), "without duplicates"),
    ],
)
def test_contradictory_budgets_are_refused(budgets, message):
    with pytest.raises(PlanError, match=message):
        checked_budgets(budgets)


@pytest.mark.parametrize(
    ("budget", "message"),
    [
        (Budget(macs=0.5, ram=1), r"allows 1 B of RAM.*takes 2, .*'conv1-pw1' takes 2"),
        (Budget(flash=48), r"allows 48 B of flash.*takes 49, .*layer 'pw1' takes 10"),
        (Budget(ms=0.1), r"allows 100,000 ns.*takes 100,120, .*layer 'conv1' takes 50,000"),
    ],
)
def test_a_limit_that_no_subnet_meets_names_the_layer(budget, message):
    with pytest.raises(PlanError, match=message) as refusal:
        plan([budget])
    assert "raise the budget or lower `minimum`" in str(refusal.value)


def test_costs_need_not_rise_with_the_width():
    """One layer fits only when it is wide; nothing fits when the MACs forbid that."""
    costs = replace(COSTS, ram=(_Falling(),))
    met = plan_widths(SIZES, SCORES, costs, [Budget(macs=0.5, ram=40)])
    assert met.widths[0]["conv1"] >= 60
    with pytest.raises(PlanError, match="takes 99"):
        plan_widths(SIZES, SCORES, costs, [Budget(macs=0.05, ram=40)])


class _Falling:
    """100 less the width: a layer that needs least memory at full width."""

    layer, groups = "odd", ("conv1",)

    def cost(self, width):
        return 100 - width


def test_a_budget_that_limits_nothing_more_is_refused():
    with pytest.raises(PlanError, match="leads to the same subnet as the next larger one"):
        plan([Budget(ram=1000), Budget(ram=8192)])


@pytest.mark.parametrize("budget", [Budget(label=0.5), Budget(ram=99), Budget(flash=99)])
def test_limits_need_costs(budget):
    with pytest.raises(PlanError, match="its costs are not known: give network_costs"):
        plan_widths(SIZES, SCORES, TERMS, [budget])


def test_a_time_limit_needs_a_latency_table():
    with pytest.raises(PlanError, match="latency=LatencyTable"):
        plan_widths(SIZES, SCORES, TERMS, [Budget(ms=5.0)])


def test_labels_are_rounded_and_macs_are_rounded_down():
    terms = (MacTerm("a", 1, ("a",)),)
    costs = Costs(terms, label=terms)
    scores = {"a": np.ones(7)}
    assert plan_widths({"a": 7}, scores, costs, [Budget(label=0.5)]).macs[0] == 4
    assert plan_widths({"a": 7}, scores, costs, [Budget(macs=0.5)]).macs[0] == 3
