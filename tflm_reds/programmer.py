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
TOOLS = {
    "arduino-cli": Tool(
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


def flash_sketch(board: Board, sketch: Path, port: str | None) -> None:
    """Compile the sketch folder with arduino-cli and upload it to the board at `port`.

    Raises:
        ToolchainError: if arduino-cli is missing.
        DeviceError: if there is no port, or the compilation or the upload fails.
    """
    _require_port(port, "arduino-cli")
    _run(["arduino-cli", "compile", "--fqbn", board.tools.arduino, str(sketch)])
    _run(["arduino-cli", "upload", "--fqbn", board.tools.arduino, "--port", port, str(sketch)])


def flash_image(board: Board, image: Path, port: str | None) -> None:
    """Write the bare image to the board by the command in its TOML file.

    Args:
        image: path of the image without suffix; its .elf and .bin lie side by side.
        port: serial port of the bootloader, for tools that need one.

    Raises:
        ToolchainError: if the tool is missing.
        DeviceError: if the board has no tool, the port is missing, or the tool fails.
    """
    command = board.tools.flash
    if not command:
        raise DeviceError(
            f"{board.name} cannot be flashed: its TOML file names no tool. Add the key flash to "
            "[tools], or write the image with a tool of your own."
        )
    if "{port" in command:
        _require_port(port, shlex.split(command)[0])
    values = {
        "elf": image.with_suffix(".elf"),
        "bin": image.with_suffix(".bin"),
        "port": port,
        "port_file": Path(port or "").name,
    }
    # Replaced after splitting, so that a path may hold spaces.
    _run([part.format(**values) for part in shlex.split(command)])


def _require_port(port: str | None, tool: str) -> None:
    if not port:
        raise DeviceError(
            f"{tool} needs the board's serial port. Give it with --port, such as --port "
            "/dev/ttyACM0 (`arduino-cli board list` shows it)."
        )


def _run(command: list[str]) -> None:
    name = command[0]
    tool = TOOLS.get(name, UNKNOWN_TOOL)
    if shutil.which(name) is None:
        raise ToolchainError(f"{name} is not on PATH. {tool.how_to_get}")
    code, output = run_program(command, SECONDS, DeviceError)
    if code:
        raise DeviceError(
            f"`{shlex.join(command)}` failed (exit code {code}). {tool.on_failure}\n"
            f"{last_lines(output)}"
        )
