import re
import struct

import pytest
import tiny_model
import unicorn
from tiny_model import target_compilers
from unicorn import arm_const

from tflm_reds.boards.schema import FOLDER, available_boards, load_board
from tflm_reds.errors import BoardError, SimulationError
from tflm_reds.sim.records import find_record
from tflm_reds.sim.simulators import choose_simulators, run_simulators
from tflm_reds.sim.unicorn import UnicornSession

NANO = (FOLDER / "nano33ble.toml").read_text()


def changed(tmp_path, old: str, new: str):
    assert old in NANO
    path = tmp_path / "changed.toml"
    path.write_text(NANO.replace(old, new))
    return path


def test_nano33ble():
    board = load_board("nano33ble")
    assert board.core_features.has_fpu and board.core_features.has_dsp
    assert board.clock_hz == 64_000_000
    assert board.flash.end == 0x100000
    assert board.image_flash_bytes == 983_040  # what arduino-cli prints as the maximum
    assert board.ram.size == 262_144
    assert {"unicorn", "renode"} <= set(board.tools.simulators)


@pytest.mark.parametrize("name", available_boards())
def test_every_board_loads_under_its_own_name(name):
    assert load_board(name).name == name


def test_a_board_file_of_the_user(tmp_path):
    path = changed(tmp_path, 'name = "nano33ble"', 'name = "mine"')
    assert load_board(path).name == "mine"


def test_what_no_document_tells_is_left_out(tmp_path):
    start, end = NANO.index("[timing]"), NANO.index("[tools]")
    board = load_board(changed(tmp_path, NANO[start:end], ""))
    assert board.energy is None
    assert board.timing.refill is None and board.timing.data_wait_states == (0, 0)
    nano = load_board("nano33ble")
    assert nano.energy.power_mw == pytest.approx((3.3 * 3.3, 3.3 * 7.6))


def test_unknown_board_lists_the_known_ones():
    with pytest.raises(BoardError, match=r"No board nano34\. Available: .*nano33ble"):
        load_board("nano34")


def test_not_toml(tmp_path):
    path = tmp_path / "broken.toml"
    path.write_text("name = ")
    with pytest.raises(BoardError, match="not valid TOML"):
        load_board(path)


@pytest.mark.parametrize(
    "old, new, message",
    [
        ("clock_hz = 64_000_000", "", "lacks the key clock_hz"),
        ("tx_pin = 35", "", "serial lacks the key tx_pin, which chip_nrf52840.c reads"),
        ("nvmc = 0x4001E000", "", "peripherals lacks the key nvmc, which chip_nrf52840.c"),
        ("nvmc = 0x4001E000", "nvmc = 1.5", "nvmc must be of type int"),
        ("[serial]\ntx_pin = 35", "[serial.tx]\npin = 35", "serial: tx must be of type int"),
        ("stack_bytes = 4096", "stack_bytes = 4096\ncolour = 3", "unknown key colour"),
        ("clock_hz = 64_000_000", 'clock_hz = "fast"', "clock_hz must be of type int"),
        ("clock_hz = 64_000_000", "clock_hz = true", "clock_hz must be of type int"),
        ("clock_hz = 64_000_000", "clock_hz = -1", "clock_hz must be positive"),
        ("data_wait_states = [0, 2]", "data_wait_states = [0]", "list of 2 values"),
        ("data_wait_states = [0, 2]", "data_wait_states = [2, 0]", "states 2, 0 must be ordered"),
        ("data_wait_states = [0, 2]", "refill = [-1, 0]", "refill -1, 0 must be ordered"),
        ("fetch_wait_states = [0, 3]", "load = [1, inf]", "load 1, inf must be ordered"),
        ("cache_bytes = 2048", "cache_bytes = 2000", "2000 bytes in lines of 16: powers of 2"),
        ("cache_line_bytes = 16", "", "2048 bytes in lines of 0"),
        ("voltage_v = 3.3", "voltage_v = 0", "voltage_v must be positive"),
        ("[3.3, 7.6]", "[7.6, 3.3]", "active_current_ma 7.6, 3.3 must be ordered"),
        ('simulators = ["unicorn", "qemu", "renode"]', 'simulators = "unicorn"', "must be a list"),
        ('core = "cortex-m4f"', 'core = "z80"', "core z80 is unknown"),
        ('chip = "nrf52840"', 'chip = "z80"', "has no chip_z80.c"),
        ("image_origin = 0x10000", "image_origin = 0x200000", "is not in flash"),
        ("image_origin = 0x10000", "image_origin = 0x10100", "multiple of 512"),
        ("stack_bytes = 4096", "stack_bytes = 4095", "multiple of 8"),
        ("stack_bytes = 4096", "stack_bytes = 0x40000", "within ram"),
        ("size = 0x40000", "size = 0", "sizes must be positive"),
        ('uart = "uart0"', 'port = "uart0"', "renode has the unknown key port"),
        ("init = [ ", "init = [3, ", "init must be of type str"),
        ('{ name = "nvmc", ', "{ ", "registers lacks the key name"),
        ("[energy]", "[power]", "unknown key power"),
        ("[tools]", "[tool]", "lacks the key tools"),
    ],
)
def test_invalid_boards_are_refused(tmp_path, old, new, message):
    with pytest.raises(BoardError, match=message):
        load_board(changed(tmp_path, old, new))


def test_a_core_and_memory_alone_are_a_board(tmp_path):
    board = load_board(write_core_only(tmp_path))
    assert board.chip == "none" and board.energy is None


def write_core_only(folder):
    """The least that a board file holds."""
    path = folder / "core_only.toml"
    path.write_text(
        """
name = "core_only"
title = "A Cortex-M3 and memory"
chip = "none"
core = "cortex-m3"
clock_hz = 1_000_000
image_origin = 0x0
stack_bytes = 2048
flash = { origin = 0x0, size = 0x10000 }
ram = { origin = 0x20000000, size = 0x4000 }
tools = { simulators = ["unicorn", "qemu"] }
"""
    )
    return path


@pytest.mark.parametrize("name", available_boards())
def test_each_figure_names_its_source(name):
    """Beside it, below it, or beside the table's or the neighbour's name."""
    lines = (FOLDER / f"{name}.toml").read_text().split("\n\n")
    for part in lines:
        figures = [line for line in part.splitlines() if re.match(r"\w+ = (0x|\d|\[\d)", line)]
        assert not figures or "#" in part, f"{name}: {figures[0]}"


@pytest.mark.parametrize("compiler", target_compilers(), ids=lambda c: c.version[:12])
@pytest.mark.parametrize("name", available_boards())
def test_the_image_of_every_board_boots(name, compiler, tmp_path):
    board = load_board(name)
    firmware = tiny_model.build(tmp_path, board=board, compiler=compiler)
    if "unicorn" not in board.tools.simulators:
        with pytest.raises(SimulationError, match=f"Unicorn has no {board.core}"):
            UnicornSession(firmware)
        return
    session = UnicornSession(firmware)
    assert find_record(session.records, "DONE").integer("failures") == 0
    assert session.elf.symbol("fault_entry")


def test_a_board_without_a_chip_prints_by_semihosting(tmp_path):
    board = load_board(write_core_only(tmp_path))
    session = UnicornSession(tiny_model.build(tmp_path, board=board))
    assert session.console.startswith("\nREDS BOOT")


@pytest.mark.parametrize("compiler", target_compilers(), ids=lambda c: c.version[:12])
def test_second_stage_of_the_pico(compiler, tmp_path):
    """The ROM of the RP2040 starts no image whose first 252 bytes do not have this CRC."""
    firmware = tiny_model.build(tmp_path, board=load_board("rpi_pico"), compiler=compiler)
    content = firmware.bin.read_bytes()
    assert crc32_mpeg2(content[:252]) == int.from_bytes(content[252:256], "little")
    engine = unicorn.Uc(unicorn.UC_ARCH_ARM, unicorn.UC_MODE_THUMB)
    engine.ctl_set_cpu_model(arm_const.UC_CPU_ARM_CORTEX_M0)
    engine.mem_map(0x10000000, 0x10000)
    engine.mem_write(0x10000000, content)
    written = {}
    engine.mem_map(0x18000000, 0x1000)  # the flash interface
    engine.hook_add(
        unicorn.UC_HOOK_MEM_WRITE, lambda _, kind, address, size, value, data: written.update(
            {address: value & 0xFFFFFFFF}))  # fmt: skip
    engine.mem_map(0x20041000, 0x1000)
    engine.mem_write(0x20041F00, content[:256])  # where the ROM copies it
    stack, reset = struct.unpack("<II", content[0x200:0x208])
    engine.emu_start(0x20041F01, reset & ~1)
    assert engine.reg_read(arm_const.UC_ARM_REG_PC) == reset & ~1
    assert engine.reg_read(arm_const.UC_ARM_REG_MSP) == stack
    base = 0x18000000
    assert written[base + 0xF4] == 0x03000218 and written[base] == 0x001F0300
    assert written[base + 0x08] == 1


def crc32_mpeg2(data: bytes) -> int:
    """Most significant bit first, not inverted: RP2040 datasheet, 2.8.1.3.1."""
    crc = 0xFFFFFFFF
    for byte in data:
        crc ^= byte << 24
        for _ in range(8):
            crc = (crc << 1 ^ 0x04C11DB7 if crc & 1 << 31 else crc << 1) & 0xFFFFFFFF
    return crc


@pytest.mark.parametrize("compiler", target_compilers(), ids=lambda c: c.version[:12])
def test_the_m0_plus_of_the_psoc_starts_the_m4(compiler, tmp_path):
    firmware = tiny_model.build(tmp_path, board=load_board("cy8ckit_062s2"), compiler=compiler)
    content = firmware.bin.read_bytes()
    stack, entry = struct.unpack("<II", content[:8])
    assert stack == 0x08002000 and entry == 0x10000009
    engine = unicorn.Uc(unicorn.UC_ARCH_ARM, unicorn.UC_MODE_THUMB)
    engine.ctl_set_cpu_model(arm_const.UC_CPU_ARM_CORTEX_M0)  # has no 32-bit instructions
    engine.mem_map(0x10000000, 0x10000)
    engine.mem_write(0x10000000, content)
    engine.mem_map(0x40200000, 0x2000)  # CPUSS
    engine.emu_start(entry, 0x10000014)
    assert engine.mem_read(0x40200200, 4) == struct.pack("<I", firmware.board.image_origin)
    assert engine.mem_read(0x40201200, 4) == struct.pack("<I", 0x05FA0003)
    assert engine.mem_read(0x10000014, 2) == b"\x30\xbf"  # wfi


def test_the_documented_board(tmp_path):
    """The example of a user's own board, as the document gives it, boots in each simulator."""
    text = (FOLDER.parent / "docs" / "boards.md").read_text()
    path = tmp_path / "my_board.toml"
    path.write_text(text.split("```toml\n")[1].split("```")[0])
    board = load_board(path)
    firmware = tiny_model.build(tmp_path, board=board)
    runs = run_simulators(choose_simulators("all", board), firmware)
    assert "unicorn" in runs and {run.build for run in runs.values()} == {firmware.build}
