"""Writes an image or a sketch to a board with the tool that its TOML file names."""

import shlex
import shutil
from dataclasses import dataclass
from pathlib import Path

from tflm_reds.boards.schema import Board
from tflm_reds.errors import DeviceError, ToolchainError
from tflm_reds.sim.process import last_lines, run_program

SECONDS = 600.0  # the first compilation of Arduino's core takes minutes


@dataclass(frozen=True)
class Tool:
    """What to do where a tool is missing, and where it fails."""

    how_to_get: str
    on_failure: str


UNKNOWN_TOOL = Tool("Install it.", "Is the board connected?")
ARDUINO = "arduino-cli"
TOOLS = {
    ARDUINO: Tool(
        "Install it from https://arduino.github.io/arduino-cli/latest/installation/ and run "
        "`arduino-cli core install arduino:mbed_nano`.",
        "Is the core there (`arduino-cli core install arduino:mbed_nano`), and the board at the "
        "port?",
    ),
    "bossac": Tool(
        "`arduino-cli core install arduino:mbed_nano` brings Arduino's version, which knows the "
        "nRF52840: put ~/.arduino15/packages/arduino/tools/bossac/1.9.1-arduino2 on PATH.",
        "Is the board in its bootloader (two quick presses of reset), and at the port?",
    ),
    "pyocd": Tool(
        "Run `pip install pyocd`.",
        "Is the probe connected? A target that pyOCD does not know comes with `pyocd pack install "
        "TARGET`.",
    ),
    "picotool": Tool(
        "Install it from https://github.com/raspberrypi/picotool.",
        "Was BOOTSEL held while the board was plugged in?",
    ),
}


def check_programmer(board: Board, is_sketch: bool, port: str | None) -> None:
    """Check that the board can be flashed, as far as that can be known without it.

    Args:
        is_sketch: with the Arduino sketch, else with the bare image.
        port: serial port of the bootloader, for tools that need one.

    Raises:
        ToolchainError: if the tool is missing.
        DeviceError: if the board has no tool, or the port is missing.
    """
    command = [ARDUINO, "{port}"] if is_sketch else shlex.split(board.tools.flash)
    if not command:
        raise DeviceError(
            f"{board.name} cannot be flashed: its TOML file names no tool. Add the key flash to "
            "[tools], or write the image with a tool of your own."
        )
    if not port and any("{port" in part for part in command):
        raise DeviceError(
            f"{command[0]} needs the board's serial port. Give it with --port, such as --port "
            "/dev/ttyACM0 (`arduino-cli board list` shows it)."
        )
    if shutil.which(command[0]) is None:
        tool = TOOLS.get(command[0], UNKNOWN_TOOL)
        raise ToolchainError(f"{command[0]} is not on PATH. {tool.how_to_get}")


def flash_sketch(board: Board, sketch: Path, port: str | None) -> None:
    """Compile the sketch folder with arduino-cli and upload it to the board at `port`.

    Raises:
        ToolchainError, DeviceError: as `check_programmer`, or if a command fails.
    """
    check_programmer(board, True, port)
    _run([ARDUINO, "compile", "--fqbn", board.tools.arduino, str(sketch)])
    _run([ARDUINO, "upload", "--fqbn", board.tools.arduino, "--port", str(port), str(sketch)])


def flash_image(board: Board, image: Path, port: str | None) -> None:
    """Write the bare image to the board by the command in its TOML file.

    Args:
        image: path of the image without suffix; its .elf and .bin lie side by side.
        port: serial port of the bootloader, for tools that need one.

    Raises:
        ToolchainError, DeviceError: as `check_programmer`, or if the command fails.
    """
    check_programmer(board, False, port)
    values = {
        "elf": image.with_suffix(".elf"),
        "bin": image.with_suffix(".bin"),
        "port": port,
        "port_file": Path(port or "").name,
    }
    # Replaced after splitting, so that a path may hold spaces.
    _run([part.format(**values) for part in shlex.split(board.tools.flash)])


def _run(command: list[str]) -> None:
    code, output = run_program(command, SECONDS, DeviceError)
    if code:
        tool = TOOLS.get(command[0], UNKNOWN_TOOL)
        raise DeviceError(
            f"`{shlex.join(command)}` failed (exit code {code}). {tool.on_failure}\n"
            f"{last_lines(output)}"
        )
