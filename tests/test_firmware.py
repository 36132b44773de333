import struct
from dataclasses import replace

import numpy as np
import pytest
import tiny_model
from tiny_model import build, samples, target_compilers, write_sources

from tflm_reds.boards.schema import Memory, load_board
from tflm_reds.codegen.firmware import Samples, SubnetSize, build_firmware
from tflm_reds.errors import BoardError, DataError, SimulationError
from tflm_reds.sim.elf import Elf
from tflm_reds.sim.records import check_records, find_record, parse_records
from tflm_reds.sim.unicorn import UnicornSession

NANO = load_board("nano33ble")


@pytest.fixture(scope="module", params=target_compilers(), ids=lambda c: c.version[:12])
def session(request, tmp_path_factory):
    return UnicornSession(build(tmp_path_factory.mktemp("tiny"), compiler=request.param))


@pytest.fixture(scope="module", params=target_compilers(), ids=lambda c: c.version[:12])
def memory_session(request, tmp_path_factory):
    """An image that keeps all of memory.c."""
    keep = (
        "extern void *memcpy(void *, const void *, size_t), *memset(void *, int, size_t),"
        " *memmove(void *, const void *, size_t);"
        " const void *volatile keep[] = {memcpy, memset, memmove}; sum += keep[0] == 0;"
    )
    firmware = build(tmp_path_factory.mktemp("memory"), keep, request.param)
    return UnicornSession(firmware)


def test_records_of_a_good_run(session):
    kinds = [record.kind for record in session.records]
    runs = tiny_model.SUBNETS * 2
    assert kinds == ["BOOT", *["RESULT"] * runs, "SWITCH", "STACK", "ARENA", "DONE"]
    boot = find_record(session.records, "BOOT").values
    assert boot == {
        "model": "tiny", "build": session.firmware.build, "subnets": "3", "ops": "3"
    }  # fmt: skip
    assert find_record(session.records, "SWITCH").values == {"count": "16", "failures": "0"}


def test_results_hold_class_and_checksum(session):
    embedded = samples()
    for record in session.records:
        if record.kind == "RESULT":
            subnet, sample = record.integer("subnet"), record.integer("sample")
            assert record.integer("active") == subnet
            assert record.integer("class") == embedded.outputs[subnet, sample].argmax()
            assert int(record.values["crc"], 16) == embedded.checksums[subnet][sample]
            assert record.integer("cycles") > 0


def test_high_water_marks(session):
    arena = find_record(session.records, "ARENA")
    assert arena.integer("used") == 17  # byte 16 is the last one that the model writes
    assert arena.integer("size") == tiny_model.ARENA_BYTES
    stack = find_record(session.records, "STACK")
    assert 50 < stack.integer("used") < 1000
    assert stack.integer("size") == NANO.stack_bytes


def test_image_starts_with_stack_and_reset_vector(session):
    firmware = session.firmware
    stack, reset = struct.unpack("<II", firmware.bin.read_bytes()[:8])
    assert stack == NANO.ram.origin + NANO.stack_bytes
    assert reset == session.elf.symbol("Reset_Handler").address | 1
    assert len(firmware.bin.read_bytes()) == firmware.flash_bytes


def test_stack_lies_at_the_bottom_of_ram(session):
    objects = [symbol for symbol in session.elf.symbols if symbol.address >= NANO.ram.origin]
    assert min(symbol.address for symbol in objects) >= NANO.ram.origin + NANO.stack_bytes


def test_ram_and_flash_sizes_add_up(session):
    firmware = session.firmware
    last = max(s.address + s.size for s in session.elf.symbols if s.address >= NANO.ram.origin)
    assert 0 <= firmware.ram_bytes - (last - NANO.ram.origin) < 16
    assert firmware.flash_bytes == sum(len(data) for _, data in session.elf.segments)


@pytest.mark.parametrize("size", [0, 1, 3, 4, 7, 14])
@pytest.mark.parametrize("offset", [0, 1, 2])
def test_memory_functions(memory_session, size, offset):
    session = memory_session
    base = session.elf.symbol("firmware_arena").address
    content = bytes(range(1, 33))
    machine = session.machine
    machine.write(base, content)
    assert session.call("memcpy", base + 16, base + offset, size) == base + 16
    copied = content[:16] + content[offset : offset + size] + content[16 + size :]
    assert machine.read(base, 32) == copied
    session.call("memset", base + offset, 0x1A5, size)
    filled = copied[:offset] + b"\xa5" * size + copied[offset + size :]
    assert machine.read(base, 32) == filled
    for target, source in ((base + offset, base + 3), (base + 3, base + offset)):
        machine.write(base, content)
        session.call("memmove", target, source, size)
        moved = bytearray(content)
        moved[target - base : target - base + size] = content[source - base :][:size]
        assert machine.read(base, 32) == bytes(moved)


def test_fault_handler_prints_a_record_and_stops(session):
    own = UnicornSession(session.firmware)
    frame = NANO.ram.origin + 64  # in the unused part of the stack
    own.machine.write(frame, struct.pack("<8I", 0, 1, 2, 3, 4, 5, 0x12345678, 7))
    own.call("fault_report", frame)
    records = parse_records(own.machine.console)
    fault = find_record(records, "FAULT")
    assert fault.values["pc"] == "12345678"
    assert fault.integer("subnet") == -1
    with pytest.raises(
        SimulationError, match=r"reported a fault: .*\(pc 0x12345678\), outside of an inference"
    ):
        check_records(records, session.firmware.build)


def test_every_fault_vector_has_the_handler(session):
    vectors = struct.unpack("<16I", session.elf.read(NANO.image_origin, 64))
    assert set(vectors[2:]) == {session.elf.symbol("fault_entry").address | 1}


def test_a_wrong_result_fails_the_run(tmp_path):
    good = samples()
    outputs = good.outputs.copy()
    outputs[1, 0, 2] ^= 1
    sources = write_sources(tmp_path / "sources")
    firmware = build_firmware(sources, "tiny", Samples(good.inputs, outputs), NANO, tmp_path)
    with pytest.raises(SimulationError, match=r"differ.*subnet 1 sample 0 \(crc"):
        UnicornSession(firmware)


def test_an_op_that_fails_fails_the_run(tmp_path):
    # The output buffer still holds the right bytes of the subnet before.
    firmware = build(tmp_path, "if (state->active == 2) return REDS_ERROR_ARGUMENT;")
    with pytest.raises(SimulationError, match=r"results of the firmware differ.*subnet 2"):
        UnicornSession(firmware)


def test_build_hash_depends_on_samples_sources_board_and_flags(tmp_path):
    def build_hash(extra="", seed=0, board=NANO, flags=()):
        sources = write_sources(tmp_path / "sources", extra)
        arguments = (sources, "tiny", samples(seed=seed), board, tmp_path / "image")
        return build_firmware(*arguments, flags=flags).build

    builds = [
        build_hash(), build_hash("sum += 0;"), build_hash(seed=1),
        build_hash(board=replace(NANO, stack_bytes=2048)), build_hash(flags=["-DUNUSED"]),
    ]  # fmt: skip
    assert len(set(builds)) == len(builds)
    assert build_hash() == builds[0]


def small_board(flash_bytes: int, ram_bytes: int):
    flash = Memory(0, NANO.image_origin + flash_bytes)
    return replace(NANO, flash=flash, ram=Memory(NANO.ram.origin, ram_bytes))


def test_board_that_fits_to_the_byte_and_one_byte_less(tmp_path):
    firmware = build(tmp_path)
    flash, ram = firmware.flash_bytes, firmware.ram_bytes
    sources, folder = write_sources(tmp_path / "sources"), tmp_path / "small"
    build_firmware(sources, "tiny", samples(), small_board(flash, ram), folder)
    for board, message in (
        (small_board(flash - 1, ram), f"{flash} bytes of flash, 1 more than the {flash - 1}"),
        (small_board(flash, ram - 1), f"{ram} bytes of RAM, 1 more than the {ram - 1}"),
    ):
        with pytest.raises(BoardError, match=message):
            build_firmware(sources, "tiny", samples(), board, tmp_path / "refused")
    assert not (tmp_path / "refused" / "tiny.elf").exists()


@pytest.mark.parametrize(
    "missing, message",
    [
        (100, r"Cut to subnets 0\.\.1 it would fit"),
        (150, r"Cut to subnets 0\.\.0 it would fit"),
        (400, "Not even subnet 0 alone would fit"),
    ],
)
def test_too_small_board_says_which_subnet_would_fit(tmp_path, missing, message):
    firmware = build(tmp_path)
    board = small_board(firmware.flash_bytes - missing, firmware.ram_bytes)
    sizes = [SubnetSize(0, 100, 10), SubnetSize(1, 200, 20), SubnetSize(2, 300, 30)]
    sources = write_sources(tmp_path / "sources")
    with pytest.raises(BoardError, match=message):
        build_firmware(sources, "tiny", samples(), board, tmp_path / "small", sizes)


def test_a_firmware_needs_int8_samples(tmp_path):
    sources = write_sources(tmp_path / "sources")
    good = samples()
    for wrong in (
        Samples(good.inputs[:0], good.outputs[:, :0]),
        Samples(good.inputs.astype(np.float32), good.outputs),
    ):
        with pytest.raises(DataError, match="at least one int8 sample"):
            build_firmware(sources, "tiny", wrong, NANO, tmp_path / "image")


def test_elf_reads_what_the_programmer_writes(session):
    elf = Elf.load(session.firmware.elf)
    weights = elf.symbol("weights")
    assert list(np.frombuffer(elf.read(weights.address, 12), np.int8)) == list(tiny_model.WEIGHTS)
    assert elf.locate(elf.symbol("reds_invoke").address + 2) == "reds_invoke+0x2"
    assert elf.locate(0x9000_0000) == "0x90000000"
