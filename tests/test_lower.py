"""Lowering: fusions, layouts, arena, byte counts, refusals."""

from dataclasses import replace

import numpy as np
import pytest
from random_nets import (
    NetBuilder,
    concatenating,
    dense_net,
    ds_cnn,
    every_op,
    residual,
    with_shared_tables,
)

from tflm_reds.codegen.lower import lower
from tflm_reds.codegen.program import (
    Layout,
    Program,
    arena_bytes,
    flash_bytes,
    table_bytes,
)
from tflm_reds.element_wise import lookup_table
from tflm_reds.errors import QuantizationError

NETS = [ds_cnn, every_op, dense_net, residual, concatenating]


def kinds(program: Program) -> list[str]:
    return [op.kind for op in program.ops]


def test_pad_is_fused_into_the_convolution_that_follows():
    net = NetBuilder((7, 6, 3)).pad(2, 1, 3, 0).convolution(4, (3, 3), cut=False).build()
    program = lower(net)
    assert kinds(program) == ["CONV_2D"]
    assert program.ops[0].padding == (2, 3)
    assert program.ops[0].source == program.input


@pytest.mark.parametrize(
    ("geometry", "is_fast"),
    [
        ({}, True),
        ({"stride": (2, 1)}, True),
        ({"stride": (1, 3)}, False),
        ({"kernel": (3, 2)}, False),
        ({"dilation": (2, 1)}, False),
        ({"multiplier": 2}, False),
    ],
)
def test_depthwise_kernels_and_the_order_of_their_weights(geometry, is_fast):
    net = NetBuilder((7, 6, 3)).depthwise(**geometry).build()
    (op,) = lower(net).ops
    rows = net.ops[0].weights.reshape(-1, net.ops[0].weights.shape[-1])
    assert op.kernel == ("reds_depthwise_conv_3x3_s8" if is_fast else "reds_depthwise_conv_s8")
    np.testing.assert_array_equal(op.weights, rows.T if is_fast else rows)


@pytest.mark.parametrize("second", ["pool", "same"])
def test_pad_stays_where_the_next_op_cannot_take_it(second):
    builder = NetBuilder((7, 6, 3)).pad()
    net = (
        builder.pool() if second == "pool" else builder.convolution(4, (3, 3), padding="SAME")
    ).flatten()
    assert "PAD" in kinds(lower(net.dense(3).build()))


def test_flatten_of_a_cut_tensor_becomes_channel_major():
    builder = NetBuilder((4, 3, 2), seed=1).convolution(6, (1, 1)).flatten().leaky_relu()
    program = lower(builder.dense(3).build())
    assert kinds(program) == ["CONV_2D", "RESHAPE", "LEAKY_RELU", "FULLY_CONNECTED"]
    assert program.edges[program.ops[2].target].layout is Layout.PLANAR


def test_flatten_of_a_full_tensor_is_a_view():
    net = NetBuilder((4, 3, 2)).convolution(6, (1, 1), cut=False).flatten().dense(3).build()
    program = lower(net)
    assert kinds(program) == ["CONV_2D", "FULLY_CONNECTED"]
    edges = program.edges
    assert edges[program.ops[0].target].offset == edges[program.ops[1].source].offset


def test_pad_is_fused_into_a_convolution_further_down_but_stays_for_two_readers():
    builder = NetBuilder((7, 6, 3)).convolution(4)
    trunk = builder.last.name
    padded = builder.pad().last.name
    branch = builder.back_to(trunk).relu().last.name
    builder.back_to(padded).convolution(5, (3, 3))
    one_reader = lower(builder.back_to(branch).mean().dense(3).build())
    assert "PAD" not in kinds(one_reader)
    two_readers = lower(builder.back_to(padded).mean().dense(3).build())
    assert "PAD" in kinds(two_readers)


@pytest.mark.parametrize("activation", ["leaky_relu", "relu", "hard_swish"])
@pytest.mark.parametrize("kind", ["convolution", "depthwise", "dense"])
def test_table_activation_is_fused_into_the_linear_op_before_it(kind, activation):
    builder = NetBuilder((5, 4, 3) if kind != "dense" else (12,), seed=2)
    builder.depthwise() if kind == "depthwise" else getattr(builder, kind)(4, cut=False)
    net = getattr(builder, activation)().build()
    (op,) = lower(net).ops
    linear, table = net.ops
    assert (op.kind, op.name) == (linear.kind, f"{linear.name} + {table.name}")
    assert op.target == net.output.name
    assert op.zero_point == net.target(linear).zero_point != net.output.zero_point
    np.testing.assert_array_equal(op.lookup, lookup_table(net, table))


def test_two_table_activations_in_a_row_become_one_table():
    net = NetBuilder((5, 4, 3), seed=2).convolution(4, cut=False).leaky_relu().hard_swish().build()
    (op,) = lower(net).ops
    _, leaky, swish = net.ops
    expected = lookup_table(net, swish)[lookup_table(net, leaky).astype(int) + 128]
    np.testing.assert_array_equal(op.lookup, expected)


def test_table_activation_stays_where_its_input_is_read_again_or_no_linear_op_makes_it():
    builder = NetBuilder((5, 4, 3), seed=2).convolution(4)
    trunk = builder.last.name
    program = lower(builder.leaky_relu().add(trunk).hard_swish().mean().dense(3).build())
    assert kinds(program)[:4] == ["CONV_2D", "LEAKY_RELU", "ADD", "HARD_SWISH"]


def test_flatten_of_a_concatenation_is_channel_major_and_its_slopes_too():
    program = lower(concatenating())
    flat = next(i for i, op in enumerate(program.ops) if op.kind == "RESHAPE")
    prelu = program.ops[flat + 1]
    assert prelu.kind == "PRELU" and prelu.weights.shape == (1, program.edges[prelu.source].stride)
    assert program.edges[prelu.target].layout is Layout.PLANAR
    assert program.ops[-2].kind == "CONCATENATION"
    assert program.edges[program.ops[-2].target].layout is Layout.NHWC


@pytest.mark.parametrize("make", NETS)
def test_arena_of_a_cut_image_is_that_of_the_sliced_network(make):
    net = make(3)
    program = lower(net)
    assert arena_bytes(program, 0) == lower(net.slice(0)).arena_sizes[-1]
    assert list(program.arena_sizes) == sorted(program.arena_sizes)


@pytest.mark.parametrize("make", NETS)
def test_flash_bytes_of_the_full_image_count_every_weight_and_table(make):
    net = make(3)
    program = lower(net)
    last = net.subnet_count - 1
    for k in range(last + 1):
        cut = lower(net.keep(range(k + 1)))
        written = sum(op.weights.size for op in cut.ops if op.weights is not None)
        assert flash_bytes(program, k)["weights"] == written
    channels = sum(len(biases) for op in net.ops for biases in op.biases)
    lookups = sum(op.lookup.nbytes for op in program.ops if op.lookup is not None)
    assert flash_bytes(program, last)["tables"] == 9 * channels + lookups
    assert sum(table_bytes(program, k) for k in range(last + 1)) == 9 * channels


@pytest.mark.parametrize("fields", [("biases",), ("scales",), ("biases", "scales")])
def test_tables_that_all_subnets_share_count_once(fields):
    program = lower(with_shared_tables(concatenating(3), *fields))
    linear = [op for op in program.ops if op.tables]
    for k in range(program.subnet_count):
        once = sum(len(op.tables[k].bias) for op in linear)
        each = sum(len(table.bias) for op in linear for table in op.tables[: k + 1])
        expected = 4 * (once if "biases" in fields else each)
        expected += 5 * (once if "scales" in fields else each)
        assert sum(table_bytes(program, j) for j in range(k + 1)) == expected


def refuse(net, *parts: str) -> None:
    with pytest.raises(QuantizationError) as error:
        lower(net)
    for part in parts:
        assert part in str(error.value)


def test_cut_output_is_refused():
    net = NetBuilder((4, 4, 2)).convolution(5).build()
    output = replace(net.output, channels=(2, 3, 5))
    refuse(
        replace(net, tensors=dict(net.tensors) | {output.name: output}), output.name, "(2, 3, 5)"
    )


def test_softmax_on_a_flattened_cut_tensor_is_refused():
    net = NetBuilder((4, 4, 2), seed=1).convolution(5).flatten().softmax().dense(3).build()
    refuse(net, "softmax_2", "channel by channel")


def test_reshape_of_a_cut_tensor_to_three_axes_is_refused():
    builder = NetBuilder((4, 4, 2), seed=1).convolution(6, (1, 1)).flatten()
    tensor = replace(builder.tensors[-1], shape=(2, 2, 24), positions=1, channels=(8, 16, 24))
    builder.tensors[-1] = tensor
    refuse(builder.mean().dense(3).build(), "reshape_1", "4x4x6", "2x2x24")


def test_network_of_views_is_refused():
    refuse(NetBuilder((4, 4, 2)).flatten().build(), "computes nothing")


def test_add_of_tensors_in_different_orders_is_refused():
    """[A | B] + [B' | A']: the channels that subnet 0 keeps stand in different places."""
    builder = NetBuilder((6, 6, 3), seed=2)
    small = builder.convolution(4, (1, 1)).last.name
    large = builder.back_to("input").convolution(6, (1, 1)).last.name
    one = builder.concatenate(small).last.name
    net = builder.back_to(small).concatenate(large).add(one).mean().dense(3).build()
    refuse(net, "ADD add_4", "concatenation_3 and concatenation_2", "different orders")
