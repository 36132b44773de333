"""What the flash of an image holds: every byte has a part, and code and tables stay small."""

import numpy as np
import pytest

from tflm_reds.boards.schema import load_board
from tflm_reds.codegen.firmware import Firmware, Samples, build_firmware
from tflm_reds.codegen.lower import SLACK, lower
from tflm_reds.codegen.program import Program, flash_bytes
from tflm_reds.codegen.toolchain import target_compiler
from tflm_reds.codegen.writer import write_sources
from tflm_reds.keras_reader import read_model
from tflm_reds.nested_model import NestedModel
from tflm_reds.nesting import plan_graph
from tflm_reds.quantization import quantize
from tflm_reds.quantized import QuantizedNet
from tflm_reds.report.flash import flash_parts, kernel_bytes
from tflm_reds.score import Scores
from tflm_reds.sim.elf import Elf
from tflm_reds.zoo.keyword_spotting import ds_cnn_s_kws

CODE_LIMIT = 12 * 1024
TABLE_BYTES = 9
"""Of an active output channel and subnet."""


@pytest.fixture(scope="module")
def image(tmp_path_factory) -> tuple[QuantizedNet, Program, Firmware]:
    """DS-CNN S for keywords with four subnets, untrained: neither size depends on the weights."""
    folder = tmp_path_factory.mktemp("image")
    graph, weights = read_model(ds_cnn_s_kws())
    random = np.random.default_rng(0)
    values = {group: random.exponential(size=size) for group, size in graph.groups.items()}
    plan = plan_graph(graph, Scores(values, "random", samples=1), (0.25, 0.5, 0.75))
    x = random.normal(size=(4, *graph.nodes[0].shape)).astype(np.float32)
    net = quantize(NestedModel.from_weights(graph, weights, plan), x, "kws")
    program = lower(net)
    samples = Samples.from_net(net, net.quantize_input(x[:1]))
    sources = write_sources(program, folder / "src")
    return net, program, build_firmware(sources, "kws", samples, load_board("nano33ble"), folder)


def test_every_byte_of_flash_has_a_part(image):
    _, program, firmware = image
    parts = flash_parts(firmware)
    assert parts["total"] == firmware.flash_bytes == sum(parts.values()) - parts["total"]
    assert parts["kernels"] == sum(kernel_bytes(firmware).values())
    assert set(program.kernels) <= set(kernel_bytes(firmware))
    samples = Elf.load(firmware.elf).symbol("firmware_samples").size
    assert samples < parts["firmware"] < samples + 6000


def test_weights_and_tables_are_those_of_the_program(image):
    _, program, firmware = image
    parts, expected = flash_parts(firmware), flash_bytes(program, program.subnet_count - 1)
    weights = sum(op.weights.nbytes for op in program.ops if op.weights is not None)
    assert parts["weights"] == weights
    assert parts["tables"] == expected["tables"]


def test_code_without_the_firmware_stays_below_12_kib(image):
    if target_compiler().is_zig:
        pytest.skip("the limit is for gcc -O2")
    parts = flash_parts(image[2])
    assert parts["kernels"] + parts["runtime"] < CODE_LIMIT, kernel_bytes(image[2])


def test_tables_take_at_most_9_bytes_for_a_channel_of_a_subnet(image):
    _, program, firmware = image
    channels = sum(len(table.bias) for op in program.ops for table in op.tables)
    lookups = sum(op.lookup.nbytes for op in program.ops if op.lookup is not None)
    assert flash_parts(firmware)["tables"] - lookups <= TABLE_BYTES * channels


@pytest.mark.parametrize("optimize", SLACK)
def test_arena_is_near_the_live_tensors_and_below_tflms(image, optimize):
    """22,820 B is what TFLM takes for this network on a Cortex-M4."""
    program = lower(image[0], optimize)
    for arena, live in zip(program.arena_sizes, program.live_sizes, strict=True):
        assert live <= arena <= SLACK[optimize] * live
    assert program.arena_sizes[-1] <= 22_820 / 2
