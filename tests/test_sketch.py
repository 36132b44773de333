"""The Arduino sketch is a run of the same sources: on a stand-in for Arduino's core, in Unicorn."""

import re
import shutil
from pathlib import Path

import pytest
from finished_build import finished_build

from tflm_reds.boards import schema
from tflm_reds.codegen.arduino_sketch import sketch_build
from tflm_reds.codegen.checksum import write_checksum
from tflm_reds.codegen.toolchain import build_image
from tflm_reds.sim.elf import Elf
from tflm_reds.sim.machine import Machine
from tflm_reds.sim.op_table import NO_OPS
from tflm_reds.sim.protocol import Limits
from tflm_reds.sim.records import check_records, find_record, parse_records

CORE = Path(__file__).with_name("arduino")
ARDUINO_FLAGS = ("-Os", "-funsigned-char")  # of ArduinoCore-mbed


@pytest.fixture(scope="module")
def firmware(tmp_path_factory):
    return finished_build(tmp_path_factory.mktemp("build"))


@pytest.fixture(scope="module")
def sketch(firmware):
    return firmware.elf.parent / "sketch" / "tiny"


@pytest.fixture(scope="module")
def machine(firmware, sketch, tmp_path_factory):
    """The sketch with the stand-in core, linked for the board."""
    folder = tmp_path_factory.mktemp("arduino") / "tiny"
    shutil.copytree(sketch, folder)
    (folder / "tiny.ino").rename(folder / "tiny.cpp")
    core = [schema.FOLDER / name for name in ("startup.c", "memory.c", "arithmetic.c")]
    sources = [
        folder / "tiny.cpp",
        *(folder / "src").glob("*.c*"),
        CORE / "records_on_board.cpp",
        *core,
    ]
    script = firmware.elf.parent / "linker.ld"
    features = firmware.board.core_features
    include = [CORE, folder / "src"]
    build_image(sources, folder / "tiny.elf", features, script, include, ARDUINO_FLAGS)
    write_checksum(folder / "tiny.elf")
    machine = Machine(firmware.board, Elf.load(folder / "tiny.elf"), NO_OPS)
    machine.boot(Limits(seconds=60))
    return machine


def test_sketch_prints_a_good_run(firmware, machine):
    records = parse_records(machine.console)
    check_records(records, sketch_build(firmware.build))
    results = [record for record in records if record.kind == "RESULT"]
    assert len(results) == firmware.samples.outputs.shape[0] * firmware.samples.outputs.shape[1]
    assert all(record.integer("cycles") > 0 for record in results)  # the counter runs
    assert find_record(records, "STACK") is None  # Arduino's core owns the stack


def test_sketch_switches_the_instruction_cache_and_the_crystal_on(firmware, machine):
    peripherals = (firmware.elf.parent / "board.h").read_text()
    assert "BOARD_NVMC" in peripherals
    assert machine.read_word(0x4001E540) == 1  # ICACHECNF
    assert machine.read_word(0x40000100) == 1  # EVENTS_HFCLKSTARTED


def test_sketch_has_a_build_of_its_own(firmware, sketch):
    header = (sketch / "src" / "firmware_model.h").read_text()
    assert sketch_build(firmware.build) in header and firmware.build not in header
    assert len(sketch_build(firmware.build)) == len(firmware.build)
    assert sketch_build("00000000") != sketch_build("00000001")


def test_sketch_is_what_arduino_expects(sketch):
    assert (sketch / f"{sketch.name}.ino").exists()
    names = [path.name for path in (sketch / "src").iterdir()]
    assert "reds.c" in names and "tiny_model.c" in names and "chip_nrf52840.c" in names
    # Its core has these already.
    assert not {"startup.c", "memory.c", "main.c", "console.c"} & set(names)
    # It declares the functions of an .ino again: none but these two, which have C++ linkage.
    text = (sketch / "tiny.ino").read_text()
    assert re.findall(r"^\w+ (\w+)\(.*\) {", text, re.MULTILINE) == ["setup", "loop"]
