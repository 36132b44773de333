"""Kernels chosen by measured costs: the same bytes, the fastest candidate, a cache that holds."""

import importlib.util
from dataclasses import replace

import numpy as np
import pytest
from random_nets import NetBuilder, concatenating, dense_net, ds_cnn, random_inputs

from tflm_reds.boards.schema import load_board
from tflm_reds.codegen.host import HostLibrary
from tflm_reds.codegen.lower import SLACK, lower, prepare
from tflm_reds.codegen.passes import select_kernels
from tflm_reds.codegen.passes.select_kernels import Candidate, candidates
from tflm_reds.codegen.tuning.tune import Tuning, relative_cost, tune
from tflm_reds.report.choices import choices_of

BOARD = load_board("nano33ble")
GENERAL, FAST = "reds_depthwise_conv_s8", "reds_depthwise_conv_3x3_s8"


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    """An empty cache of its own for each test; the folder of its entries."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return tmp_path / "cache" / "tflm_reds" / "tuning"


def small_maps(seed=0):
    """Maps so small that the kernels for large ones do not pay."""
    net = NetBuilder((5, 5, 4), subnets=2, seed=seed).convolution(24, (1, 1), "none")
    net.depthwise((3, 3), padding="VALID").depthwise((3, 3), padding="VALID")
    return net.convolution(20, (1, 1)).leaky_relu().mean().dense(3).build("small_maps")


def one_depthwise(height, width, channels, **geometry):
    net = NetBuilder((height, width, 2), subnets=2, seed=1).convolution(channels, (1, 1))
    return net.depthwise((3, 3), **geometry).mean().dense(3).build("one_depthwise")


def check_bytes(net, program, folder):
    host, x = HostLibrary(program, folder), random_inputs(net, 30)
    for subnet in range(net.subnet_count):
        expected = net.run(x, subnet)
        np.testing.assert_array_equal(host.run(x, subnet).reshape(expected.shape), expected)


def test_tuned_program_is_faster_by_its_choices_and_computes_the_same_bytes(tmp_path):
    net = small_maps()
    tuning = tune(net, BOARD)
    program = lower(net, chosen=tuning.chosen)
    kernels = {op.name: op.kernel for op in program.ops}
    by_shape = {op.name: op.kernel for op in lower(net).ops}
    assert kernels["depthwise_conv_2d_2"] == GENERAL != by_shape["depthwise_conv_2d_2"] == FAST
    pointwise = "conv_2d_3 + leaky_relu_4"
    assert kernels[pointwise] == "reds_fully_connected_s8" != by_shape[pointwise]
    assert kernels["depthwise_conv_2d_1"] == FAST
    check_bytes(net, program, tmp_path)


@pytest.mark.parametrize("make", [small_maps, ds_cnn, dense_net, concatenating])
def test_every_candidate_computes_the_same_bytes(make, tmp_path):
    net = make(4)
    options = {op.name: candidates(prepare(net), op) for op in prepare(net).ops}
    for i in range(1, max(map(len, options.values()))):
        chosen = {name: found[min(i, len(found) - 1)] for name, found in options.items()}
        program = lower(net, chosen=chosen)
        assert {op.name: op.kernel for op in program.ops} == {
            name: candidate.kernel for name, candidate in chosen.items()
        }
        check_bytes(net, program, tmp_path / str(i))


def test_the_choice_depends_on_the_map():
    chosen = [tune(one_depthwise(*size, 64), BOARD).chosen for size in ((3, 3), (12, 10))]
    assert chosen == [{"depthwise_conv_2d_1": Candidate(GENERAL, 0)}, {}]


def test_a_second_run_measures_nothing_and_says_the_same(cache):
    first, second = tune(ds_cnn(), BOARD), tune(ds_cnn(), BOARD)
    assert first.runs == sum(map(len, first.measured.values())) == len(list(cache.iterdir()))
    assert second == replace(first, runs=0)


def test_measurements_repeat_without_the_cache(monkeypatch, tmp_path):
    first = tune(small_maps(), BOARD)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "other"))
    assert tune(small_maps(), BOARD) == first


def test_damaged_entries_are_measured_again(cache):
    first = tune(one_depthwise(3, 3, 8), BOARD)
    contents = ("", "{", "[1, 2]", '{"costs": [1]}', '{"costs": ["a", 2]}', '{"costs": [-1, 0]}')
    for path, content in zip(sorted(cache.iterdir()), contents, strict=True):
        path.write_text(content)
    assert tune(one_depthwise(3, 3, 8), BOARD) == first
    assert tune(one_depthwise(3, 3, 8), BOARD) == replace(first, runs=0)


def test_a_cache_that_cannot_be_written_is_none(tmp_path, monkeypatch):
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "file"))
    assert tune(one_depthwise(3, 3, 8), BOARD).runs == 6


def test_another_table_is_another_entry():
    net = one_depthwise(3, 3, 8)
    biases = tuple(bias + 1 for bias in net.ops[1].biases)
    ops = (net.ops[0], replace(net.ops[1], biases=biases), *net.ops[2:])
    assert tune(net, BOARD).runs == 6
    assert tune(replace(net, ops=ops), BOARD).runs == 2


def test_a_candidate_that_its_kernel_refuses_is_left_out(monkeypatch):
    monkeypatch.setattr(select_kernels, "is_narrow", lambda *_: True)
    net = NetBuilder((6, 5, 2), subnets=2, seed=1).convolution(8, (3, 3)).mean().dense(3).build()
    tuning = tune(net, BOARD)
    costs = tuning.measured["conv_2d_0"]
    refused, general = costs
    assert (refused.kernel, costs[refused]) == ("reds_convolve_narrow_s8", ())
    assert relative_cost(costs, refused) == float("inf")
    assert tuning.chosen == {"conv_2d_0": general}
    program = lower(net, chosen=tuning.chosen)
    assert (
        "reds_convolve_narrow_s8 refuses it" in choices_of(program, tuning, "speed")[0].why_kernel
    )


def test_the_arena_keeps_its_limit():
    """The fast kernel works in place, the general one needs room for a second map."""
    net = one_depthwise(2, 2, 96, padding="SAME")
    costs = tune(net, BOARD).measured["depthwise_conv_2d_1"]
    assert min(costs, key=lambda one: relative_cost(costs, one)).kernel == GENERAL
    for optimize in SLACK:
        tuning = tune(net, BOARD, optimize)
        usual, program = lower(net, optimize), lower(net, optimize, chosen=tuning.chosen)
        assert program.arena_sizes[-1] <= max(
            usual.arena_sizes[-1], SLACK[optimize] * usual.live_sizes[-1]
        )
        choice = choices_of(program, tuning, optimize)[1]
        assert choice.kernel == FAST
        assert choice.why_kernel.startswith(f"the arena decides; {GENERAL} 0.")


def test_no_op_gets_slower_and_no_arena_exceeds_a_ram_limit():
    """A convolution that would take much scratch stands beside depthwise ops on small maps."""
    net = NetBuilder((6, 6, 4), subnets=2, seed=3).convolution(24, (3, 3), "none", cut=True)
    net.convolution(24, (3, 3), padding="SAME").depthwise((3, 3)).depthwise((2, 2))
    net = net.mean().dense(3).build()
    for ram in (None, [lower(net, "ram").arena_sizes[k] for k in range(2)]):
        tuning = tune(net, BOARD, ram=ram)
        assert tuning.chosen
        usual, tuned = lower(net, ram=ram), lower(net, ram=ram, chosen=tuning.chosen)
        for before, after in zip(usual.ops, tuned.ops, strict=True):
            costs = tuning.measured.get(before.name)
            if costs:
                ways = [Candidate(op.kernel, op.scratch_bytes) for op in (before, after)]
                assert relative_cost(costs, ways[1]) <= relative_cost(costs, ways[0])
        limits = ram or [SLACK["speed"] * live for live in usual.live_sizes]
        for k, limit in enumerate(limits):
            assert tuned.arena_sizes[k] <= max(limit, usual.arena_sizes[k])


def test_report_tells_what_was_measured_and_why():
    net = small_maps()
    tuning = tune(net, BOARD)
    choices = {
        choice.name: choice
        for choice in choices_of(lower(net, chosen=tuning.chosen), tuning, "speed")
    }
    last = choices["depthwise_conv_2d_2"]
    assert last.why_kernel.startswith(f"the fastest; {FAST} ")
    assert {one.kernel: one.costs for one in last.candidates} == {
        one.kernel: costs for one, costs in tuning.measured["depthwise_conv_2d_2"].items()
    }
    assert choices["mean_5"].why_kernel == "the only one" and not choices["mean_5"].candidates
    assert "modelled cycles" in tuning.note and "cortex-m4f" in tuning.note


def test_cores_without_a_cycle_model_count_instructions():
    board = replace(BOARD, core="cortex-m33f")
    tuning = tune(one_depthwise(3, 3, 8), board)
    assert tuning.unit == "instructions" and all(
        map(all, tuning.measured["fully_connected_3"].values())
    )


def test_without_compiler_or_simulator_the_choice_by_shape_stays(monkeypatch, tmp_path):
    net = one_depthwise(3, 3, 8)
    unknown = tune(net, replace(BOARD, core="cortex-m55f"))
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.delenv("TFLM_REDS_TARGET_CC", raising=False)
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    missing = tune(net, BOARD)
    for tuning, reason in ((unknown, "no cortex-m55f"), (missing, "pip install ziglang")):
        assert tuning == Tuning(None, tuning.note) and reason in tuning.note
        assert choices_of(lower(net), tuning, "speed")[0].why_kernel == "by shape"
