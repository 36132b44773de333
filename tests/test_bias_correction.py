"""Corrected biases: means of channels come nearer to the float network's, nothing else moves."""

import keras
import numpy as np
import pytest
from keras_models import data, make

import tflm_reds as reds
from tflm_reds import quantization
from tflm_reds.nested_model import NestedModel
from tflm_reds.quantized import QuantizedNet

BUDGETS = (0.4, 0.7)


def nested_and_inputs(name: str, **options) -> tuple[NestedModel, np.ndarray]:
    model = make(name)
    x, y = data(model, 400)
    return reds.nest(model, (x, y), BUDGETS, **options), x


def both(nested: NestedModel, x: np.ndarray, monkeypatch) -> tuple[QuantizedNet, QuantizedNet]:
    """(as rounded, corrected)."""
    corrected = quantization.quantize(nested, x)
    with monkeypatch.context() as patch:
        patch.setattr(quantization, "correct_biases", lambda net, *_: net)
        return quantization.quantize(nested, x), corrected


def mean_error(net: QuantizedNet, nested: NestedModel, x: np.ndarray, node: str, tensor: str):
    """Largest error of a channel's mean over all subnets, in steps of the tensor."""
    errors = []
    for k in range(net.subnet_count):
        subnet = nested.subnet(k)
        probe = keras.Model(subnet.inputs[0], subnet.get_layer(node).output)
        wanted = np.array(probe(x)).mean(axis=(0, 1, 2))
        found = net.trace(net.quantize_input(x), k)[tensor].astype(float)
        scale, zero_point = net.tensors[tensor].scale, net.tensors[tensor].zero_point
        means = (found.mean(axis=(0, 1, 2)) - zero_point) * scale
        errors.append(np.abs(means - wanted).max() / scale)
    return max(errors)


def test_means_before_an_unfused_activation_come_nearer(monkeypatch):
    nested, x = nested_and_inputs("flattening_cnn")
    rounded, corrected = both(nested, x, monkeypatch)
    before, after = (
        mean_error(net, nested, x[:128], "bn2", "conv2") for net in (rounded, corrected)
    )
    assert after < 0.5 * before


def test_only_biases_before_unfused_activations_change(monkeypatch):
    nested, x = nested_and_inputs("flattening_cnn")
    rounded, corrected = both(nested, x, monkeypatch)
    assert rounded.tensors == corrected.tensors
    for before, after in zip(rounded.ops, corrected.ops, strict=True):
        assert before == after  # all but the arrays
        same = [np.array_equal(*pair) for pair in zip(before.biases, after.biases, strict=True)]
        assert all(same) == (before.name != "conv2")
        assert all(map(np.array_equal, before.scales, after.scales))
        if before.weights is not None:
            assert np.array_equal(before.weights, after.weights)


@pytest.mark.parametrize("name", ["mlp", "ds_cnn", "everything"])
def test_biases_of_fused_activations_or_without_batch_norm_stay(name, monkeypatch):
    rounded, corrected = both(*nested_and_inputs(name), monkeypatch)
    pairs = zip(rounded.ops, corrected.ops, strict=True)
    assert all(map(np.array_equal, b.biases, a.biases) for b, a in pairs)


def test_biases_that_all_subnets_share_stay_shared(monkeypatch):
    nested, x = nested_and_inputs("flattening_cnn", batch_norm="shared")
    rounded, corrected = both(nested, x, monkeypatch)
    for before, after in zip(rounded.ops, corrected.ops, strict=True):
        assert all(map(np.array_equal, before.biases, after.biases))
