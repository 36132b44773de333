"""Clipped activation ranges: zero stays, ReLUs keep their grid, and the outputs get nearer."""

import keras
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from keras import layers
from keras_models import data, make

import tflm_reds as reds
from tflm_reds.activation_scales import affine
from tflm_reds.clipping import Sensitivity
from tflm_reds.errors import DataError
from tflm_reds.quantization import activation_ranges

FEW = settings(max_examples=40, deadline=None, derandomize=True)
reals = st.floats(-1e6, 1e6, width=32)


@FEW
@given(st.lists(reals, min_size=1, max_size=30), st.integers(0, 99), st.sampled_from([0, 1e-9, 1]))
def test_a_cut_range_lies_inside_and_holds_zero(values, seed, size):
    """Constant tensors and tensors that nothing depends on are among them."""
    values = np.float32(values)[None]
    tensor = Sensitivity(float(values.min()), float(values.max()))
    tensor.add(values, size * np.random.default_rng(seed).normal(size=values.shape))
    low, high = tensor.best_range()
    assert min(values.min(), 0) <= low <= 0 <= high <= max(values.max(), 0)
    assert tensor.harm(low, high) <= tensor.harm(tensor.low, tensor.high)
    scale, zero_point = affine(low, high)
    assert 0 < scale < np.inf and -128 <= zero_point <= 127
    if values.min() >= 0:
        assert zero_point == -128
    if size == 0:
        assert (low, high) == (tensor.low, tensor.high)


def test_a_lone_outlier_is_clipped_unless_the_outputs_depend_on_it():
    values = np.append(np.random.default_rng(0).uniform(0, 1, 2000), 50)[None]
    highs = []
    for weight in (1e-3, 1.0):
        tensor = Sensitivity(0.0, 50.0)
        tensor.add(values, np.append(np.ones(2000), weight)[None])
        highs.append(tensor.best_range()[1])
    assert highs[0] < 10 and highs[1] > 49


def test_clipping_errors_of_one_sample_add_up():
    """1,000 clipped values that pull the outputs one way matter more than as many that do not."""
    bulk, tail = np.random.default_rng(0).uniform(0, 1, 20_000), np.full(1000, 3.0)
    values = np.append(bulk, tail)[None]
    highs = []
    for signs in (np.ones(1000), np.tile([1.0, -1.0], 500)):
        tensor = Sensitivity(0.0, 3.0)
        tensor.add(values, np.append(np.ones(20_000), signs)[None])
        highs.append(tensor.best_range()[1])
    assert highs[0] == pytest.approx(3.0, rel=0.06) and highs[1] < 2


def nested_model(name: str, seed: int = 0):
    model = make(name, seed=seed)
    x, y = data(model, 300)
    return reds.nest(model, (x, y), budgets=(0.4,)), x


def error(nested, net, x) -> float:
    """Mean squared error of the outputs, over all subnets."""
    inputs = net.quantize_input(x)
    return np.mean(
        [
            np.mean((net.dequantize_output(net.run(inputs, k)) - expected) ** 2)
            for k, expected in enumerate(nested.predict(x, verbose=0))
        ]
    )


@pytest.mark.parametrize("name", ["ds_cnn", "flattening_cnn"])
def test_outputs_are_nearer_to_float_than_with_all_values_covered(name):
    """On inputs with long tails, as real ones have; other inputs than calibration's."""
    model = make(name, seed=0)
    x, y = data(model, 600)
    x = x**3
    nested = reds.nest(model, (x, y), budgets=(0.4,))
    cut, full = (reds.quantize(nested, x[:400], ranges=method) for method in ("mse", "minmax"))
    assert error(nested, cut, x[400:]) < 0.8 * error(nested, full, x[400:])
    assert cut.output.scale == full.output.scale


def test_relus_keep_the_grid_that_the_fast_kernels_need():
    nested, x = nested_model("ds_cnn")
    net = reds.quantize(nested, x)
    relus = [op for op in net.ops if op.activation == "relu"]
    assert len(relus) == 3
    for op in relus:
        assert net.target(op).zero_point == -128
        assert net.activation_range(op) == (-128, 127)


def test_mse_is_the_default_and_stays_inside_minmax():
    nested, x = nested_model("flattening_cnn")
    cut, full = activation_ranges(nested, x), activation_ranges(nested, x, "minmax")
    for name, (low, high) in cut.items():
        assert min(full[name][0], 0) <= low <= high <= max(full[name][1], 0), name
    assert cut != full
    assert reds.quantize(nested, x).tensors == reds.quantize(nested, x, ranges=cut).tensors


def test_layers_of_zeros_and_of_constants():
    inputs = keras.Input((6,))
    zeros = layers.Dense(5, activation="relu", kernel_initializer="zeros", name="zeros")(inputs)
    constant = layers.Dense(4, kernel_initializer="zeros", bias_initializer="ones", name="ones")
    model = keras.Model(inputs, layers.Dense(3, name="fc")(constant(zeros)))
    x, y = data(model, 20)
    net = reds.quantize(reds.nest(model, (x, y), budgets=(0.5,)), x)
    for tensor in net.tensors.values():
        assert np.isfinite(tensor.scale) and tensor.scale > 0
    assert net.run(net.quantize_input(x), 0).shape == (20, 3)


def test_an_unknown_method_is_refused():
    nested, x = nested_model("mlp")
    with pytest.raises(DataError, match=r"no ranges 'percentile'. Choose one of mse, minmax"):
        reds.quantize(nested, x, ranges="percentile")
