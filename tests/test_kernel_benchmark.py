"""The benchmark of kernels: what it measures, and what it refuses."""

import shutil

import numpy as np
import pytest
from machines import KERNELS, CortexM

from benchmarks import cmsis_nn_calls, kernels
from benchmarks.configurations import QEMU_CORE, TUNED_CORES, Configuration
from benchmarks.layers import LAYERS, find_layer, work
from tflm_reds.codegen.toolchain import target_compiler
from tflm_reds.errors import ToolchainError, VerificationError
from tflm_reds.reference import run_op
from tflm_reds.sim.qemu import PROGRAM

MACS = {
    ("pointwise 64-64", 64): 512_000,
    ("pointwise 64-64", 16): 32_000,
    ("depthwise 3x3", 64): 72_000,
    ("convolution 10x4 s2 1-64", 16): 80_000,
    ("dense 144-144", 36): 36 * 36,
    ("dense 64-12", 16): 16 * 12,
    ("dense 250-144", 36): 250 * 36,
}

HEAVY = (
    ("pointwise 64-64", 16),
    ("depthwise 3x3", 16),
    ("convolution 10x4 s2 1-64", 16),
    ("convolution 3x3 64-64", 16),
    ("dense 144-144", 36),
)


@pytest.fixture(scope="module")
def machine(tmp_path_factory) -> CortexM:
    sources = sorted(KERNELS.glob("*.c"))
    folder = tmp_path_factory.mktemp("m4")
    return CortexM(sources, folder, guard=False, compiler=target_compiler())


def test_work_of_the_prefixes():
    for (kernel, width), macs in MACS.items():
        layer = find_layer(kernel)
        net = layer.at([width])
        assert work(net, layer.subnets([width]).index(width)) == macs


@pytest.mark.parametrize("layer", LAYERS, ids=lambda layer: layer.kernel)
def test_a_narrow_width_is_a_prefix_of_the_full_layer(layer):
    narrow, full = layer.at([min(layer.widths)]), layer.at([max(layer.widths)])
    if narrow.ops[-1].weights is not None:
        np.testing.assert_array_equal(narrow.ops[-1].weights, full.ops[-1].weights)
    assert narrow.input.shape == full.input.shape == layer.shape


def test_a_measurement_repeats_and_costs_more_when_flash_waits(machine):
    net = find_layer("dense 144-144").at([36])
    first, second = (kernels.measure(machine, net, subnet=0) for _ in range(2))
    assert first == second
    assert first["instructions"] < first["cycles_ws0"] < first["cycles_ws2"]
    assert kernels.measure(machine, net, subnet=1)["instructions"] > first["instructions"]


@pytest.mark.parametrize("core", TUNED_CORES)
def test_tuned_bodies_need_at_most_two_thirds_of_the_plain_ones(core, tmp_path):
    for program in ("arm-none-eabi-gcc", *([PROGRAM] if core == QEMU_CORE else [])):
        if shutil.which(program) is None:
            pytest.skip(f"{program} not installed")
    counts = {}
    for body in ("plain", "tuned"):
        folder = tmp_path / body
        folder.mkdir()
        with Configuration(core, body=body).machine(folder) as machine:
            for kernel, width in HEAVY:
                net = find_layer(kernel).at([width])
                counts[kernel, body] = kernels.measure(machine, net, subnet=0)["instructions"]
    for kernel, _ in HEAVY:
        assert 1.5 * counts[kernel, "tuned"] <= counts[kernel, "plain"], kernel


def test_a_wrong_kernel_is_not_measured(machine, monkeypatch):
    net = find_layer("dense 64-12").at([16])
    monkeypatch.setattr(kernels, "run_op", lambda *arguments: run_op(*arguments) ^ 1)
    with pytest.raises(VerificationError, match=r"12 outputs of .* differ"):
        kernels.measure(machine, net, 0)


def test_odd_widths_are_measured_on_the_reference_configuration_only():
    layer = find_layer("pointwise 64-64")
    assert kernels.widths_for(layer, Configuration()) == tuple(range(16, 65))
    assert kernels.widths_for(layer, Configuration("cortex-m0")) == (16, 25, 33, 64)


def test_a_folder_without_cmsis_nn_is_refused(tmp_path):
    with pytest.raises(ToolchainError, match="give CMSIS-NN's root"):
        cmsis_nn_calls.build_cmsis_nn(tmp_path, tmp_path)


def test_cmsis_nn_gets_one_scale_for_a_dense_layer():
    net = cmsis_nn_calls.with_one_scale(find_layer("dense 144-144").at([36]))
    assert all(len(set(row)) == 1 for row in net.ops[-1].scales)
    other = find_layer("pointwise 64-64").at([16])
    assert cmsis_nn_calls.with_one_scale(other) == other
