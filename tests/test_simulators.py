"""The same image in all simulators: same bytes, same instructions of the same functions."""

import shutil
from dataclasses import replace

import numpy as np
import pytest
import random_nets
import tiny_model
from tiny_model import build

from tflm_reds.boards.schema import available_boards, load_board
from tflm_reds.codegen.firmware import Samples, build_firmware
from tflm_reds.codegen.lower import lower
from tflm_reds.codegen.writer import write_sources
from tflm_reds.errors import BoardError, SimulationError, ToolchainError, VerificationError
from tflm_reds.sim import simulators
from tflm_reds.sim.elf import Elf
from tflm_reds.sim.protocol import Limits
from tflm_reds.sim.qemu import PROGRAM
from tflm_reds.sim.qemu_board import QemuSession, QemuSimulator, find_machine
from tflm_reds.sim.simulators import check_agreement, choose_simulators, outputs_in, run_simulators
from tflm_reds.sim.unicorn import UnicornSession

needs_qemu = pytest.mark.skipif(shutil.which(PROGRAM) is None, reason=f"{PROGRAM} not installed")
NANO = load_board("nano33ble")


@pytest.fixture(scope="module")
def tiny(tmp_path_factory):
    return build(tmp_path_factory.mktemp("tiny"))


@pytest.fixture(scope="module")
def runs(tiny):
    if shutil.which(PROGRAM) is None:
        pytest.skip(f"{PROGRAM} not installed")
    return run_simulators(choose_simulators("all", NANO), tiny)


@needs_qemu
@pytest.mark.parametrize("name", available_boards())
def test_every_board_in_all_its_simulators(name, tmp_path):
    board = load_board(name)
    firmware = build(tmp_path, board=board)
    runs = run_simulators(choose_simulators("all", board), firmware)
    assert set(runs) == set(board.tools.simulators) - {"renode"}
    for run in runs.values():
        np.testing.assert_array_equal(run.outputs, firmware.samples.outputs)
        assert run.build == firmware.build
    assert runs["qemu"].relinked == (not board.tools.qemu_machine)


@needs_qemu
@pytest.mark.parametrize("board", ["nano33ble", "rpi_pico", "mps3_an547"])
def test_a_whole_network(board, tmp_path):
    """Kernels of each body: DSP, plain, vectors."""
    net, board = random_nets.ds_cnn(), load_board(board)
    samples = Samples.from_net(net, random_nets.random_inputs(net, 2))
    sources = write_sources(lower(net), tmp_path / "sources")
    firmware = build_firmware(sources, net.name, samples, board, tmp_path)
    chosen = choose_simulators("all", board)
    run_simulators(chosen, firmware)
    x = random_nets.random_inputs(net, 5, seed=3)
    expected = [net.run(x, k).reshape(5, -1) for k in range(net.subnet_count)]
    for simulator in chosen:
        np.testing.assert_array_equal(outputs_in(simulator.name, firmware)(x), expected)


def test_both_simulators_are_independent_runs_of_one_file(runs, tiny):
    assert list(runs) == ["unicorn", "qemu"]
    assert not runs["qemu"].relinked
    for one, other in zip(runs["unicorn"].subnets, runs["qemu"].subnets, strict=True):
        assert sum(one.by_function.values()) == one.instructions == other.instructions
        assert one.switch_instructions == other.switch_instructions
        assert one.per_op and other.per_op is None and other.cycles is None
        assert {"reds_invoke", "tiny_op_1_sum"} <= set(one.by_function)


def test_different_outputs_and_counts_are_found(runs):
    unicorn, qemu = runs.values()
    outputs = qemu.outputs.copy()
    outputs[1, 0, 3] ^= 1
    with pytest.raises(VerificationError, match="subnet 1, sample 0, byte 3"):
        check_agreement(unicorn, replace(qemu, outputs=outputs))
    counts = dict(qemu.subnets[2].by_function) | {"reds_invoke": 1}
    changed = (*qemu.subnets[:2], replace(qemu.subnets[2], by_function=counts))
    with pytest.raises(VerificationError, match=r"subnet 2, reds_invoke: \d+ and 1"):
        check_agreement(unicorn, replace(qemu, subnets=changed))


@needs_qemu
def test_the_bootloader_area_of_the_padded_image_starts_the_image(tiny):
    with QemuSession(tiny) as session:
        assert not session.relinked
        vectors = session.machine.read(NANO.image_origin, 64)
        assert session.machine.read(0, 64) == vectors
        assert session.machine.read(64, 4) == b"\xff" * 4


@needs_qemu
def test_relinked_images_hold_the_same_code(tmp_path):
    board = load_board("nrf5340dk")
    firmware = build(tmp_path, board=board)
    machine, relinked = find_machine(board)
    assert relinked
    with QemuSession(firmware) as session:
        assert session.firmware.board.image_origin == machine.code.origin
        ours, theirs = Elf.load(firmware.elf), session.elf
        sizes = [
            {s.name: s.size for s in elf.symbols if s.is_function} for elf in (ours, theirs)
        ]  # fmt: skip
        assert sizes[0] == sizes[1]
        assert session.firmware.build == firmware.build


@needs_qemu
def test_the_exit_code_is_the_number_of_failures(tiny):
    with QemuSession(tiny) as session:
        assert session.exit_code(0) == 0
    with QemuSession(tiny) as session:
        assert session.exit_code(3) == 3


def test_cycles_of_a_long_run_on_a_core_without_cycle_counter(tmp_path):
    """SysTick counts 24 bits; Unicorn stands in for the exception that counts the rest."""
    first = tiny_model.samples().inputs[0, 0]
    loop = "for (volatile int32_t i = 0; i < 3500000; i++) {}"
    statement = f"if (state->active == 2 && state->input[0] == {first}) {loop}"
    session = UnicornSession(build(tmp_path, statement, board=load_board("rpi_pico")))
    cycles = [r.integer("cycles") for r in session.records if r.kind == "RESULT"]
    assert cycles[-2] > 1 << 24 and cycles[-1] < 1000
    inference = session.measure(2, session.firmware.samples.inputs[0])
    assert abs(cycles[-2] - inference.instructions) < 100


def test_unicorn_is_the_default_where_qemu_is_missing(monkeypatch):
    monkeypatch.setenv("PATH", "")
    assert not QemuSimulator().available()
    assert choose_simulators("all", NANO) == (simulators.UNICORN,)
    with pytest.raises(ToolchainError, match="apt-get install qemu-system-arm"):
        choose_simulators("qemu", NANO)
    with pytest.raises(ToolchainError, match="apt-get install qemu-system-arm"):
        choose_simulators("unicorn", load_board("mps3_an547"))
    with pytest.raises(ToolchainError, match=r"renode-test is not on PATH\. Get Renode"):
        choose_simulators("renode", NANO)
    with pytest.raises(BoardError, match=r"Renode .* does not know mps3_an547"):
        choose_simulators("renode", load_board("mps3_an547"))


@needs_qemu
def test_a_board_with_more_memory_than_the_machine(tmp_path):
    board = load_board("rpi_pico")
    firmware = build(tmp_path, board=board)
    large = replace(board, ram=replace(board.ram, size=1 << 20))
    with pytest.raises(SimulationError, match=r"microbit has 270336 bytes of RAM, "):
        QemuSession(replace(firmware, board=large))


@needs_qemu
def test_a_limit_of_seconds_ends_qemu(tmp_path):
    firmware = build(tmp_path, 'for (;;) __asm volatile("");')
    with pytest.raises(SimulationError, match=r"passed the limit of 0\.5 seconds"):
        QemuSession(firmware, Limits(seconds=0.5))
