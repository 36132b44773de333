"""Random Keras graphs to int8: every subnet follows float, and all implementations agree."""

import tempfile
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from machines import CortexM
from random_models import random_model, random_plan
from test_host import Model, sources_of

import tflm_reds as reds
from tflm_reds.codegen.host import HostLibrary
from tflm_reds.codegen.lower import lower
from tflm_reds.keras_reader import read_model
from tflm_reds.nested_model import NestedModel
from tflm_reds.permute import fold_negative_gammas
from tflm_reds.quantized import QuantizedNet
from tflm_reds.verify import comparison_inputs

FEW = settings(max_examples=4, derandomize=True)
MANY = settings(max_examples=60)


def random_nested(draw) -> NestedModel:
    graph, weights = read_model(random_model(draw))
    random = np.random.default_rng(draw(st.integers(0, 1000)))
    weights = fold_negative_gammas(graph, weights)
    return NestedModel.from_weights(graph, weights, random_plan(graph, random), "random")


def check(draw) -> None:
    nested = random_nested(draw)
    shape = nested.graph.nodes[0].shape
    x = np.random.default_rng(1).normal(0.2, 1, (40, *shape)).astype(np.float32)
    net = reds.quantize(nested, x)
    check_float(nested, net, x)
    assert tuple(net.macs(k) for k in range(net.subnet_count)) == nested.plan.macs
    check_implementations(net, comparison_inputs(net, x, 8))


def check_float(nested: NestedModel, net: QuantizedNet, x: np.ndarray) -> None:
    """A wrong channel anywhere would give noise as large as the signal."""
    for k in range(net.subnet_count):
        expected = np.asarray(nested.call_subnet(x, k, training=False))
        actual = net.dequantize_output(net.run(net.quantize_input(x), k))
        noise = np.sqrt(np.mean((actual - expected) ** 2))
        assert noise < 0.3 * np.std(expected) + 2 * net.output.scale, f"subnet {k}"


def check_implementations(net: QuantizedNet, x: np.ndarray) -> None:
    program = lower(net)
    with tempfile.TemporaryDirectory() as folder:
        host = HostLibrary(program, folder)
        machine = CortexM(sources_of(program, Path(folder)), Path(folder), Path(folder))
        model = Model(machine, program, net.name)
        assert model.init(model.arena, model.arena_bytes) == 0
        for k in range(net.subnet_count):
            expected = net.run(x, k).reshape(len(x), -1)
            np.testing.assert_array_equal(net.slice(k).run(x, 0).reshape(len(x), -1), expected)
            host.scramble_arena()
            np.testing.assert_array_equal(host.run(x, k), expected)
            np.testing.assert_array_equal(model.run(x[0], k), expected[0])


@FEW
@given(st.data())
def test_random_models(data):
    check(data.draw)


@pytest.mark.slow
@MANY
@given(st.data())
def test_many_random_models(data):
    check(data.draw)
