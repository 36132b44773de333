"""Profiled times: they tell what an image takes, and plans by time keep their budgets."""

from dataclasses import replace
from itertools import product

import pytest
from keras_models import data, make

import tflm_reds as reds
from tflm_reds import profile as command
from tflm_reds.boards.schema import FOLDER, load_board
from tflm_reds.budget import Budget
from tflm_reds.codegen.toolchain import target_compiler
from tflm_reds.codegen.tuning import cache
from tflm_reds.errors import BoardError, ModelError, PlanError
from tflm_reds.image_times import image_times
from tflm_reds.keras_reader import read_model
from tflm_reds.latency import LatencyTable
from tflm_reds.nested_model import NestedModel
from tflm_reds.network_costs import network_costs
from tflm_reds.plan import Plan
from tflm_reds.profiling import full_network, profile
from tflm_reds.quantization import quantize
from tflm_reds.report import SubnetRow
from tflm_reds.report.times import time_notes

BOARD = "nano33ble"


SLOW = [pytest.param(name, marks=pytest.mark.slow) for name in ("flattening_cnn", "concatenating")]


@pytest.fixture(scope="module", params=["ds_cnn", *SLOW])
def profiled(request):
    """A model and its table."""
    model = make(request.param, seed=1)
    return model, profile(model, BOARD)


def image_of(model, *widths):
    """Times of the image with these widths below the full network's."""
    graph, weights = read_model(model)
    widths = [*widths, graph.groups]
    macs = [graph.macs(each) for each in widths]
    plan = Plan.from_widths(widths, macs, [m / macs[-1] for m in macs])
    nested = NestedModel.from_weights(graph, weights, plan)
    return image_times(quantize(nested, data(model, 4)[0]), load_board(BOARD), "speed")


def test_the_table_tells_the_times_of_an_image(profiled):
    """Of the full network, which it was made with, and of narrow subnets beside it."""
    model, table = profiled
    graph, net = full_network(model)
    (full,) = image_times(net, load_board(BOARD), "speed").milliseconds
    half = {group: (size + 1) // 2 for group, size in graph.groups.items()}
    image = image_of(model, half)
    costs = network_costs(graph, table).measure([half, graph.groups])
    assert costs[1]["ms"] == pytest.approx(full, rel=0.12)
    assert costs[0]["ms"] == pytest.approx(image.milliseconds[0], rel=0.2)
    power = load_board(BOARD).energy.power_mw[1]
    assert costs[0]["uj"] == pytest.approx(costs[0]["ms"] * power)
    # A flatten is an op only where its channels are cut: the table of the full network lacks it.
    layers = {op.name.split(" + ")[0] for op in image.program.ops}
    assert layers - {"flat"} == set(table.layers)


def check_filled(nested, x, kind, factor):
    """Each subnet keeps its budget, and uses 0.95 of it unless the next width exceeds it."""
    net = quantize(nested, x)  # other ranges than those that the plan was checked with
    image = image_times(net, load_board(BOARD), "speed")
    plan = nested.plan
    for k, limit in enumerate(plan.limits[:-1]):
        allowed = limit.limits[kind]
        used = image.milliseconds[k] * factor
        assert used <= allowed
        assert plan.costs[k][kind] == pytest.approx(used, rel=0.01)
        if used < 0.95 * allowed:
            for wider in neighbours(plan, k):
                assert wider_time(nested, x, k, wider) * factor > 0.99 * allowed


def neighbours(plan, k):
    """The widths of subnet k with one group a unit wider, within the next subnet."""
    small, large = plan.widths[k], plan.widths[k + 1]
    return [small | {group: small[group] + 1} for group in small if small[group] < large[group]]


def wider_time(nested, x, k, widths):
    plans = [*nested.plan.widths]
    plans[k] = widths
    macs = [nested.graph.macs(w) for w in plans]
    plan = Plan.from_widths(plans, macs, nested.plan.budgets)
    _, weights = read_model(nested.subnet(nested.subnet_count - 1))
    wider = NestedModel.from_weights(nested.graph, weights, plan)
    return image_times(quantize(wider, x), load_board(BOARD), "speed").milliseconds[k]


def test_plans_by_time_keep_and_fill_their_budgets(profiled):
    model, table = profiled
    least, full = (sum(t.ms[i][i] for t in table.layers.values()) for i in (0, -1))
    budgets = [least + share * (full - least) for share in (0.4, 0.75)]
    x, y = data(model, 60)
    nested = reds.nest(model, (x, y), budgets_ms=budgets, latency=table)
    check_filled(nested, x, "ms", factor=1.0)


def test_plans_by_energy_keep_and_fill_their_budgets(profiled):
    """The plan's costs are the image's, as the test of times shows."""
    model, table = profiled
    power = load_board(BOARD).energy.power_mw[1]
    least, full = (power * sum(t.ms[i][i] for t in table.layers.values()) for i in (0, -1))
    budget = Budget(uj=least + 0.6 * (full - least), macs=0.99)
    cost = reds.nest(model, data(model, 60), [budget], latency=table).plan.costs[0]
    assert 0.7 * budget.uj < cost["uj"] <= budget.uj
    assert cost["uj"] == pytest.approx(cost["ms"] * power)


def test_the_cache_tells_boards_apart():
    """The core's cycles are those of every board; the upper edge depends on its flash."""
    nano = load_board(BOARD)
    slow = replace(nano, timing=replace(nano.timing, data_wait_states=(0, 9)))
    keys = {
        (figure, board.timing): cache._basis(board, target_compiler(), figure)
        for figure, board in product(("ws0", "high"), (nano, slow))
    }
    assert keys["ws0", nano.timing] == keys["ws0", slow.timing]
    assert len(set(keys.values())) == 3


def test_command_writes_a_table_and_a_second_profile_measures_nothing(
    tmp_path, monkeypatch, capsys
):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    model = make("ds_cnn", seed=1)
    model.save(tmp_path / "net.keras")
    out = tmp_path / "net.json"
    assert command.main([str(tmp_path / "net.keras"), "--out", str(out), "--points", "8"]) == 0
    table = LatencyTable.load(out)
    assert (table.board, table.optimize) == (BOARD, "speed")
    printed = capsys.readouterr().out
    assert "pw1 " in printed and "ms (modelled, upper edge)" in printed
    times = {path: path.stat().st_mtime_ns for path in (tmp_path / "cache").rglob("*.json")}
    assert profile(model, BOARD, points=8) == table
    assert {path: path.stat().st_mtime_ns for path in (tmp_path / "cache").rglob("*.json")} == times


def test_what_cannot_be_profiled(tmp_path, capsys):
    model = make("ds_cnn", seed=1)
    text = (FOLDER / "nano33ble.toml").read_text()
    (tmp_path / "m7.toml").write_text(text.replace("cortex-m4f", "cortex-m7f"))
    with pytest.raises(BoardError, match="cortex-m7f, for which there is no cycle model"):
        profile(model, tmp_path / "m7.toml")
    with pytest.raises(PlanError, match="grid of 7 widths"):
        profile(model, BOARD, points=7)
    with pytest.raises(BoardError, match="No board nosuch"):
        profile(model, "nosuch")
    assert command.main([str(tmp_path / "gone.keras")]) == ModelError.exit_code
    assert "no model file" in capsys.readouterr().err


def test_energy_budgets_need_a_documented_current():
    model = make("ds_cnn", seed=1)
    table = LatencyTable.from_macs(read_model(model)[0], 1000)
    with pytest.raises(PlanError, match=r"limits uj.*whose current is documented"):
        reds.nest(model, data(model, 40), [Budget(uj=5.0)], latency=table)


def test_a_time_that_no_widths_keep(profiled):
    model, table = profiled
    with pytest.raises(PlanError, match=r"allows 20,\d+ ns.*layer '\w+' takes"):
        reds.nest(model, data(model, 40), budgets_ms=[0.0206], latency=table)


@pytest.mark.parametrize(
    ("interval", "verdict"),
    [
        ((1.0, 5.0), "budget of 5 ms of subnet 0 is kept: the image takes at most 5.000"),
        ((1.0, 5.1), "is EXCEEDED: the image may take 5.100"),
        (None, "its time is not modelled"),
    ],
)
def test_the_report_tells_whether_a_build_keeps_its_times(interval, verdict):
    plan = Plan.from_widths([{"a": 1}, {"a": 2}], [1, 2], [0.5, 1.0])
    plan = replace(plan, limits=(Budget(ms=5.0), Budget(macs=1.0)))
    rows = [SubnetRow(0, 0.5, {"a": 1}, ms_modelled=interval), SubnetRow(1, 1.0, {"a": 2})]
    (note,) = time_notes(plan, rows)
    assert verdict in note
