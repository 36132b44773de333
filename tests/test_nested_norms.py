"""What subnets share of their batch-norms: in the float model, in training, in int8, in C."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from keras_models import data, make

import tflm_reds as reds
from tflm_reds.batch_norm import channel_means, scale_and_shift
from tflm_reds.codegen.host import HostLibrary
from tflm_reds.codegen.lower import lower
from tflm_reds.codegen.program import flash_bytes
from tflm_reds.errors import ModelError
from tflm_reds.keras_reader import read_model
from tflm_reds.nested_model import NestedModel
from tflm_reds.nested_norms import BATCH_NORMS
from tflm_reds.nesting import plan_graph
from tflm_reds.network_costs import network_costs
from tflm_reds.recalibration import recalibrate
from tflm_reds.score import score

SHARES_SCALE = {"per_subnet": False, "shared_scale": True, "shared": True}


@pytest.fixture(scope="module", params=BATCH_NORMS)
def trained(request):
    """(mode, trained float model, nested and trained model, inputs)."""
    model = make("ds_cnn", seed=5, negative_gammas=True)
    x, y = data(model, 200)
    nested = reds.nest(model, (x, y), (0.3, 0.6), batch_norm=request.param)
    expected = model.predict(x, verbose=0)
    actual = nested.predict(x, verbose=0)[-1]
    assert np.abs(actual - expected).max() <= 1e-4 * np.abs(expected).max()
    nested.compile("adam", "sparse_categorical_crossentropy")
    nested.fit(x, y, epochs=2, batch_size=20, verbose=0)
    return request.param, nested, x


def test_subnets_equal_their_sliced_models_after_training(trained):
    _, nested, x = trained
    for k, output in enumerate(nested.predict(x, verbose=0)):
        sliced = nested.subnet(k).predict(x, verbose=0)
        np.testing.assert_allclose(sliced, output, rtol=1e-4, atol=1e-5)


def test_subnets_share_what_the_mode_says(trained):
    mode, nested, _ = trained
    full = nested.subnet_arrays(nested.subnet_count - 1)
    small = nested.subnet_arrays(0)
    for name, kinds in (("bn1", ("gamma", "variance")), ("bn1", ("beta", "mean"))):
        shared = SHARES_SCALE[mode] if "gamma" in kinds else mode == "shared"
        for kind in kinds:
            own = small[f"{name}/{kind}"]
            assert np.array_equal(own, full[f"{name}/{kind}"][: len(own)]) == shared, kind
    assert (full["bn1/gamma"] > 0).all()


def test_recalibration_measures_only_what_a_subnet_has_for_itself(trained):
    mode, nested, x = trained
    before = nested.subnet_arrays(0)
    recalibrate(nested, x + 0.3, batch_size=len(x))
    after = nested.subnet_arrays(0)
    moved = {kind for kind in ("gamma", "beta", "mean", "variance")
             if not np.array_equal(before[f"bn1/{kind}"], after[f"bn1/{kind}"])}  # fmt: skip
    expected = {"per_subnet": {"mean", "variance"}, "shared_scale": {"mean"}, "shared": set()}
    assert moved == expected[mode]
    probe = nested.subnet(0)
    conv = keras.Model(probe.inputs, probe.get_layer("conv1").output).predict(x + 0.3, verbose=0)
    if moved:
        np.testing.assert_allclose(after["bn1/mean"], conv.mean((0, 1, 2)), atol=1e-3)


def test_generated_c_stores_shared_tables_once(trained, tmp_path):
    mode, nested, x = trained
    net = reds.quantize(nested, x)
    program = lower(net)
    for op in program.ops:
        if op.tables:
            behind_norm = op.name != "fc"
            assert op.shares_bias == (mode == "shared" or not behind_norm)
            assert op.shares_requantisation == (SHARES_SCALE[mode] or not behind_norm)
    modelled = network_costs(nested.graph, batch_norm=mode).measure(nested.plan.widths)
    for k, costs in enumerate(modelled):
        image, cut = flash_bytes(program, k), net.keep(range(k + 1))
        filling = image["weights"] - cut.weight_bytes  # packed weights
        assert costs["flash"] + filling == sum(image.values())
    library, inputs = HostLibrary(program, tmp_path), net.quantize_input(x[:20])
    for k in range(net.subnet_count):
        np.testing.assert_array_equal(library.run(inputs, k), net.run(inputs, k))


def test_the_mode_is_saved(trained, tmp_path):
    mode, nested, x = trained
    nested.save(tmp_path / "nested.keras")
    loaded = keras.models.load_model(tmp_path / "nested.keras")
    assert loaded.batch_norm == mode
    for a, b in zip(nested.predict(x, verbose=0), loaded.predict(x, verbose=0), strict=True):
        np.testing.assert_array_equal(a, b)


def test_a_config_without_a_mode_is_per_subnet(trained):
    config = {k: v for k, v in trained[1].get_config().items() if k != "batch_norm"}
    assert NestedModel.from_config(config).batch_norm == "per_subnet"


def test_flash_budgets_count_what_is_shared():
    """Under the same budgets, shared tables leave room for wider layers."""
    graph, weights = read_model(make("ds_cnn", seed=5))
    full = network_costs(graph, batch_norm="shared").measure([graph.groups])[0]["flash"]
    scores = score(graph, weights, np.empty(0), np.empty(0), method="magnitude")
    budgets = [reds.Budget(flash=int(share * full)) for share in (0.6, 0.8)]
    plans = [plan_graph(graph, scores, budgets, batch_norm=mode) for mode in BATCH_NORMS]
    assert plans[0].macs[1] < plans[1].macs[1] < plans[2].macs[1] < plans[2].macs[2]


def test_unknown_mode_is_refused():
    model = make("ds_cnn", seed=5)
    with pytest.raises(ModelError, match=r"'own' does not exist.*per_subnet, shared_scale"):
        reds.nest(model, data(model, 50), batch_norm="own")


@pytest.mark.parametrize("shape", [(6, 5, 3, 7), (9, 4)])
def test_gradients_of_one_scale_equal_those_of_plain_arithmetic(shape):
    random = np.random.default_rng(1)
    x, upstream = random.normal(size=(2, *shape)).astype(np.float32)
    scale, beta = random.normal(size=(2, shape[-1])).astype(np.float32)

    def gradients(function):
        inputs = [tf.constant(a) for a in (x, scale, beta)]
        with tf.GradientTape() as tape:
            tape.watch(inputs)
            loss = tf.reduce_sum(function(*inputs) * upstream)
        return tape.gradient(loss, inputs)

    def plain(x, scale, beta):
        return (x - tf.reduce_mean(x, list(range(len(shape) - 1)))) * scale + beta

    def fast(x, scale, beta):
        return scale_and_shift(x, scale, beta - channel_means(x) * scale)

    for ours, expected in zip(gradients(fast), gradients(plain), strict=True):
        np.testing.assert_allclose(ours, expected, rtol=1e-4, atol=1e-5)
