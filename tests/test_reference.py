"""QuantizedNet: file round trip, slices, true MACs, and its arithmetic against plain Python."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from random_nets import concatenating, dense_net, ds_cnn, every_op, random_inputs, residual

from tflm_reds.fixed_point import (
    multiply_by_quantized_multiplier,
    quantize_multiplier,
    rounding_divide_by_power_of_two,
)
from tflm_reds.quantized import QuantizedNet
from tflm_reds.softmax import softmax_int8

NETS = [ds_cnn, every_op, dense_net, residual, concatenating]


@pytest.mark.parametrize("make", NETS)
def test_slices_and_batches_give_the_same_bytes(make):
    net = make(seed=3)
    x = random_inputs(net, 40)
    for k in range(net.subnet_count):
        expected = net.run(x, k)
        np.testing.assert_array_equal(net.slice(k).run(x, 0), expected)
        np.testing.assert_array_equal(net.run(x, k, batch=7), expected)


@pytest.mark.parametrize("make", NETS)
def test_file_round_trip(make, tmp_path):
    net = make(seed=1)
    first, second = net.save(tmp_path / "a.npz"), net.save(tmp_path / "b.npz")
    assert first.read_bytes() == second.read_bytes()
    loaded = QuantizedNet.load(first)
    assert (loaded.tensors, loaded.ops) == (net.tensors, net.ops)
    x = random_inputs(net, 5)
    for k in range(net.subnet_count):
        np.testing.assert_array_equal(loaded.run(x, k), net.run(x, k))


@given(st.floats(1e-9, 1e9))
def test_quantized_multiplier_is_within_half_a_step(real):
    multiplier, shift = quantize_multiplier(real)
    assert 2**30 <= multiplier < 2**31
    assert abs(multiplier * 2.0 ** (shift - 31) - real) <= 2.0 ** (shift - 32)


@given(st.integers(-(2**31), 2**31 - 1), st.integers(0, 30))
def test_divide_by_power_of_two_rounds_half_away(x, exponent):
    magnitude = (abs(x) + (1 << exponent >> 1)) >> exponent
    expected = magnitude if x >= 0 else -magnitude
    assert rounding_divide_by_power_of_two(np.int64(x), exponent) == expected


@given(st.integers(-(2**23), 2**23), st.floats(1e-6, 120.0))
def test_requantisation_is_within_one_of_the_real_product(x, real):
    actual = int(multiply_by_quantized_multiplier(np.int64(x), *quantize_multiplier(real)))
    assert abs(actual - x * real) <= 1.0 + abs(x * real) * 2**-29


@given(st.lists(st.integers(-128, 127), min_size=2, max_size=12), st.floats(0.001, 0.5))
def test_softmax_is_within_one_step_of_the_real_one(values, scale):
    x = np.array([values], np.int8)
    real = np.exp(x.astype(float) * scale - (x.max() * scale))
    expected = real / real.sum() * 256 - 128
    assert np.abs(softmax_int8(x, scale) - np.minimum(expected, 127)).max() <= 1.0


def test_quantised_input_rounds_and_saturates():
    net = ds_cnn()
    x = np.zeros((2, *net.input.shape), np.float32)
    x[0], x[1] = 1e9, -1e9
    assert net.quantize_input(x)[0].min() == 127 and net.quantize_input(x)[1].max() == -128
