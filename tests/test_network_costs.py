"""Models of labels, flash, RAM and time against the paper, the image and arithmetic."""

import numpy as np
import pytest
from keras import Input, Model, Sequential, layers
from keras_models import ds_cnn, flattening_cnn, shake

import tflm_reds as reds
from tflm_reds.budget import Budget
from tflm_reds.codegen.lower import lower
from tflm_reds.codegen.program import flash_bytes, table_bytes
from tflm_reds.errors import PlanError
from tflm_reds.keras_reader import read_model
from tflm_reds.latency import LatencyTable, LayerTimes
from tflm_reds.measured_costs import measured_costs
from tflm_reds.nested_model import NestedModel
from tflm_reds.network_costs import network_costs
from tflm_reds.plan import Plan
from tflm_reds.recalibration import recalibrate
from tflm_reds.solvers.problem import count
from tflm_reds.zoo.keyword_spotting import cnn_s_kws, dnn_s_kws, ds_cnn_s_kws
from tflm_reds.zoo.mobilenet import mobilenet_v1_025_vww


def graph_of(model):
    return read_model(model)[0]


@pytest.mark.parametrize(
    ("build", "total", "widths", "share", "macs"),
    [
        # Published widths and totals of the paper's "25 %" subnets (code and appendix).
        (dnn_s_kws, 77_472, (15, 75, 33), 0.25, 7_746),
        (cnn_s_kws, 2_464_000, (23, 5), 0.25, 560_704),
        (ds_cnn_s_kws, 2_656_000, (9, 22, 48, 12, 63), 0.25, 471_381),
    ],
)
def test_labels_count_as_the_paper_does(build, total, widths, share, macs):
    graph = graph_of(build())
    costs = network_costs(graph)
    cut = dict(graph.groups) | dict(zip(graph.groups, widths, strict=False))
    assert count(costs.label, graph.groups) == total
    assert count(costs.label, cut) <= share * total
    assert graph.macs(cut) == macs


def residual(classes: int = 4) -> Model:
    """A stem, an identity shortcut around two convolutions, a shortcut convolution."""
    inputs = Input((8, 8, 3))
    x = layers.Conv2D(8, 3, padding="same", activation="relu", name="stem")(inputs)
    y = layers.Conv2D(6, 3, padding="same", activation="relu", name="a1")(x)
    y = layers.Conv2D(8, 3, padding="same", name="a2")(y)
    x = layers.ReLU(name="relu_a")(layers.Add(name="add_a")([x, y]))
    y = layers.Conv2D(12, 3, strides=2, padding="same", activation="relu", name="b1")(x)
    y = layers.Conv2D(12, 3, padding="same", name="b2")(y)
    x = layers.Conv2D(12, 1, strides=2, name="shortcut")(x)
    x = layers.ReLU(name="relu_b")(layers.Add(name="add_b")([x, y]))
    return Model(inputs, layers.Dense(classes, name="fc")(layers.GlobalAveragePooling2D()(x)))


def running_into_inputs() -> Sequential:
    """Kernels in order whose outputs are smaller and larger than their inputs, none in place."""
    return Sequential(
        [
            Input((12, 10, 3)),
            layers.Conv2D(9, 3, padding="same", name="conv1"),
            layers.MaxPooling2D(3, 1, padding="same", name="pool1"),
            layers.DepthwiseConv2D(5, padding="same", name="depthwise"),
            layers.Conv2D(14, 1, activation="relu", name="pointwise"),
            layers.ZeroPadding2D(((1, 0), (0, 2)), name="pad"),
            layers.Conv2D(17, 3, dilation_rate=2, name="conv2"),
            layers.AveragePooling2D(2, name="pool2"),
            layers.Flatten(name="flatten"),
            layers.Dense(16, activation="relu", name="fc1"),
            layers.Dense(5, name="fc2"),
        ]
    )


@pytest.mark.parametrize("build", [ds_cnn, flattening_cnn, residual, running_into_inputs])
def test_ram_and_flash_are_those_of_the_image(build):
    """But for the filling of packed weights: on these chains of packed kernels exactly; elsewhere
    no arena is smaller than the model says."""
    graph, weights = read_model(shake(build()))
    random = np.random.default_rng(5)
    drawn = {g: np.sort(random.integers(1, n + 1, 2)) for g, n in graph.groups.items()}
    widths = [*({g: int(w[k]) for g, w in drawn.items()} for k in range(2)), graph.groups]
    plan = Plan.from_widths(widths, [graph.macs(w) for w in widths], (0.3, 0.6, 1.0))
    nested = NestedModel.from_weights(graph, weights, plan)
    x = random.normal(size=(4, *graph.nodes[0].shape)).astype(np.float32)
    recalibrate(nested, x, subnets=range(2))  # or the subnets would share what they started from
    modelled = network_costs(graph).measure(widths)
    net = reds.quantize(nested, x)
    for k, (model, image) in enumerate(zip(modelled, measured_costs(nested, x), strict=True)):
        cut = net.keep(range(k + 1))
        filling = flash_bytes(lower(cut), k)["weights"] - cut.weight_bytes
        assert image["flash"] == model["flash"] + filling
        assert model["ram"] <= image["ram"]
        if build in (ds_cnn, flattening_cnn):
            assert model["ram"] == image["ram"]


def unfused_relu() -> Sequential:
    """A ReLU after pooling is an op with a table of its own, which the flash model leaves out."""
    return Sequential(
        [
            Input((8, 8, 2)),
            layers.Conv2D(12, 3, padding="same", name="conv1"),
            layers.GlobalAveragePooling2D(name="pool"),
            layers.ReLU(name="relu"),
            layers.Dense(16, activation="relu", name="fc1"),
            layers.Dense(5, name="fc2"),
        ]
    )


@pytest.fixture(scope="module")
def data():
    random = np.random.default_rng(0)
    return random.normal(size=(40, 8, 8, 2)).astype(np.float32), random.integers(0, 5, 40)


def test_budgets_hold_in_the_image_where_the_model_is_too_low(data):
    model = shake(unfused_relu())
    graph = graph_of(model)
    full = network_costs(graph).measure([graph.groups])[0]
    budgets = [Budget(macs=0.8, flash=int(full["flash"] * 0.9), ram=int(full["ram"] * 0.8))]
    nested = reds.nest(model, data, budgets)
    image = measured_costs(nested, data[0])[0]
    modelled = network_costs(graph).measure(nested.plan.widths)[0]
    assert image["flash"] > modelled["flash"]
    assert image["flash"] <= budgets[0].flash and image["ram"] <= budgets[0].ram
    assert nested.plan.limits[0] == budgets[0]
    assert nested.plan.costs[0]["flash"] == image["flash"]


@pytest.mark.slow
def test_visual_wake_words_in_32_and_40_kib():
    """MobileNetV1 0.25 needs 46 KiB; the image of each smaller subnet keeps its limit."""
    model = shake(mobilenet_v1_025_vww())
    random = np.random.default_rng(0)
    x, y = random.uniform(size=(16, 96, 96, 3)).astype(np.float32), random.integers(0, 2, 16)
    nested = reds.nest(model, (x, y), [Budget(ram=32 * 1024), Budget(ram=40 * 1024)])
    small, middle, full = (costs["ram"] for costs in measured_costs(nested, x))
    assert small <= 32 * 1024 < middle <= 40 * 1024 < full
    assert full == 45 * 1024 + 624  # and the scratch of the depthwise convolution beside it


def test_time_budgets_through_nest(data, tmp_path):
    model = shake(unfused_relu())
    graph = graph_of(model)
    saved = LatencyTable.from_macs(graph, macs_per_ms=1000).save(tmp_path / "times.json")
    latency = LatencyTable.load(saved)
    nested = reds.nest(model, data, [Budget(ms=5.0)], latency=latency)
    assert nested.plan.costs[0]["ms"] == pytest.approx(nested.plan.macs[0] / 1000, rel=1e-4)
    assert 4.5 < nested.plan.costs[0]["ms"] <= 5.0


def test_times_are_interpolated_between_the_grid_and_kept_at_its_edge():
    times = LayerTimes((2, 4), (1, 3, 9), ((1.0, 2.0, 5.0), (3.0, 6.0, 15.0)))
    assert times.at(2, 3) == 2.0
    assert times.at(3, 2) == pytest.approx((1 + 2 + 3 + 6) / 4)
    assert times.at(4, 6) == pytest.approx(10.5)
    assert times.at(1, 20) == 5.0
    assert times.at(np.array([[2], [4]]), np.array([1, 9])).tolist() == [[1.0, 5.0], [3.0, 15.0]]


@pytest.mark.parametrize(
    ("inputs", "outputs", "ms", "message"),
    [
        ((1, 2), (1,), ((1.0,),), r"shape \(1, 1\)"),
        ((2, 1), (1,), ((1.0,), (2.0,)), r"\(2, 1\) does not rise"),
        ((1,), (1,), ((-1.0,),), "negative"),
        ((1,), (1,), ((float("nan"),),), "not finite"),
    ],
)
def test_wrong_times_are_refused(inputs, outputs, ms, message):
    with pytest.raises(PlanError, match=message):
        LayerTimes(inputs, outputs, ms)


def test_a_latency_table_must_be_of_this_network(tmp_path):
    graph, other = graph_of(unfused_relu()), graph_of(ds_cnn())
    table = LatencyTable.from_macs(graph, 100)
    with pytest.raises(PlanError, match="is only in one of them"):
        network_costs(other, table)
    with pytest.raises(PlanError, match="0 MACs per ms"):
        LatencyTable.from_macs(graph, 0)
    for content in ("", "[]", '{"schema": 9, "board": "x", "layers": {}}'):
        (tmp_path / "bad.json").write_text(content)
        with pytest.raises(PlanError, match="no latency table"):
            LatencyTable.load(tmp_path / "bad.json")
    with pytest.raises(PlanError, match="no latency table"):
        LatencyTable.load(tmp_path / "missing.json")


def test_flash_of_the_plan_counts_the_tables_of_every_subnet():
    """Directly after nesting all batch-norms could look alike, and so share their tables."""
    model = shake(ds_cnn())
    x = np.random.default_rng(0).normal(0, 1, (64, 12, 8, 1)).astype(np.float32)
    y = np.random.default_rng(1).integers(0, 5, 64)
    whole = reds.nest(model, (x, y), (Budget(macs=0.5, flash=10**6),)).plan.costs[-1]["flash"]
    nested = reds.nest(model, (x, y), (Budget(flash=round(0.8 * whole)),))
    program = lower(reds.quantize(nested, x))
    for k, costs in enumerate(nested.plan.costs):
        assert costs["flash"] == sum(flash_bytes(program, k).values())
    channels = [len(op.tables[0].bias) for op in program.ops if op.tables]
    assert table_bytes(program, 1) > 9 * sum(channels) / 2


def test_times_are_interpolated_among_widths_of_the_same_remainder():
    """A kernel that takes two channels at a time: an odd one costs as much as two."""
    grid = (1, 2, 9, 10)
    times = LayerTimes((1,), grid, ((2.0, 2.0, 10.0, 10.0),), periods=(1, 2))
    assert times.at(1, np.arange(1, 11)).tolist() == [2, 2, 4, 4, 6, 6, 8, 8, 10, 10]
    assert times.at(1, 5) == 6.0
