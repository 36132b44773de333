"""Our kernels as TFLM custom ops: in the real interpreter, and in a context of our own."""

import ctypes
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import random_nets
from tflm_wheels import custom_ops, pinned_wheel

from tflm_reds import tflite_custom
from tflm_reds.codegen.packing import pack_pairs
from tflm_reds.codegen.tflm.library import (
    DECLARATIONS,
    INCLUDE,
    build_custom_ops,
    op_sources,
)
from tflm_reds.codegen.toolchain import build_shared_library
from tflm_reds.errors import DataError, ModelError, ToolchainError
from tflm_reds.quantized import QuantizedNet
from tflm_reds.tflite_io import write_reds_model, write_stock_model
from tflm_reds.tflite_schema import builtin_ops, flexbuffer_map
from tflm_reds.tflm import Interpreter
from tflm_reds.tflm_wheel import PINS


def dilated(seed: int) -> QuantizedNet:
    """Dilation, stride, a 1x1 kernel with stride, a flatten behind a depthwise layer."""
    net = random_nets.NetBuilder((13, 11, 2), subnets=5, seed=seed)
    net.convolution(9, (3, 3), "relu6", dilation=(2, 2), padding="SAME")
    net.convolution(11, (1, 1), "none", stride=(2, 1)).leaky_relu()
    net.depthwise((3, 2), "relu", dilation=(2, 1), padding="SAME").flatten()
    return net.dense(7, "relu", cut=True).dense(3).build("dilated")


def one_scale(seed: int) -> QuantizedNet:
    """All subnets share multipliers and shifts, not biases."""
    return random_nets.with_shared_tables(random_nets.concatenating(seed), "scales")


def open_model(net: QuantizedNet, folder, pin: str = PINS[0]) -> Interpreter:
    wheel = pinned_wheel(pin)
    path = write_reds_model(net, folder / "reds.tflite")
    return Interpreter(path, custom_ops(wheel.abi), wheel)


@pytest.mark.parametrize("pin", PINS)
@pytest.mark.parametrize("seed", [0, 1])
@pytest.mark.parametrize(
    "make", [*random_nets.NETS, dilated, one_scale], ids=lambda make: make.__name__
)
def test_random_switches_between_invocations_equal_run(make, seed, pin, tmp_path):
    net = make(seed)
    x = random_nets.random_inputs(net, 200, seed)
    subnets = np.random.default_rng(seed).integers(0, net.subnet_count, len(x))
    expected = np.empty((len(x), *net.output.shape), np.int8)
    for k in range(net.subnet_count):
        expected[subnets == k] = net.run(x[subnets == k], k)
    with open_model(net, tmp_path, pin) as tflm:
        assert np.count_nonzero(tflm.run_switching(x, subnets) != expected) == 0


def test_the_full_network_is_selected_at_first(tmp_path):
    net = random_nets.ds_cnn()
    x = random_nets.random_inputs(net, 10)
    with open_model(net, tmp_path) as tflm:
        assert np.array_equal(tflm.run(x), net.run(x, net.subnet_count - 1))


@pytest.mark.parametrize("wrong", [-1, 4, 2**31 - 1, -(2**31)])
def test_a_subnet_out_of_range_keeps_the_current_one(wrong, tmp_path):
    net = random_nets.ds_cnn()
    x = random_nets.random_inputs(net, 10)
    with open_model(net, tmp_path) as tflm:
        assert tflm.set_subnet(1)
        assert not tflm.set_subnet(wrong)
        assert np.array_equal(tflm.run(x), net.run(x, 1))
        with pytest.raises(DataError, match=f"no subnet {wrong}"):
            tflm.run_switching(x[:1], [wrong])


def test_an_inactive_tail_holds_the_zero_point(tmp_path):
    net = random_nets.ds_cnn()
    first = net.tensors[net.ops[0].output]
    cut = replace(net, ops=net.ops[:1], tensors={net.input.name: net.input, first.name: first})
    x = random_nets.random_inputs(net, 5)
    width = first.channels[0]
    assert width < first.full_channels
    with open_model(cut, tmp_path) as tflm:
        assert tflm.set_subnet(0)
        y = tflm.run(x)
    assert np.array_equal(y[..., :width], cut.run(x, 0))
    assert np.all(y[..., width:] == first.zero_point)


def test_one_weight_set_serves_all_subnets(tmp_path):
    net = random_nets.ds_cnn(channels=64)
    content = write_reds_model(net, tmp_path / "m.tflite").read_bytes()
    weights = net.ops[0].weights
    packed = pack_pairs(weights.reshape(len(weights), 1, -1))  # its input is not cut
    assert content.count(packed.tobytes()) == 1
    sliced = [write_stock_model(net.slice(k), tmp_path / f"{k}.tflite") for k in range(4)]
    assert len(content) < sum(path.stat().st_size for path in sliced)


def test_a_flatten_takes_no_copy_where_a_fully_connected_layer_reads_it(tmp_path):
    flat = write_reds_model(random_nets.every_op(), tmp_path / "flat.tflite").read_bytes()
    assert "RESHAPE" not in builtin_ops(flat)
    needed = write_reds_model(random_nets.concatenating(), tmp_path / "needed.tflite").read_bytes()
    assert "RESHAPE" in builtin_ops(needed)


@pytest.mark.parametrize("change", ["version", "truncated", "empty", "too wide"])
def test_bad_options_make_allocate_tensors_fail_cleanly(change, monkeypatch, tmp_path):
    def options(values):
        good = flexbuffer_map(values)
        return {
            "version": flexbuffer_map({**values, "version": 99}),
            "truncated": good[: len(good) // 2],
            "empty": b"",
            "too wide": flexbuffer_map({**values, "outputs": [999] * len(values["outputs"])}),
        }[change]

    monkeypatch.setattr(tflite_custom, "flexbuffer_map", options)
    reason = {"version": "unknown version", "too wide": "wider than the tensors"}
    with pytest.raises(ModelError, match=reason.get(change, "options are damaged")):
        open_model(random_nets.ds_cnn(), tmp_path)


def is_add(values) -> bool:
    return len(values.get("factors", ())) == 6


def is_prelu(values) -> bool:
    return len(values.get("factors", ())) == 4


def is_concatenation(values) -> bool:
    return len(values["positions"]) > 1 and "factors" not in values


def is_mean(values) -> bool:
    return len(values.get("factors", ())) == 2


def is_pool(values) -> bool:
    return values["kernel"] == [2, 2] and values["stride"] == [2, 2]


WRONG_OPTIONS = [
    (is_add, {"factors": [1 << 30, 0] * 2}, "factors"),
    (is_add, {"factors": [0, 0] * 3}, "a kernel refuses"),
    (is_add, {"outputs": [999] * 4}, "wider than the tensors"),
    (is_add, {"positions": [7, 7]}, "shapes of inputs"),
    (is_prelu, {"factors": []}, "factors"),
    (is_prelu, {"factors": [1 << 30, 31] * 2}, "factors"),
    (is_prelu, {"positions": [1, 1]}, "options are damaged"),
    (is_prelu, {"outputs": [999] * 4}, "wider than the tensors"),
    (is_concatenation, {"inputs": [1] * 4}, "options are damaged"),
    (is_concatenation, {"inputs": [999] * 12}, ""),
    (is_concatenation, {"outputs": [999] * 4}, "wider than the tensors"),
    (is_concatenation, {"outputs": [1, 2, 3, 4]}, "a kernel refuses"),
    (is_concatenation, {"positions": [0, 1, 1]}, "options are damaged"),
    (is_concatenation, {"positions": [1] * 65}, "more than 64"),
    (is_mean, {"factors": [1 << 30, -32]}, "factors"),
    (is_mean, {"factors": [-1, 0]}, "factors"),
    (is_mean, {"outputs": [999] * 4}, "wider than the tensors"),
    (is_mean, {"inputs": [1] * 8, "positions": [1, 1]}, "shapes of input"),
    (is_pool, {"padding": [3, 3]}, "a kernel refuses"),
    (is_pool, {"outputs": [999] * 4}, "wider than the tensors"),
]


@pytest.mark.parametrize(
    ("chosen", "wrong", "reason"),
    WRONG_OPTIONS,
    ids=[f"{chosen.__name__}-{wrong}" for chosen, wrong, _ in WRONG_OPTIONS],
)
def test_bad_options_of_ops_with_several_inputs(chosen, wrong, reason, monkeypatch, tmp_path):
    def options(values):
        return flexbuffer_map({**values, **wrong} if chosen(values) else values)

    monkeypatch.setattr(tflite_custom, "flexbuffer_map", options)
    net = random_nets.concatenating()
    with (
        pytest.raises(ModelError, match=reason or "."),
        open_model(net, tmp_path) as tflm,
    ):
        tflm.run(random_nets.random_inputs(net, 1))


def test_the_model_needs_the_custom_ops(tmp_path):
    path = write_reds_model(random_nets.dense_net(), tmp_path / "reds.tflite")
    with pytest.raises(ModelError, match="op code CUSTOM"):
        Interpreter(path, wheel=pinned_wheel())


def test_an_old_tree_without_static_memory_does_not_compile(tmp_path):
    flags = ("-DREDS_TFLM_ABI=1", "-DTENSORFLOW_LITE_CORE_C_COMMON_H_")
    with pytest.raises(ToolchainError, match="TF_LITE_STATIC_MEMORY"):
        build_shared_library(op_sources(), tmp_path / "x.so", (*INCLUDE, DECLARATIONS), flags)


def test_an_unknown_abi_is_refused(tmp_path):
    with pytest.raises(ToolchainError, match="no ABI 3"):
        build_custom_ops(tmp_path, 3)


OPTIONS = {
    "version": tflite_custom.OPTIONS_VERSION,
    "first": 1,
    "subnet_input": 0,
    "scratch": 0,
    "positions": [1],
    "kernel": [1, 1],
    "stride": [1, 1],
    "dilation": [1, 1],
    "padding": [0, 0],
    "activation": [-128, 127],
    "inputs": [4, 4],
    "outputs": [1, 3],
}
# inputs 1 + 2 + 3 + 4 = 10, weights 1, 2, 3, bias 10 in the full network, zero point -7
SMALL, FULL = [3, -7, -7], [13, 23, 33]


@pytest.fixture(scope="module")
def fake(tmp_path_factory):
    """Two TFLM contexts of our own, each with one REDS_FULLY_CONNECTED node."""
    tests = Path(__file__).parent
    functions = tests / "tflm_context" / "tflm_functions.cpp"
    sources = [*op_sources(), tests / "tflm_fake_context.cpp", functions]
    flags = ("-DREDS_TFLM_ABI=1", "-Wall", "-Wextra", "-Werror")
    output = tmp_path_factory.mktemp("fake") / "fake.so"
    return ctypes.CDLL(build_shared_library(sources, output, (*INCLUDE, DECLARATIONS), flags))


def prepare(fake, index: int, options: bytes, external: int = 0) -> int:
    return fake.fake_prepare(index, options, ctypes.c_size_t(len(options)), external)


def invoke(fake, index: int) -> list[int]:
    output = (ctypes.c_int8 * 3)()
    assert fake.fake_invoke(index, output) == 0
    return list(output)


def test_two_interpreters_run_different_subnets(fake):
    assert prepare(fake, 0, flexbuffer_map(OPTIONS)) == 0
    assert prepare(fake, 1, flexbuffer_map(OPTIONS), external=1) == 0
    assert (invoke(fake, 0), invoke(fake, 1)) == (FULL, FULL)
    assert fake.fake_set_own_subnet(0) == 0
    assert (invoke(fake, 0), invoke(fake, 1)) == (FULL, SMALL)
    assert fake.reds_tflm_set_subnet(0) == 0
    assert fake.fake_set_own_subnet(1) == 0
    assert (invoke(fake, 0), invoke(fake, 1)) == (SMALL, FULL)
    assert fake.reds_tflm_active_subnet() == 0


def test_a_foreign_external_context_is_left_alone(fake):
    assert prepare(fake, 0, flexbuffer_map(OPTIONS), external=2) == 0
    assert fake.reds_tflm_set_subnet(0) == 0
    assert invoke(fake, 0) == SMALL


def test_only_the_first_op_latches_the_subnet(fake):
    assert prepare(fake, 0, flexbuffer_map(OPTIONS)) == 0
    assert prepare(fake, 1, flexbuffer_map({**OPTIONS, "first": 0})) == 0
    assert fake.reds_tflm_set_subnet(0) == 0
    assert invoke(fake, 1) == FULL
    assert invoke(fake, 0) == SMALL
    assert invoke(fake, 1) == SMALL


def test_a_state_of_another_model_is_refused(fake):
    assert prepare(fake, 0, flexbuffer_map({**OPTIONS, "first": 0})) == 0
    three = {**OPTIONS, "inputs": [4, 4, 4], "outputs": [1, 2, 3]}
    assert prepare(fake, 1, flexbuffer_map(three)) != 0  # the tables are those of two
    fake.reds_tflm_error.restype = ctypes.c_char_p
    assert b"entries for each subnet" in fake.reds_tflm_error()


def test_an_input_tensor_selects_before_any_state(fake):
    options = flexbuffer_map({**OPTIONS, "subnet_input": 1})
    assert prepare(fake, 0, flexbuffer_map(OPTIONS)) == 0
    assert prepare(fake, 1, options, external=3) == 0
    assert fake.reds_tflm_set_subnet(1) == 0
    fake.fake_select(0)
    assert (invoke(fake, 1), invoke(fake, 0)) == (SMALL, FULL)
    fake.fake_select(1)
    assert (invoke(fake, 1), fake.reds_tflm_active_subnet()) == (FULL, 1)


@pytest.mark.parametrize("wrong", [-1, 2, 2**31 - 1, -(2**31)])
def test_an_input_tensor_out_of_range_fails_and_writes_nothing(wrong, fake):
    options = flexbuffer_map({**OPTIONS, "subnet_input": 1})
    assert prepare(fake, 0, options, external=3) == 0
    fake.fake_select(0)
    assert invoke(fake, 0) == SMALL
    fake.fake_select(wrong)
    output = (ctypes.c_int8 * 3)()
    assert fake.fake_invoke(0, output) != 0
    fake.reds_tflm_error.restype = ctypes.c_char_p
    assert b"no such subnet" in fake.reds_tflm_error()
    assert (list(output), fake.reds_tflm_active_subnet()) == (SMALL, 0)


@pytest.mark.parametrize(("subnet_input", "external"), [(0, 3), (1, 0)])
def test_a_node_with_another_number_of_inputs_is_refused(subnet_input, external, fake):
    options = flexbuffer_map({**OPTIONS, "subnet_input": subnet_input})
    assert prepare(fake, 0, options, external) != 0


@pytest.mark.parametrize("missing", OPTIONS)
def test_each_option_is_needed(missing, fake):
    values = {key: value for key, value in OPTIONS.items() if key != missing}
    assert prepare(fake, 0, flexbuffer_map(values)) != 0


@pytest.mark.parametrize(
    "wrong",
    [
        {"stride": [0, 1]},
        {"kernel": [0, 1]},
        {"dilation": [1, -1]},
        {"padding": [-1, 0]},
        {"activation": [5, 4]},
        {"activation": [-129, 0]},
        {"outputs": [0, 3]},
        {"outputs": [1, 4]},
        {"inputs": [4, 5]},
        {"inputs": [4]},
        {"positions": [3]},
        {"positions": [0]},
        {"positions": [1, 1]},
        {"positions": 1},
        {"version": 2**40},
        {"stride": 1},
        {"first": [1]},
        {"scratch": -1},
    ],
    ids=str,
)
def test_options_out_of_range_are_refused(wrong, fake):
    assert prepare(fake, 0, flexbuffer_map({**OPTIONS, **wrong})) != 0


def test_no_damaged_options_are_read_beyond_their_end(fake):
    good = flexbuffer_map(OPTIONS)
    assert all(prepare(fake, 0, good[:length]) != 0 for length in range(len(good)))
    random = np.random.default_rng(0)
    statuses = set()
    for _ in range(20_000):
        damaged = np.frombuffer(good, np.uint8).copy()
        places = random.integers(0, len(good), random.integers(1, 5))
        damaged[places] = random.integers(0, 256, len(places))
        statuses.add(prepare(fake, 0, damaged.tobytes()))
    assert statuses == {0, 1}
