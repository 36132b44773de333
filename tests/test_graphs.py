"""Random graphs with branches: slices, generated C and TFLM give the same bytes."""

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from random_graphs import random_graph
from random_nets import random_inputs
from tflm_wheels import custom_ops, pinned_wheel

from tflm_reds.channel_order import sort_channels
from tflm_reds.codegen.host import HostLibrary
from tflm_reds.codegen.lower import lower
from tflm_reds.quantized import active_weights
from tflm_reds.tflite_io import write_reds_model
from tflm_reds.tflm import Interpreter
from tflm_reds.tflm_verify import sliced_models

seeds = st.integers(0, 2**31)


@given(seeds, st.integers(1, 8))
@settings(max_examples=60)
def test_slices_and_sorted_channels_give_the_same_bytes(seed, steps):
    net = random_graph(seed, steps)
    x = random_inputs(net, 6, seed)
    ordered = sort_channels(net)
    for k in range(net.subnet_count):
        expected = net.run(x, k)
        np.testing.assert_array_equal(net.slice(k).run(x, 0), expected)
        np.testing.assert_array_equal(ordered.run(x, k), expected)
        np.testing.assert_array_equal(net.keep(range(k + 1)).run(x, k), expected)
        assert net.slice(k).macs(0) == ordered.macs(k) == net.macs(k)


@given(seeds)
@settings(max_examples=30)
def test_every_tensor_of_sorted_channels_is_a_prefix_of_the_next_subnets(seed):
    """Contract 5.2: each weight of a subnet is a leading slice of the larger subnet's."""
    net = sort_channels(random_graph(seed, 6))
    for op in net.ops:
        if op.weights is not None:
            slices = [active_weights(net, op, k) for k in range(net.subnet_count)]
            for small, large in itertools.pairwise(slices):
                prefix = tuple(map(slice, small.shape))
                np.testing.assert_array_equal(small, large[prefix])


@pytest.mark.parametrize("seed", range(10))
def test_generated_c_whatever_the_arena_holds(seed, tmp_path):
    net = random_graph(seed, 5)
    library = HostLibrary(lower(net), tmp_path)
    x = random_inputs(net, 10, seed)
    for subnet in range(net.subnet_count):
        library.scramble_arena()
        expected = net.run(x, subnet).reshape(len(x), -1)
        np.testing.assert_array_equal(library.run(x, subnet), expected)


@pytest.mark.parametrize("seed", range(20, 26))
def test_sliced_stock_models_and_custom_ops_in_tflm(seed, tmp_path):
    net, wheel = random_graph(seed, 6), pinned_wheel()
    x = random_inputs(net, 10, seed)
    sliced = sliced_models(net, wheel)(x)
    path = write_reds_model(net, tmp_path / "reds.tflite")
    with Interpreter(path, custom_ops(wheel.abi), wheel) as tflm:
        for subnet in range(net.subnet_count):
            expected = net.run(x, subnet).reshape(len(x), -1)
            np.testing.assert_array_equal(sliced[subnet], expected)
            nested = tflm.run_switching(x, [subnet] * len(x))
            np.testing.assert_array_equal(nested.reshape(len(x), -1), expected)
