"""Stock .tflite files: what TFLM computes from them is what QuantizedNet.run computes."""

from dataclasses import replace

import numpy as np
import pytest
import random_nets
import tflite
from tflm_wheels import pinned_wheel

from tflm_reds.errors import QuantizationError
from tflm_reds.quantized import QuantizedNet
from tflm_reds.tflite_io import write_reds_model, write_stock_model
from tflm_reds.tflm import Interpreter

NETS = {f"{make.__name__}_{seed}": make(seed) for make in random_nets.NETS for seed in (0, 1)}
EACH_SUBNET = [(name, k) for name, net in NETS.items() for k in range(net.subnet_count)]


def differing_bytes(net: QuantizedNet, folder, count: int = 200) -> int:
    """Bytes in which TFLM differs from `run` for a net of one subnet."""
    wheel = pinned_wheel()
    x = random_nets.random_inputs(net, count, seed=1)
    path = write_stock_model(net, folder / "stock.tflite")
    with Interpreter(path, wheel=wheel) as tflm:
        return np.count_nonzero(tflm.run(x) != net.run(x, 0))


def chain(shape, scale=0.05, seed=0) -> random_nets.NetBuilder:
    builder = random_nets.NetBuilder(shape, subnets=1, seed=seed)
    builder.tensors[0] = replace(builder.tensors[0], scale=float(np.float32(scale)))
    return builder


@pytest.mark.parametrize(("name", "subnet"), EACH_SUBNET)
def test_sliced_subnet_on_tflm_equals_run(name, subnet, tmp_path):
    assert differing_bytes(NETS[name].slice(subnet), tmp_path) == 0


@pytest.mark.parametrize("length", range(1, len(NETS["every_op_0"].ops) + 1))
def test_every_op_of_the_chain_equals_run(length, tmp_path):
    """Each intermediate tensor, as later ops may hide a difference."""
    net = NETS["every_op_0"].slice(1)
    tensors = dict(list(net.tensors.items())[: length + 1])
    assert differing_bytes(replace(net, tensors=tensors, ops=net.ops[:length]), tmp_path) == 0


@pytest.mark.parametrize("scale", [0.001, 0.02, 0.1, 0.35, 1.5])
def test_softmax_of_any_scale_equals_run(scale, tmp_path):
    assert differing_bytes(chain((10,), scale).softmax().build(), tmp_path) == 0


@pytest.mark.parametrize("size", [(1, 1), (2, 2), (3, 5), (8, 8), (25, 5)])
@pytest.mark.parametrize("ratio", [0.3, 1.0, 1.7])
def test_mean_of_any_size_equals_run(size, ratio, tmp_path):
    builder = chain((*size, 5))
    builder._rescaled("MEAN", (5,), builder.last.scale * ratio)
    assert differing_bytes(builder.build(), tmp_path) == 0


@pytest.mark.parametrize("alpha", [0.01, 0.3, 1.3])
@pytest.mark.parametrize("ratio", [0.3, 1.0, 2.1])
def test_leaky_relu_equals_run(alpha, ratio, tmp_path):
    builder = chain((4, 4, 5))
    builder._rescaled("LEAKY_RELU", (4, 4, 5), builder.last.scale * ratio, alpha=alpha)
    assert differing_bytes(builder.build(), tmp_path) == 0


@pytest.mark.parametrize("padding", ["SAME", "VALID"])
@pytest.mark.parametrize("geometry", [((2, 2), (1, 1)), ((1, 1), (2, 1)), ((1, 1), (2, 2))])
def test_strides_and_dilations_equal_run(padding, geometry, tmp_path):
    stride, dilation = geometry
    options = {"stride": stride, "dilation": dilation, "padding": padding}
    builder = chain((13, 12, 3)).convolution(5, (3, 2), "relu6", **options)
    assert differing_bytes(builder.depthwise((2, 3), "relu", **options).build(), tmp_path) == 0


def address(array: np.ndarray) -> int:
    return array.__array_interface__["data"][0]


@pytest.mark.parametrize("write", [write_stock_model, write_reds_model])
def test_file_is_aligned_deterministic_and_named(write, tmp_path):
    net = NETS["every_op_0"]
    net = net.slice(0) if write is write_stock_model else net
    content = write(net, tmp_path / "a.tflite").read_bytes()
    assert content == write(net, tmp_path / "b.tflite").read_bytes()
    assert content[4:8] == b"TFL3"
    model = tflite.Model.GetRootAs(content)
    buffers = [model.Buffers(i) for i in range(model.BuffersLength())]
    data = [buffer.DataAsNumpy() for buffer in buffers if buffer.DataLength()]
    origin = address(np.frombuffer(content, np.uint8))
    assert len(data) > 10
    assert all((address(array) - origin) % 16 == 0 for array in data)
    subgraph = model.Subgraphs(0)
    names = {subgraph.Tensors(i).Name().decode() for i in range(subgraph.TensorsLength())}
    assert {tensor for tensor in net.tensors} <= names


def test_dense_after_flatten_is_stored_position_major(tmp_path):
    net = chain((3, 2, 5)).flatten().dense(4).build()
    content = write_stock_model(net, tmp_path / "m.tflite").read_bytes()
    weights = net.ops[-1].weights
    expected = np.stack([row.T.reshape(-1) for row in weights])
    model = tflite.Model.GetRootAs(content)
    sizes = {model.Buffers(i).DataLength(): i for i in range(model.BuffersLength())}
    stored = model.Buffers(sizes[weights.size]).DataAsNumpy().view(np.int8)
    assert np.array_equal(stored.reshape(expected.shape), expected)


def test_a_net_of_several_subnets_is_refused(tmp_path):
    with pytest.raises(QuantizationError, match="4 subnets"):
        write_stock_model(NETS["ds_cnn_0"], tmp_path / "m.tflite")
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("write", [write_stock_model, write_reds_model])
def test_an_unknown_op_is_refused_by_name(write, tmp_path):
    net = NETS["every_op_0"].slice(0)
    ops = (replace(net.ops[0], kind="TANH", name="odd"), *net.ops[1:])
    with pytest.raises(QuantizationError, match="odd of kind TANH"):
        write(replace(net, ops=ops), tmp_path / "m.tflite")
    assert not list(tmp_path.iterdir())


def test_softmax_over_cut_channels_is_refused(tmp_path):
    builder = random_nets.NetBuilder((8,), subnets=2).dense(9, cut=True)
    net = builder.softmax().build()
    assert net.output.channels[0] < 9
    with pytest.raises(QuantizationError, match="SOFTMAX"):
        write_reds_model(net, tmp_path / "m.tflite")
