"""quantize: one int8 weight set, prefix law, accuracy near float, and clear refusals."""

import itertools

import keras
import numpy as np
import pytest
from keras_models import MODELS, data, make

import tflm_reds as reds
from tflm_reds.errors import DataError, ModelError, QuantizationError
from tflm_reds.quantization import affine, c_identifier, fuse
from tflm_reds.quantized import QuantizedNet, active_weights

NAMES = sorted(MODELS)


@pytest.fixture(scope="module", params=NAMES)
def pair(request):
    """(nested, quantised, inputs) of each model."""
    model = make(request.param, seed=7, negative_gammas=True)
    x, y = data(model, 300)
    nested = reds.nest(model, (x, y), budgets=(0.3, 0.6))
    return nested, reds.quantize(nested, x, labels=["a", "b"]), x


def test_int8_follows_float_in_every_subnet(pair):
    nested, net, x = pair
    inputs = net.quantize_input(x)
    for k, expected in enumerate(nested.predict(x, verbose=0)):
        actual = net.dequantize_output(net.run(inputs, k))
        noise = np.sqrt(np.mean((actual - expected) ** 2))
        # int8 softmax has steps of 1/256, coarse beside nearly uniform probabilities.
        assert noise < 0.12 * np.std(expected) + net.output.scale, f"subnet {k}"


def test_prefix_law_on_int8(pair):
    _, net, _ = pair
    for op in net.ops:
        if op.weights is None:
            continue
        slices = [active_weights(net, op, k) for k in range(net.subnet_count)]
        for small, large in itertools.pairwise(slices):
            prefix = tuple(slice(n) for n in small.shape)
            np.testing.assert_array_equal(small, large[prefix])


def test_one_weight_set_in_range(pair):
    nested, net, _ = pair
    kernels = [k for k in nested.subnet_arrays(nested.subnet_count - 1) if k.endswith("kernel")]
    arrays = nested.subnet_arrays(nested.subnet_count - 1)
    assert net.weight_bytes == sum(arrays[k].size for k in kernels)
    for op in net.ops:
        if op.weights is not None:
            assert op.weights.dtype == np.int8
            # Every channel uses its full range: the scale comes from the full kernel.
            rows = op.weights.astype(int)
            rows = rows.reshape(-1, rows.shape[-1]).T if op.kind.startswith("DEPTH") else rows
            assert (np.abs(rows.reshape(len(rows), -1)).max(1) == 127).all()


def test_macs_agree_with_the_plan(pair):
    nested, net, _ = pair
    assert tuple(net.macs(k) for k in range(net.subnet_count)) == nested.plan.macs


def test_slices_are_stand_alone(pair):
    _, net, x = pair
    inputs = net.quantize_input(x)
    for k in range(net.subnet_count):
        np.testing.assert_array_equal(net.slice(k).run(inputs, 0), net.run(inputs, k))


def test_file_round_trip_is_deterministic(pair, tmp_path):
    _, net, x = pair
    first, second = net.save(tmp_path / "a.npz"), net.save(tmp_path / "b.npz")
    assert first.read_bytes() == second.read_bytes()
    loaded = QuantizedNet.load(first)
    assert loaded.labels == net.labels and loaded.tensors == net.tensors
    inputs = net.quantize_input(x[:20])
    np.testing.assert_array_equal(loaded.run(inputs, 0), net.run(inputs, 0))


def test_relu_and_batch_norm_fuse_but_leaky_relu_stays():
    model = make("flattening_cnn")
    graph, _ = reds.read_model(model)
    kinds = [(step.head.op, step.activation) for step in fuse(graph)]
    assert kinds == [("conv2d", "relu"), ("max_pool", "none"), ("conv2d", "none"),
                     ("leaky_relu", "none"), ("flatten", "none"), ("dense", "relu6"),
                     ("dense", "none"), ("softmax", "none")]  # fmt: skip


def test_affine_covers_the_range_and_zero():
    for low, high in [(-1.0, 3.0), (0.5, 2.0), (-4.0, -1.0), (0.0, 0.0)]:
        scale, zero_point = affine(low, high)
        assert -128 <= zero_point <= 127
        lowest, highest = (-128 - zero_point) * scale, (127 - zero_point) * scale
        assert lowest <= min(low, 0) + scale and highest >= max(high, 0) - scale


def test_c_identifier():
    names = [c_identifier(name) for name in ("KWS net-1", "9lives", "é!")]
    assert names == ["kws_net_1", "m_9lives", "model"]


def test_bad_input(pair, tmp_path):
    nested, net, x = pair
    with pytest.raises(DataError, match="hold NaN"):
        reds.quantize(nested, np.full_like(x[:3], np.nan))
    with pytest.raises(DataError, match="must have shape"):
        net.run(np.zeros((1, 2, 3), np.int8), 0)
    with pytest.raises(DataError, match="takes int8"):
        net.run(x[:1], 0)
    with pytest.raises(DataError, match="Subnet 3 does not exist"):
        net.run(net.quantize_input(x[:1]), 3)
    (tmp_path / "bad.npz").write_bytes(b"PK truncated")
    with pytest.raises(ModelError, match="not a quantised network"):
        QuantizedNet.load(tmp_path / "bad.npz")


def test_negative_gamma_is_refused():
    model = make("ds_cnn", seed=8)
    x, y = data(model, 100)
    nested = reds.nest(model, (x, y))
    norm = nested.backbone.get_layer("bn1").norms[1]
    norm.gamma.assign(-norm.gamma)
    with pytest.raises(QuantizationError, match=r"'bn1' of subnet 1 has gamma -"):
        reds.quantize(nested, x)


def test_bias_beyond_int32_is_refused():
    model = make("mlp", seed=9)
    layer = model.get_layer("fc2")
    kernel, bias = layer.get_weights()
    bias[0], kernel[:, 0] = 1e4, 1e-9
    layer.set_weights([kernel, bias])
    x, y = data(model, 100)
    nested = reds.nest(model, (x, y))
    with pytest.raises(QuantizationError, match="bias of 'fc2'"):
        reds.quantize(nested, x)
    assert isinstance(nested, keras.Model)
