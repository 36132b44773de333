"""quantize: one int8 weight set, prefix law, accuracy near float, and clear refusals."""

import itertools
from dataclasses import replace

import numpy as np
import pytest
from keras_models import BRANCHING, MODELS, data, make

import tflm_reds as reds
from tflm_reds.activation_scales import activation_scales, affine
from tflm_reds.channel_order import sort_channels
from tflm_reds.channels import uncut
from tflm_reds.errors import DataError, ModelError, QuantizationError
from tflm_reds.fusion import fuse
from tflm_reds.graph import LayerGraph, Node
from tflm_reds.quantization import c_identifier
from tflm_reds.quantized import QuantizedNet, QuantOp, active_weights
from tflm_reds.quantized_tensor import QuantTensor
from tflm_reds.reference import run_op
from tflm_reds.wide_sums import split_wide_sums

NAMES = sorted(MODELS | BRANCHING)


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
    net = sort_channels(pair[1])
    for op in net.ops:
        if op.weights is None:
            continue
        slices = [active_weights(net, op, k) for k in range(net.subnet_count)]
        for small, large in itertools.pairwise(slices):
            prefix = tuple(slice(n) for n in small.shape)
            np.testing.assert_array_equal(small, large[prefix])


def test_one_weight_set_in_range(pair):
    nested, net, _ = pair
    arrays = nested.subnet_arrays(nested.subnet_count - 1)
    kernels = [k for k in arrays if k.endswith(("kernel", "alpha"))]
    assert net.weight_bytes == sum(arrays[k].size for k in kernels)
    for op in net.ops:
        if op.is_linear:
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


def test_a_tensor_that_others_read_is_not_fused():
    """In `residual` the stem's ReLU is read twice, and an Add fuses the ReLU behind it."""
    graph, _ = reds.read_model(make("residual"))
    steps = {step.head.name: step for step in fuse(graph)}
    assert steps["stem"].batch_norm.name == "bn_stem" and steps["stem"].activation == "relu"
    assert steps["add"].inputs == ("outer", "stem") and steps["add"].activation == "relu"
    assert steps["down"].inputs == steps["shortcut"].inputs == ("add",)


def node(name, op, *inputs) -> Node:
    return Node(name, op, inputs, (4,), uncut(4))


def test_relu_behind_a_shared_tensor_stands_alone():
    nodes = (
        node("in", "input"),
        node("conv", "conv2d", "in"),
        node("relu", "relu", "conv"),
        node("sum", "add", "relu", "conv"),
        node("relu6", "relu6", "sum"),
    )
    steps = [(step.head.name, step.inputs, step.activation) for step in fuse(LayerGraph(nodes))]
    assert steps == [
        ("conv", ("in",), "none"),
        ("relu", ("conv",), "none"),
        ("sum", ("relu", "conv"), "relu6"),
    ]


def concatenated(*ops: str) -> list:
    """Steps of a concatenation of layers of these ops, and of a pool behind it."""
    nodes = [node(f"{op}_{i}", op, "in") for i, op in enumerate(ops)]
    joined = node("joined", "concatenate", *(n.name for n in nodes))
    tail = [node("pool", "max_pool", "joined"), node("after", "dense", "pool")]
    return fuse(LayerGraph((node("in", "input"), *nodes, joined, *tail)))


def test_concatenated_tensors_share_the_union_of_their_ranges():
    steps = concatenated("conv2d", "prelu", "max_pool")
    ranges = {
        "in": (-1.0, 1.0), "conv2d_0": (0.0, 5.0), "prelu_1": (-3.0, 1.0),
        "max_pool_2": (-1.0, 1.0), "joined": (-3.0, 5.0), "pool": (-2.0, 5.0), "after": (0.0, 9.0),
    }  # fmt: skip
    scales = activation_scales("in", steps, ranges)
    # The input too: the pool beside it keeps its scale.
    tied = {"in", "conv2d_0", "prelu_1", "max_pool_2", "joined", "pool"}
    assert {name: scales[name] for name in tied} == dict.fromkeys(tied, affine(-3.0, 5.0))
    assert scales["after"] == affine(0.0, 9.0)


def test_only_softmaxes_are_concatenated_with_a_softmax():
    ranges = dict.fromkeys(
        ["in", "softmax_0", "softmax_1", "dense_1", "joined", "pool", "after"], (0.0, 1.0)
    )
    scales = activation_scales("in", concatenated("softmax", "softmax"), ranges)
    assert scales["softmax_1"] == scales["pool"] == (1 / 256, -128) != scales["after"]
    with pytest.raises(QuantizationError, match=r"'softmax_0' is concatenated with 'dense_1'"):
        activation_scales("in", concatenated("softmax", "dense"), ranges)


def test_a_sum_of_many_tensors_becomes_sums_of_two():
    tensors = {name: QuantTensor(name, (4,), 0.1, zp, (4,)) for name, zp in
               (("a", -128), ("b", 0), ("c", 5), ("d", 127), ("sum", 0))}  # fmt: skip
    wide = QuantOp("ADD", "sum", ("a", "b", "c", "d"), "sum", "relu")
    tensors, ops = split_wide_sums(tensors, [wide])
    assert [(op.inputs, op.output, op.activation) for op in ops] == [
        (("a", "b"), "sum/sum_0", "none"),
        (("sum/sum_0", "c"), "sum/sum_1", "none"),
        (("sum/sum_1", "d"), "sum", "relu"),
    ]
    net = QuantizedNet("sums", tensors, ops, (1.0,))
    values = {name: np.full((1, 4), 127, np.int8) for name in "abcd"}
    for op in ops:
        values[op.output] = run_op(net, op, 0, [values[name] for name in op.inputs])
    highest = sum((127 - tensors[name].zero_point) * 0.1 for name in "abcd")
    partial = tensors["sum/sum_1"]
    real = (float(values[partial.name][0, 0]) - partial.zero_point) * partial.scale
    assert abs(real - (highest - 0.0)) <= 1.5 * partial.scale + 0.1  # d adds nothing


def test_a_layer_without_int8_form_is_refused(monkeypatch):
    nested = reds.nest(make("mlp"), data(make("mlp"), 50), budgets=(0.5,))
    nodes = nested.graph.nodes
    monkeypatch.setattr(nested, "graph", LayerGraph((nodes[0], replace(nodes[1], op="gelu"))))
    with pytest.raises(QuantizationError, match=r"'fc1' \(gelu on .*\) has no int8 form"):
        reds.quantize(nested, data(make("mlp"), 50)[0])


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


def test_tiny_weights_beside_a_large_offset_keep_the_offset():
    """As in dead channels of pretrained nets; the bias in units of such weights leaves int32."""
    model = make("mlp", seed=9)
    layer = model.get_layer("fc2")
    kernel, bias = layer.get_weights()
    bias[0], kernel[:, 0] = 2.0, 1e-12
    layer.set_weights([kernel, bias])
    x, y = data(model, 100)
    nested = reds.nest(model, (x, y))
    net = reds.quantize(nested, x)
    op = next(op for op in net.ops if op.name == "fc2")
    for k in range(net.subnet_count):
        assert np.abs(op.biases[k].astype(np.int64)).max() < 1.01 * 2**28
        outputs = net.dequantize_output(net.run(net.quantize_input(x), k))
        floats = nested.subnet(k).predict(x, verbose=0)
        assert np.abs(outputs - floats).max() < 0.1 * np.abs(floats).max()


def test_numbers_that_are_not_finite_are_refused():
    model = make("ds_cnn", seed=9)
    x, y = data(model, 100)
    nested = reds.nest(model, (x, y))
    beta, kernel = nested.backbone.get_layer("bn1").norms[0].beta, nested.backbone.get_layer("pw1")
    before = beta.numpy()
    beta.assign(before * np.nan)
    with pytest.raises(QuantizationError, match="A bias of 'conv1' in subnet 0 is nan"):
        reds.quantize(nested, x)
    beta.assign(before)
    kernel.kernel.assign(kernel.kernel * np.nan)
    with pytest.raises(QuantizationError, match=r"An activation of '[a-z_0-9]+' is nan"):
        reds.quantize(nested, x)
