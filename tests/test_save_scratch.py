"""Slower kernels where scratch would raise the arena above what `ram` allows: only there."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from random_graphs import random_graph
from random_nets import NetBuilder, dense_net, ds_cnn, every_op, random_inputs, residual

from tflm_reds.boards.schema import load_board
from tflm_reds.codegen.host import HostLibrary
from tflm_reds.codegen.lower import SLACK, lower, prepare
from tflm_reds.codegen.passes.plan_arena import least_bytes, plan_arena
from tflm_reds.codegen.passes.save_scratch import save_scratch
from tflm_reds.codegen.passes.select_kernels import (
    CONVOLVE,
    CONVOLVE_1X1,
    CONVOLVE_1X1_SMALL,
    CONVOLVE_DIRECT,
    DEPTHWISE,
    DEPTHWISE_3X3,
    FULLY_CONNECTED,
    select_kernels,
)
from tflm_reds.codegen.program import Program
from tflm_reds.codegen.tuning.tune import tune
from tflm_reds.quantized import QuantizedNet
from tflm_reds.report.choices import choices_of

SMALLER = {CONVOLVE_1X1_SMALL, CONVOLVE_DIRECT}


def convolutions(window: tuple[int, int], **geometry) -> QuantizedNet:
    """Two convolutions between the same maps of 60 channels."""
    builder = NetBuilder((6, 5, 3), subnets=2).convolution(60, (1, 1), cut=False)
    return builder.convolution(60, window, cut=False, **geometry).mean().dense(3).build("two")


def kernels_of(program: Program) -> list[str]:
    return [op.kernel for op in program.ops]


def check_bytes(net: QuantizedNet, program: Program, folder) -> None:
    host, x = HostLibrary(program, folder), random_inputs(net, 30)
    for subnet in range(net.subnet_count):
        expected = net.run(x, subnet)
        np.testing.assert_array_equal(host.run(x, subnet).reshape(expected.shape), expected)


@pytest.mark.parametrize("make", [dense_net, residual])
def test_arenas_are_smaller_and_the_bytes_are_the_same(make, tmp_path):
    net = make(3)
    fast, small = lower(net), lower(net, "ram")
    assert kernels_of(small) != kernels_of(fast)
    sizes = zip(small.arena_sizes, fast.arena_sizes, strict=True)
    assert all(less < more for less, more in sizes)
    check_bytes(net, small, tmp_path)


@pytest.mark.parametrize("make", [ds_cnn, dense_net, every_op, residual])
def test_speed_never_takes_a_slower_kernel(make):
    net = make(3)
    assert kernels_of(lower(net)) == kernels_of(select_kernels(prepare(net)))


def test_a_pointwise_convolution_takes_fewer_positions_at_a_time(tmp_path):
    net = convolutions((1, 1))
    fast, small = lower(net), lower(net, "ram")
    assert kernels_of(fast)[1] == CONVOLVE_1X1
    assert kernels_of(small)[1] == CONVOLVE_1X1_SMALL
    assert fast.ops[1].scratch_bytes >= 2 * small.ops[1].scratch_bytes
    assert small.arena_sizes[-1] <= SLACK["ram"] * small.live_sizes[-1] < fast.arena_sizes[-1]
    check_bytes(net, small, tmp_path)


def test_a_convolution_reads_its_windows_where_they_lie(tmp_path):
    net = convolutions((3, 3), padding="SAME")
    fast, small = lower(net), lower(net, "ram")
    assert kernels_of(fast)[1] == CONVOLVE
    assert kernels_of(small)[1] == CONVOLVE_DIRECT
    assert small.ops[1].scratch_bytes == 0
    assert small.arena_sizes[-1] < fast.arena_sizes[-1]
    check_bytes(net, small, tmp_path)


def test_fully_connected_layers_need_their_inputs_and_outputs_only(tmp_path):
    net = NetBuilder((48,), subnets=1).dense(160, "relu").dense(160, "relu").dense(4).build()
    fast, small = lower(net), lower(net, "ram")
    assert set(kernels_of(fast)) == {FULLY_CONNECTED}
    assert small.live_sizes[-1] == small.arena_sizes[-1] == 160 + 160
    check_bytes(net, small, tmp_path)


def test_a_depthwise_convolution_with_a_stride_runs_over_its_input(tmp_path):
    builder = NetBuilder((9, 9, 2), subnets=2).convolution(16, (1, 1), cut=False)
    net = builder.depthwise(stride=(2, 2), padding="SAME").mean().dense(3).build()
    fast, small = lower(net), lower(net, "ram")
    assert [program.ops[1].kernel for program in (fast, small)] == [DEPTHWISE_3X3, DEPTHWISE]
    assert small.arena_sizes[-1] < fast.live_sizes[-1]
    check_bytes(net, small, tmp_path)


def test_ops_with_room_keep_their_kernels():
    net = convolutions((1, 1))
    program = select_kernels(prepare(net))
    free = plan_arena(program, 1.0).arena_sizes[-1]
    assert save_scratch(program, free) is program
    assert kernels_of(save_scratch(program, free - 1))[2:] == kernels_of(program)[2:]


@settings(max_examples=15)
@given(st.integers(0, 10**6), st.integers(1, 8))
def test_no_arena_of_random_graphs_grows_and_the_bound_stays(seed, steps):
    net = random_graph(seed, steps)
    program = select_kernels(prepare(net))
    saved = save_scratch(program, 0)
    sizes = [plan_arena(one, 1.0).arena_sizes[-1] for one in (program, saved)]
    assert sizes[1] < sizes[0] or saved is program
    assert lower(net, "ram").live_sizes == lower(net).live_sizes
    assert lower(net).live_sizes[-1] == least_bytes(program)


def test_the_report_tells_the_price(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    net = convolutions((1, 1))
    tuning = tune(net, load_board("nano33ble"), "ram")
    program = lower(net, "ram", chosen=tuning.chosen)
    choice = choices_of(program, tuning, "ram")[1]
    assert choice.kernel == CONVOLVE_1X1_SMALL
    assert choice.why_kernel.startswith("the arena decides; ")
    assert f"{CONVOLVE_1X1} 0." in choice.why_kernel
    assert not SMALLER & {
        candidate.kernel
        for costs in tune(net, load_board("nano33ble")).measured.values()
        for candidate in costs
    }
