"""Flashing and reading boards: a pseudo-terminal fed by the simulator, scripts for the tools."""

import os
import shutil
import sys
import termios
import threading
import time
from collections.abc import Callable

import pytest
from fake_program import fake_program
from finished_build import finished_build

from tflm_reds import device, serial_console
from tflm_reds.boards.schema import FOLDER, available_boards, load_board
from tflm_reds.codegen.arduino_sketch import sketch_build
from tflm_reds.device import use_device
from tflm_reds.device_options import DeviceOptions
from tflm_reds.errors import DeviceError, SimulationError, ToolchainError
from tflm_reds.programmer import TOOLS
from tflm_reds.report import Report
from tflm_reds.sim.records import parse_records
from tflm_reds.sim.unicorn import UnicornSession

NANO = (FOLDER / "nano33ble.toml").read_text()


@pytest.fixture(scope="module")
def session(tmp_path_factory):
    return UnicornSession(finished_build(tmp_path_factory.mktemp("build")))


@pytest.fixture
def build(session, tmp_path):
    """A copy of the finished build."""
    return shutil.copytree(session.firmware.elf.parent.parent, tmp_path / "build")


class Wire:
    """A pseudo-terminal: `port` for the reader, and what the board sends."""

    def __init__(self):
        self.board, self.host = os.openpty()
        self.port = os.ttyname(self.host)

    def send(self, text: str, after: Callable[[], bool] = lambda: True) -> None:
        """Send `text` when `after` is true and the reader has opened the port."""
        threading.Thread(target=self._send, args=(text.encode(), after), daemon=True).start()

    def _send(self, data: bytes, after: Callable[[], bool]) -> None:
        while termios.tcgetattr(self.host)[3] & termios.ICANON or not after():
            time.sleep(0.01)
        time.sleep(0.1)  # opening ends with a flush
        for i in range(0, len(data), 100):
            os.write(self.board, data[i : i + 100])

    def unplug(self) -> None:
        os.close(self.board)


@pytest.fixture
def wire():
    wire = Wire()
    yield wire
    os.close(wire.host)


def read(build, wire, text: str, bare: bool = True, seconds: float = 20.0) -> Report:
    wire.send(text)
    return use_device(build, DeviceOptions(bare=bare, serial=wire.port, seconds=seconds))


def test_rows_measured_on_silicon(session, build, wire):
    report = read(build, wire, session.console)
    results = [record for record in parse_records(session.console) if record.kind == "RESULT"]
    for row in report.subnets:
        cycles = [r.integer("cycles") for r in results if r.integer("subnet") == row.index]
        assert row.cycles_silicon == (min(cycles), max(cycles))
        assert row.ms_silicon == (min(cycles) / 64000, max(cycles) / 64000)
        assert row.measurement("ms_silicon").source == "measured on silicon"
    assert Report.load(build / "report.json") == report
    text = (build / "report.md").read_text()
    assert "silicon cycles / ms" in text
    assert f"bare image of build {session.firmware.build}" in text


def test_reading_may_begin_in_the_middle_of_a_run(session, build, wire):
    report = read(build, wire, session.console[-300:] + session.console)
    assert all(row.cycles_silicon for row in report.subnets)


def test_carriage_returns_and_noise(session, build, wire):
    text = "\0\x1b[2J" + session.console.replace("\n", "\r\n")
    assert read(build, wire, text).subnets[0].cycles_silicon


def test_a_truncated_line_is_left_out(session, build, wire):
    lines = session.console.splitlines(keepends=True)
    cut = next(i for i, line in enumerate(lines) if "RESULT subnet=1 sample=0" in line)
    lines[cut] = lines[cut][: lines[cut].index(" cycles=") + 9] + "\n"
    report = read(build, wire, "".join(lines))
    low, high = report.subnets[1].cycles_silicon
    assert low == high  # of the other sample alone


def test_words_that_are_no_record(session, build, wire):
    text = session.console.replace("REDS SWITCH", "REDS \nREDS\nREDS RESU\nREDS SWITCH")
    assert read(build, wire, text).subnets[0].cycles_silicon


def test_a_truncated_boot_record_begins_no_run(session, build, wire):
    cut = session.console.replace(" ops=3", "").replace(" subnets=3", " subn")
    with pytest.raises(DeviceError, match="no boot record"):
        read(build, wire, cut, seconds=1)
    assert read(build, wire, cut + session.console).subnets[0].cycles_silicon


def test_a_subnet_without_a_whole_line_has_no_value(session, build, wire):
    lines = [line for line in session.console.splitlines() if "RESULT subnet=1" not in line]
    report = read(build, wire, "\n".join(lines) + "\n")
    assert report.subnets[1].cycles_silicon is None and report.subnets[1].ms_silicon is None
    assert report.subnets[0].cycles_silicon


def test_a_missing_final_record(session, build, wire):
    before = (build / "report.json").read_text()
    text = session.console[: session.console.index("REDS DONE") + 19] + "\n"
    with pytest.raises(DeviceError, match=r"stopped at its record ARENA, before REDS DONE"):
        read(build, wire, text, seconds=1)
    assert (build / "report.json").read_text() == before


def test_rows_of_another_build_never_mix(session, build, wire):
    text = session.console.replace(session.firmware.build, "0badc0de")
    with pytest.raises(DeviceError, match=f"runs build 0badc0de, not {session.firmware.build}"):
        read(build, wire, text, seconds=1)


def test_the_old_image_may_print_before_the_new_one(session, build, wire):
    text = session.console.replace(session.firmware.build, "0badc0de") + session.console
    assert read(build, wire, text).silicon.build == session.firmware.build


def test_the_sketch_and_the_bare_image_are_two_builds(session, build, wire):
    of_sketch = sketch_build(session.firmware.build)
    with pytest.raises(DeviceError, match=f"not {of_sketch}"):
        read(build, wire, session.console, bare=False, seconds=1)
    text = session.console.replace(session.firmware.build, of_sketch)
    assert read(build, wire, text, bare=False).silicon.image == "Arduino sketch"


def test_a_silent_board(build, wire):
    with pytest.raises(DeviceError, match="nothing at all"):
        read(build, wire, "", seconds=0.3)


def test_a_board_that_prints_something_else(build, wire):
    with pytest.raises(DeviceError, match="12 characters, but no boot record"):
        read(build, wire, "hello world\n", seconds=0.3)


def test_a_fault_on_the_board(session, build, wire):
    boot = session.console[: session.console.index("REDS RESULT")]
    with pytest.raises(
        SimulationError, match=r"undefined instruction, at 0x00010254 .*while subnet 1 ran"
    ):
        read(
            build,
            wire,
            boot + "REDS FAULT exception=3 cfsr=00010000 address=00000000 pc=00010254 subnet=1\n",
        )


def test_wrong_results_on_the_board(session, build, wire):
    text = session.console.replace("DONE failures=0", "DONE failures=2")
    with pytest.raises(SimulationError, match="2 results of the firmware differ"):
        read(build, wire, text)


def test_an_unplugged_board(build, wire):
    threading.Timer(0.3, wire.unplug).start()
    with pytest.raises(DeviceError, match="was lost"):
        use_device(build, DeviceOptions(bare=True, serial=wire.port, seconds=20))


def test_a_port_that_does_not_exist(build, tmp_path, monkeypatch):
    monkeypatch.setattr(serial_console, "APPEAR_SECONDS", 0.2)
    with pytest.raises(DeviceError, match="cannot be opened"):
        use_device(build, DeviceOptions(bare=True, serial=str(tmp_path / "ttyACM9")))


def test_without_pyserial(build, monkeypatch):
    monkeypatch.setitem(sys.modules, "serial", None)
    with pytest.raises(ToolchainError, match=r"pip install 'tflm-reds\[serial\]'"):
        use_device(build, DeviceOptions(bare=True, serial="/dev/null"))


def test_a_folder_that_is_no_build(tmp_path):
    assert device.main([str(tmp_path), "--flash"]) == 2


def test_nothing_to_do(tmp_path, capsys):
    with pytest.raises(SystemExit):
        device.main([str(tmp_path)])
    assert "give --flash, --serial PORT, or both" in capsys.readouterr().err


def record_arguments(name: str, tmp_path, monkeypatch, then: str = "") -> None:
    fake_program(tmp_path, name, f'echo "{name} $@" >> {tmp_path}/calls\n{then}', monkeypatch)


def calls(tmp_path) -> list[str]:
    return (tmp_path / "calls").read_text().splitlines()


def test_flash_of_the_sketch(build, tmp_path, monkeypatch):
    record_arguments("arduino-cli", tmp_path, monkeypatch)
    assert device.main([str(build), "--flash", "--port", "/dev/ttyACM0"]) == 0
    sketch = build / "firmware" / "sketch" / "tiny"
    fqbn = "--fqbn arduino:mbed_nano:nano33ble"
    assert calls(tmp_path) == [
        f"arduino-cli compile {fqbn} {sketch}",
        f"arduino-cli upload {fqbn} --port /dev/ttyACM0 {sketch}",
    ]


def test_flash_of_the_bare_image(build, tmp_path, monkeypatch):
    record_arguments("bossac", tmp_path, monkeypatch)
    assert device.main([str(build), "--flash", "--bare", "--port", "/dev/ttyACM0"]) == 0
    image = build / "firmware" / "tiny.bin"
    # No --offset: the bootloader counts from 0x10000, where the image is linked.
    assert calls(tmp_path) == [f"bossac -d --port=ttyACM0 -U -i -e -w {image} -R"]


def test_flash_and_read(session, build, wire, tmp_path, monkeypatch):
    """The bare image's port is open before the upload, so that no record is lost."""
    record_arguments("bossac", tmp_path, monkeypatch)
    wire.send(session.console, after=(tmp_path / "calls").exists)
    options = DeviceOptions(upload=True, bare=True, port="COM3", serial=wire.port, seconds=20)
    assert use_device(build, options).subnets[0].cycles_silicon


def board_file(tmp_path, flash: str):
    lines = [line for line in NANO.splitlines() if not line.startswith(("flash =", "arduino ="))]
    path = tmp_path / "board.toml"
    path.write_text("\n".join(lines).replace("[tools]", f'[tools]\nflash = "{flash}"') + "\n")
    return path


def test_flash_with_pyocd(build, tmp_path, monkeypatch):
    record_arguments("pyocd", tmp_path, monkeypatch)
    command = "pyocd flash --no-wait --target stm32f407vgtx"
    assert load_board("stm32f4_disco").tools.flash == command + " {elf}"
    board = board_file(tmp_path, command + " {elf}")
    assert device.main([str(build), "--flash", "--board", str(board)]) == 0
    assert calls(tmp_path) == [f"{command} {build}/firmware/tiny.elf"]


@pytest.mark.parametrize("name", available_boards())
def test_every_tool_says_how_to_get_it(name):
    command = load_board(name).tools.flash
    assert not command or command.split()[0] in TOOLS
    assert "pyocd" not in command or "--no-wait" in command  # else it waits for a probe for ever


def test_a_board_without_a_tool(build, tmp_path):
    with pytest.raises(DeviceError, match="its TOML file names no tool"):
        use_device(build, DeviceOptions(upload=True), str(board_file(tmp_path, "")))


@pytest.mark.parametrize(
    "arguments, tool, how",
    [
        ([], "arduino-cli", "arduino-cli core install arduino:mbed_nano"),
        (["--bare"], "bossac", "1.9.1-arduino2 on PATH"),
    ],
)
def test_a_missing_tool(build, tmp_path, monkeypatch, capsys, arguments, tool, how):
    monkeypatch.setenv("PATH", str(tmp_path))
    assert device.main([str(build), "--flash", "--port", "COM3", *arguments]) == 6
    message = capsys.readouterr().err
    assert f"{tool} is not on PATH" in message and how in message


def test_missing_pyocd(build, tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", str(tmp_path))
    board = board_file(tmp_path, "pyocd load --target nrf52840 {elf}")
    with pytest.raises(ToolchainError, match="pip install pyocd"):
        use_device(build, DeviceOptions(upload=True), str(board))


def test_a_missing_port(build):
    with pytest.raises(DeviceError, match="arduino-cli needs the board's serial port"):
        use_device(build, DeviceOptions(upload=True))


def test_a_failing_upload(build, tmp_path, monkeypatch):
    record_arguments("bossac", tmp_path, monkeypatch, "echo 'No device found'; exit 1")
    with pytest.raises(DeviceError, match="exit code 1") as caught:
        use_device(build, DeviceOptions(upload=True, bare=True, port="ttyACM0"))
    assert "two quick presses of reset" in str(caught.value)
    assert "No device found" in str(caught.value)
