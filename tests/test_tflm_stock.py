"""Stock models: our kernels under TFLM's stock ops, weights of one scale, arenas of both forms."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import random_nets
from tflm_wheels import pinned_wheel

from tflm_reds import tflite_io
from tflm_reds.codegen.tflm.library import DECLARATIONS, INCLUDE, op_sources
from tflm_reds.codegen.toolchain import build_shared_library
from tflm_reds.errors import ModelError
from tflm_reds.fixed_point import multiply_by_quantized_multiplier, quantize_multiplier
from tflm_reds.quantized import QuantizedNet
from tflm_reds.tflite_io import write_stock_model
from tflm_reds.tflite_stock import stock_operator
from tflm_reds.tflm import Interpreter
from tflm_reds.tflm_verify import arena_bytes, arena_note, sliced_models, write_models
from tflm_reds.tflm_wheel import PINS


def both_outputs(path: Path, x: np.ndarray) -> list[np.ndarray]:
    """Of TFLM's kernels and of ours under the same model."""
    outputs = []
    for custom in (None, "build"):
        with Interpreter(path, custom, pinned_wheel(), replace_stock=bool(custom)) as tflm:
            outputs.append(tflm.run(x))
    return outputs


@pytest.mark.parametrize("pin", PINS)
@pytest.mark.parametrize("make", random_nets.NETS, ids=lambda make: make.__name__)
def test_our_kernels_under_stock_ops_equal_run(make, pin):
    net = make(0).keep((0, 1))
    x = random_nets.random_inputs(net, 50)
    outputs = sliced_models(net, pinned_wheel(pin), replace_stock=True)(x)
    for k in range(net.subnet_count):
        assert np.array_equal(outputs[k], net.run(x, k).reshape(len(x), -1))


@pytest.fixture(scope="module")
def in_parts(tmp_path_factory):
    """Custom ops that pack few rows of stock weights at a time."""
    output = tmp_path_factory.mktemp("parts") / "parts.so"
    sources = [*op_sources(), INCLUDE[0] / "python_ops.cpp"]
    flags = ("-DREDS_TFLM_ABI=1", "-DTF_LITE_STATIC_MEMORY", "-DREDS_STOCK_PACKED_BYTES=100")
    return build_shared_library(sources, output, (*INCLUDE, DECLARATIONS), flags)


@pytest.mark.parametrize("make", random_nets.NETS, ids=lambda make: make.__name__)
def test_weights_packed_in_parts_equal_run(make, in_parts, tmp_path):
    net = make(1)
    net = net.slice(net.subnet_count - 1)
    x = random_nets.random_inputs(net, 50)
    path, wheel = write_stock_model(net, tmp_path / "m.tflite"), pinned_wheel()
    with Interpreter(path, in_parts, wheel, replace_stock=True) as tflm:
        assert np.array_equal(tflm.run(x), net.run(x, 0))
        in_arena = tflm.arena_bytes
    with Interpreter(path, "build", wheel, replace_stock=True) as tflm:
        assert in_arena < tflm.arena_bytes


def edited(net: QuantizedNet, path: Path, monkeypatch, edit) -> Path:
    """The stock model of `net` with each linear operator changed by `edit`."""

    def operator(net, op, *arguments):
        spec, constants = stock_operator(net, op, *arguments)
        return (edit(spec) if op.is_linear else spec), constants

    monkeypatch.setattr(tflite_io, "stock_operator", operator)
    return write_stock_model(net, path)


def without_bias(spec):
    return replace(spec, inputs=spec.inputs[:2])


def within_one(spec):
    return replace(spec, options={**spec.options, "FusedActivationFunction": 2})


@pytest.mark.parametrize("edit", [without_bias, within_one])
@pytest.mark.parametrize("make", [random_nets.every_op, random_nets.dense_net])
def test_other_stock_options_give_the_same_bytes(make, edit, tmp_path, monkeypatch):
    net = make(2)
    net = net.slice(net.subnet_count - 1)
    path = edited(net, tmp_path / "m.tflite", monkeypatch, edit)
    x = random_nets.random_inputs(net, 50)
    stock, ours = both_outputs(path, x)
    assert np.array_equal(stock, ours)
    assert not np.array_equal(stock, net.run(x, 0))


def test_options_that_we_do_not_know_are_refused(tmp_path, monkeypatch):
    net = random_nets.ds_cnn().slice(0)
    tanh = lambda spec: replace(spec, options={**spec.options, "FusedActivationFunction": 4})  # noqa: E731
    path = edited(net, tmp_path / "m.tflite", monkeypatch, tanh)
    with pytest.raises(ModelError, match="options that we do not know"):
        Interpreter(path, "build", pinned_wheel(), replace_stock=True)


def test_weights_of_minus_128_are_refused(tmp_path):
    net = random_nets.dense_net().slice(0)
    weights = net.ops[0].weights.copy()
    weights.reshape(-1)[3] = -128
    net = replace(net, ops=(replace(net.ops[0], weights=weights), *net.ops[1:]))
    path = write_stock_model(net, tmp_path / "m.tflite")
    Interpreter(path, wheel=pinned_wheel()).close()
    with pytest.raises(ModelError, match="weights of -128"):
        Interpreter(path, "build", pinned_wheel(), replace_stock=True)


def test_per_tensor_dense_is_computed_as_tflm_does(tmp_path):
    builder = random_nets.NetBuilder((25,), subnets=1)
    net = builder.dense(12).build()
    op, x = net.ops[0], random_nets.random_inputs(net, 100)
    real = op.weights[:, :, 0] * op.scales[0][:, np.newaxis].astype(float)
    scale = np.float32(np.abs(real).max() / 127)
    weights = np.rint(real / scale).astype(np.int64)
    bias = np.rint(op.biases[0] * op.scales[0].astype(float) / scale).astype(np.int64)
    sums = (x.astype(np.int64) - net.input.zero_point) @ weights.T + bias
    product = float(np.float32(net.input.scale) * scale)
    factor = quantize_multiplier(product / float(np.float32(net.output.scale)))
    scaled = multiply_by_quantized_multiplier(sums, *factor) + net.output.zero_point
    expected = np.clip(scaled, -128, 127).astype(np.int8)
    path = write_stock_model(net, tmp_path / "m.tflite", per_tensor_dense=True)
    for outputs in both_outputs(path, x):
        assert np.array_equal(outputs, expected)
    assert 0 < np.abs(expected.astype(int) - net.run(x, 0)).max() < 20


def cnn() -> QuantizedNet:
    """Convolutions of many taps, which like much scratch memory, as in the CNN S."""
    net = random_nets.NetBuilder((25, 10, 1), subnets=4)
    net.convolution(28, (10, 4)).convolution(30, (10, 4), stride=(2, 1)).flatten()
    return net.dense(16, cut=True).dense(128, "relu", cut=True).dense(12).build("cnn")


@pytest.mark.parametrize("net", [random_nets.ds_cnn(channels=64), cnn()], ids=["ds_cnn", "cnn"])
def test_all_subnets_take_no_more_arena_than_the_full_one(net, tmp_path):
    wheel = pinned_wheel()
    models = write_models(net, tmp_path, "ram")
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        "model_full.tflite",
        "model_reds.tflite",
    ]
    reds, full = (arena_bytes(path, wheel) for path in (models.reds, models.full))
    assert reds <= full
    note = arena_note(models)
    assert f"{reds:,} B" in note and f"{full - reds:,} B less" in note
