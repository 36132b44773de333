"""Lowering: fusions, layouts, arena, byte counts, refusals."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from random_nets import NetBuilder, dense_net, ds_cnn, every_op

from tflm_reds.codegen.lower import lower
from tflm_reds.codegen.passes.plan_arena import ALIGNMENT, Block, align, place
from tflm_reds.codegen.program import (
    Layout,
    Memory,
    Program,
    arena_bytes,
    flash_bytes,
    table_bytes,
)
from tflm_reds.errors import QuantizationError

NETS = [ds_cnn, every_op, dense_net]


def kinds(program: Program) -> list[str]:
    return [op.kind for op in program.ops]


def test_pad_is_fused_into_the_convolution_that_follows():
    net = NetBuilder((7, 6, 3)).pad(2, 1, 3, 0).convolution(4, (3, 3), cut=False).build()
    program = lower(net)
    assert kinds(program) == ["CONV_2D"]
    assert program.ops[0].padding == (2, 3)
    assert program.ops[0].source == program.input


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


def test_element_wise_ops_work_in_place_but_never_on_the_input():
    net = NetBuilder((4, 3, 2)).relu().relu("RELU6").convolution(3).mean().dense(4).build()
    program = lower(net)
    first, second = program.ops[:2]
    assert program.edges[first.source].memory is Memory.INPUT
    assert program.edges[first.target].memory is Memory.ARENA
    assert program.edges[first.target].offset == program.edges[second.target].offset


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
    assert flash_bytes(program, last)["weights"] == net.weight_bytes
    assert flash_bytes(program, 0)["weights"] == net.slice(0).weight_bytes
    channels = sum(len(biases) for op in net.ops for biases in op.biases)
    lookups = sum(op.lookup.nbytes for op in program.ops if op.lookup is not None)
    assert flash_bytes(program, last)["tables"] == 9 * channels + lookups
    assert sum(table_bytes(program, k) for k in range(last + 1)) == 9 * channels


@given(st.lists(st.tuples(st.integers(1, 999), st.integers(0, 9), st.integers(0, 4)), max_size=15))
def test_blocks_that_live_together_never_overlap(drawn):
    blocks = [Block(str(i), size, at, at + span) for i, (size, at, span) in enumerate(drawn)]
    offsets = place(blocks)
    assert all(offset % ALIGNMENT == 0 for offset in offsets.values())
    for one in blocks:
        for other in blocks:
            if one is not other and one.meets(other):
                ends_before = offsets[one.name] + align(one.size) <= offsets[other.name]
                assert ends_before or offsets[other.name] + other.size <= offsets[one.name]


def test_chain_of_equal_tensors_needs_two_of_them():
    blocks = [Block(str(i), 160, i, i + 1) for i in range(6)]
    offsets = place(blocks)
    assert max(offsets.values()) == 160


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


@pytest.mark.parametrize("kind", ["dense", "convolution", "depthwise"])
def test_accumulator_overflow_is_refused(kind):
    builder = NetBuilder((40,) if kind == "dense" else (6, 6, 4))
    if kind == "convolution":
        builder.convolution(4, cut=False)
    else:
        builder.dense(4) if kind == "dense" else builder.depthwise()
    net = builder.build()
    op = net.ops[-1]
    biases = tuple(bias.copy() for bias in op.biases)
    biases[1][-1] = 2**31 - 1000
    refuse(replace(net, ops=(replace(op, biases=biases),)), op.name, "subnet 1", "accumulator")
    scales = tuple((scale * 1e7).astype(np.float32) for scale in op.scales)
    refuse(replace(net, ops=(replace(op, scales=scales),)), op.name, "shift included")


def test_mean_overflow_is_refused():
    net = NetBuilder((50, 50, 2)).mean().build()
    output = replace(net.output, scale=1e-9)
    refuse(replace(net, tensors=dict(net.tensors) | {output.name: output}), "MEAN", "accumulator")
