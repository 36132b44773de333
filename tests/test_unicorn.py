import itertools
from dataclasses import replace

import numpy as np
import pytest
import random_nets
import tiny_model
from tiny_model import build, target_compilers

from tflm_reds.boards.schema import load_board
from tflm_reds.codegen.firmware import Samples, build_firmware
from tflm_reds.codegen.lower import lower
from tflm_reds.codegen.writer import write_sources
from tflm_reds.errors import DataError, SimulationError
from tflm_reds.sim import compiled_counter
from tflm_reds.sim.compiled_counter import CompiledCounter
from tflm_reds.sim.protocol import Limits
from tflm_reds.sim.python_counter import PythonCounter
from tflm_reds.sim.unicorn import UnicornSession, UnicornSimulator

NETS = {
    "ds_cnn": random_nets.ds_cnn,
    "every_op": random_nets.every_op,
    "residual": lambda: random_nets.residual(seed=3),
    "concatenating": random_nets.concatenating,
}


@pytest.fixture(scope="module")
def tiny(tmp_path_factory):
    return build(tmp_path_factory.mktemp("tiny"))


@pytest.fixture(scope="module", params=target_compilers(), ids=lambda c: c.version[:12])
def tiny_session(request, tmp_path_factory):
    return UnicornSession(build(tmp_path_factory.mktemp("tiny"), compiler=request.param))


@pytest.fixture(scope="module", params=NETS)
def net_session(request, tmp_path_factory):
    net, folder = NETS[request.param](), tmp_path_factory.mktemp(request.param)
    samples = Samples.from_net(net, random_nets.random_inputs(net, 2))
    sources = write_sources(lower(net), folder / "sources")
    firmware = build_firmware(sources, net.name, samples, load_board("nano33ble"), folder)
    return net, UnicornSession(firmware)


def test_image_equals_the_reference(net_session):
    net, session = net_session
    x = random_nets.random_inputs(net, 20, seed=5)
    for subnet in np.random.default_rng(0).permutation(net.subnet_count):
        np.testing.assert_array_equal(session.run(subnet, x), net.run(x, subnet).reshape(20, -1))


def test_random_switch_before_each_input(tiny_session):
    random = np.random.default_rng(1)
    for x in random.integers(-128, 128, (50, tiny_model.INPUT_BYTES)).astype(np.int8):
        subnet = int(random.integers(tiny_model.SUBNETS))
        expected = tiny_model.reference(x[None], subnet)[0]
        np.testing.assert_array_equal(tiny_session.invoke(subnet, x), expected)


def test_counts_of_every_subnet(net_session):
    net, session = net_session
    x = session.firmware.samples.inputs[0]
    runs = [session.measure(subnet, x) for subnet in range(net.subnet_count)]
    names = [op.name for op in lower(net).ops]
    for narrow, wide in itertools.pairwise(runs):  # a whole group more can cost less than a part
        assert wide.instructions > 0.98 * narrow.instructions
    for run in runs:
        assert list(run.per_op) == names
        executor = run.instructions - sum(run.per_op.values())
        assert 5 * len(names) < executor < 30 * len(names) + 50
        assert run.switch_instructions < 16
        assert run.first_instructions - run.instructions <= 64
        assert run.flash_reads > 0
        cycles = run.cycles
        assert run.instructions < cycles.low < cycles.ws0 < cycles.ws2 < cycles.high
        assert cycles.ws2 - cycles.ws0 == 2 * run.flash_reads


def test_counts_repeat(tiny_session):
    x = tiny_session.firmware.samples.inputs[0]
    assert tiny_session.measure(1, x) == tiny_session.measure(1, x)


def test_a_loop_of_known_length(tmp_path):
    def count(iterations):
        loop = f'__asm volatile("movs r3, #{iterations}\\n1: subs r3, #1\\nbne 1b" ::: "r3", "cc");'
        session = UnicornSession(build(tmp_path, loop))
        return session.measure(0, session.firmware.samples.inputs[0])

    short, long = count(10), count(110)
    assert long.per_op["sum"] - short.per_op["sum"] == 200
    assert long.instructions - short.instructions == 200
    # 100 x (SUBS 1 + BNE 1 + refill), refill 1 to 3.
    assert long.cycles.low - short.cycles.low == 300
    assert long.cycles.ws0 - short.cycles.ws0 == 400
    assert long.cycles.high - short.cycles.high == 500


def test_compiled_and_python_counters_agree(net_session):
    net, session = net_session
    x = session.firmware.samples.inputs[0]
    runs = []
    for counter in (CompiledCounter, PythonCounter):
        other = UnicornSession(session.firmware, counter=counter)
        assert isinstance(other.machine.counter, counter)
        runs.append(
            (other.boot_instructions, other.console, other.measure(net.subnet_count - 1, x))
        )
    assert runs[0] == runs[1]


def test_edges_of_both_counters_agree(tiny):
    edges = []
    for counter in (CompiledCounter, PythonCounter):
        session = UnicornSession(tiny, counter=counter)
        edges.append(session._count_inference(2).edges)
    np.testing.assert_array_equal(edges[0], edges[1])


@pytest.mark.parametrize("counter", [CompiledCounter, PythonCounter])
def test_lines_that_the_instruction_cache_does_not_hold(tiny, counter):
    """All lines once where they fit; each anew where a loop is longer than the cache."""

    def fetches(cache_bytes, line_bytes=16):
        timing = replace(tiny.board.timing, cache_bytes=cache_bytes, cache_line_bytes=line_bytes)
        firmware = replace(tiny, board=replace(tiny.board, timing=timing))
        session = UnicornSession(firmware, counter=counter)
        session.machine.counter.count_accesses(True)
        return sum(session._count_inference(2).fetches)

    edges = UnicornSession(tiny)._count_inference(2).edges
    lines = set()
    for start, size in zip(edges["target"].tolist(), edges["target_size"].tolist(), strict=True):
        lines |= set(range(start // 16, (start + size - 1) // 16 + 1))
    assert fetches(4096) == fetches(1024) == len(lines)
    assert len(lines) < fetches(64) < fetches(16)
    assert fetches(32, 32) < fetches(16)
    assert fetches(0, 0) == 0


def test_a_core_without_a_cycle_model(tiny):
    """Counts without cycles."""
    session = UnicornSession(replace(tiny, board=replace(tiny.board, core="cortex-m33f")))
    run = session.measure(0, session.firmware.samples.inputs[0])
    assert run.instructions > 0 and run.cycles is None and set(run.cycles_per_op.values()) == {None}


def test_python_counter_where_no_compiler_is(tiny, monkeypatch, tmp_path):
    monkeypatch.setenv("TFLM_REDS_CC", str(tmp_path / "missing"))
    compiled_counter._library.cache_clear()
    try:
        session = UnicornSession(tiny)
        assert isinstance(session.machine.counter, PythonCounter)
    finally:
        compiled_counter._library.cache_clear()


def test_two_ops_of_one_name_are_refused(tmp_path, monkeypatch):
    source = tiny_model.SOURCE.replace('{"sum",', '{"scale",')
    monkeypatch.setattr(tiny_model, "SOURCE", source)
    with pytest.raises(SimulationError, match=r"Two ops of tiny .* share a name"):
        UnicornSession(build(tmp_path))


def test_accesses_in_it_blocks_do_not_disturb_the_run(tmp_path):
    # Unicorn issue 2309: a memory hook inside an IT block made the next branch fault.
    statement = (
        '__asm volatile("cmp %0, %0\\nittt eq\\nldreq r3, [%1]\\nmoveq r2, #1\\nmoveq r2, #2\\n'
        'cmp %0, %0\\nb 2f\\n2: cmp %0, #77\\nbne.w 1f\\nnop\\n1:" :: "r"(sum), "r"(weights)'
        ' : "r2", "r3", "cc");'
    )
    for counter in (CompiledCounter, PythonCounter):
        session = UnicornSession(build(tmp_path, statement), counter=counter)
        run = session.measure(0, session.firmware.samples.inputs[0])
        assert run.cycles.ws2 - run.cycles.ws0 == 2 * run.flash_reads


def test_unaligned_accesses_cost_cycles(tmp_path):
    def cycles(offset):
        load = f"sum += *(volatile int32_t *)(state->arena + {offset}) & 0;"
        session = UnicornSession(build(tmp_path, load))
        return session.measure(0, session.firmware.samples.inputs[0]).cycles.ws0

    aligned, halfword, byte = cycles(4), cycles(6), cycles(5)
    assert halfword == aligned + 1
    assert byte == aligned + 2


def test_semihosting_prints_the_same(tiny):
    assert UnicornSession(tiny, semihosting=True).console == UnicornSession(tiny).console


def test_run_result(tiny):
    result = UnicornSimulator().run(tiny)
    np.testing.assert_array_equal(result.outputs, tiny.samples.outputs)
    assert UnicornSimulator().available()
    assert result.build == tiny.build
    assert [run.subnet for run in result.subnets] == [0, 1, 2]
    assert result.arena_bytes == 17
    assert 0 < result.stack_bytes < tiny.board.stack_bytes
    assert result.instructions > sum(run.instructions for run in result.subnets)


@pytest.mark.parametrize(
    "limits, message",
    [
        (Limits(instructions=1_000_000), "passed the limit of 1000000 instructions"),
        (Limits(instructions=10**15, seconds=0.3), "passed the limit of 0.3 seconds"),
    ],
    ids=["instructions", "seconds"],
)
@pytest.mark.parametrize("counter", [CompiledCounter, PythonCounter])
def test_an_endless_loop_is_stopped(tmp_path, limits, message, counter):
    firmware = build(tmp_path, 'for (;;) __asm volatile("");')
    with pytest.raises(SimulationError, match=message) as caught:
        UnicornSession(firmware, limits, counter=counter)
    assert "at tiny_op_1_sum+0x" in str(caught.value)
    assert "while subnet 0 ran" in str(caught.value)


def test_an_image_without_final_record(tmp_path):
    firmware = build(tmp_path, "extern void firmware_halt(void); firmware_halt();")
    with pytest.raises(SimulationError, match=r"without its final record.*was BOOT"):
        UnicornSession(firmware)


def test_the_image_of_another_build(tiny, tmp_path):
    with pytest.raises(SimulationError, match="another image ran"):
        UnicornSession(replace(tiny, build="00000000"))


@pytest.mark.parametrize("content", [b"", b"not an image", b"\x7fELF" + bytes(12)])
def test_a_file_that_is_no_elf(tiny, tmp_path, content):
    path = tmp_path / "wrong.elf"
    path.write_bytes(content)
    with pytest.raises(SimulationError, match=r"wrong\.elf is not a complete Arm ELF"):
        UnicornSession(replace(tiny, elf=path))


def test_a_missing_elf(tiny, tmp_path):
    with pytest.raises(SimulationError, match=r"gone\.elf is not"):
        UnicornSession(replace(tiny, elf=tmp_path / "gone.elf"))


def test_an_elf_of_another_machine(tiny, tmp_path):
    content = bytearray(tiny.elf.read_bytes())
    content[18] = 62  # e_machine: x86-64
    path = tmp_path / "other.elf"
    path.write_bytes(content)
    with pytest.raises(SimulationError, match="made for x64"):
        UnicornSession(replace(tiny, elf=path))


def test_wrong_input_and_subnet(tiny_session):
    with pytest.raises(DataError, match="takes one int8 input of 12 values, got 11"):
        tiny_session.invoke(0, np.zeros(11, np.int8))
    with pytest.raises(DataError, match="float32"):
        tiny_session.invoke(0, np.zeros(12, np.float32))
    with pytest.raises(SimulationError, match="Subnet 3 of tiny was refused with status 3"):
        tiny_session.invoke(3, np.zeros(12, np.int8))
    with pytest.raises(SimulationError, match="no symbol absent"):
        tiny_session.call("absent")


def test_a_full_table_of_edges_is_reported(tiny, monkeypatch):
    monkeypatch.setattr(compiled_counter, "CAPACITY", 64)
    with pytest.raises(SimulationError, match="more than 48 block edges"):
        UnicornSession(tiny, counter=CompiledCounter)


def test_a_core_that_unicorn_does_not_have(tiny):
    board = replace(tiny.board, core="cortex-m55f")
    with pytest.raises(SimulationError, match="no cortex-m55f"):
        UnicornSession(replace(tiny, board=board))


def test_uarte_dma_reaches_ram_only(tmp_path):
    send = 'extern void chip_send(const char *, uint32_t); chip_send("text in flash", 13);'
    with pytest.raises(SimulationError, match=r"13 bytes at 0x0001.* whose DMA reaches RAM only"):
        UnicornSession(build(tmp_path, send))
