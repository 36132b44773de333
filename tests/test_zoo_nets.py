"""Every net of the zoo is read, planned, nested, and (slow) equal in int8 and in generated C."""

import numpy as np
import pytest

from tflm_reds.codegen.host import HostLibrary
from tflm_reds.codegen.lower import lower
from tflm_reds.keras_reader import read_model
from tflm_reds.nesting import nest, plan_graph
from tflm_reds.quantization import quantize
from tflm_reds.score import Scores
from tflm_reds.zoo import ZOO, load_zoo

BUDGETS = (0.25, 0.5, 0.75)
# Layers whose channels may be cut; each channel that goes through a depthwise convolution or an
# Add is counted once.
GROUPS = {
    "digits_ds_cnn": 3,
    "dnn_s_kws": 3,
    "dnn_l_kws": 3,
    "cnn_s_kws": 4,
    "cnn_l_kws": 4,
    "ds_cnn_s_kws": 5,
    "ds_cnn_l_kws": 6,
    "ds_cnn_s_fashion_mnist": 5,
    "ds_cnn_s_cifar10": 5,
    "resnet8_cifar10": 6,
    "mobilenet_v1_025_vww": 14,
    "mobilenet_v1_100_vww": 14,
    "vit_digits": 5,
    "vit_cifar10": 9,
}
FLOAT_ONLY = ("vit_digits", "vit_cifar10")


@pytest.fixture(autouse=True)
def no_data_directory(monkeypatch):
    monkeypatch.delenv("TFLM_REDS_DATA", raising=False)


@pytest.mark.parametrize("name", ZOO)
def test_every_net_is_planned_exactly(name):
    graph, _ = read_model(load_zoo(name)[0])
    assert len(graph.groups) == GROUPS[name]
    random = np.random.default_rng(0)
    values = {group: random.exponential(size=size) for group, size in graph.groups.items()}
    plan = plan_graph(graph, Scores(values, "random", samples=1), BUDGETS)
    for budget, widths in zip(BUDGETS, plan.widths, strict=False):
        assert 0.9 * budget < graph.macs(widths) / graph.macs() <= budget
    assert plan.gap == 0


@pytest.mark.slow
@pytest.mark.parametrize("name", [name for name in ZOO if name not in FLOAT_ONLY])
def test_every_net_is_nested_and_equal_in_int8_and_c(name, tmp_path):
    model, _ = load_zoo(name)
    x = np.random.default_rng(0).random((32, *model.input_shape[1:])).astype(np.float32)
    nested = nest(model, (x, np.arange(len(x)) % model.output_shape[-1]), BUDGETS)
    before, after = model.predict(x, verbose=0), nested.predict(x, verbose=0)[-1]
    assert np.abs(after - before).max() <= 1e-4 * np.abs(before).max()
    net = quantize(nested, x)
    host, inputs = HostLibrary(lower(net), tmp_path), net.quantize_input(x[:2])
    for subnet in range(net.subnet_count):
        np.testing.assert_array_equal(host.run(inputs, subnet), net.run(inputs, subnet))
