"""Writes an image or a sketch to a board with the tool that its TOML file names."""

import shlex
import shutil
from pathlib import Path

from tflm_reds.boards.schema import Board
from tflm_reds.errors import DeviceError, ToolchainError
from tflm_reds.sim.process import last_lines, run_program

SECONDS = 600.0  # the first compilation of Arduino's core takes minutes
HOW_TO_GET = {
    "arduino-cli": "Install it from https://arduino.github.io/arduino-cli/latest/installation/ and "
    "run `arduino-cli core install arduino:mbed_nano`.",
    "bossac": "`arduino-cli core install arduino:mbed_nano` brings Arduino's version, which knows "
    "the nRF52840: put ~/.arduino15/packages/arduino/tools/bossac/1.9.1-arduino2 on PATH.",
    "pyocd": "Run `pip install pyocd`; for a chip that it does not list (`pyocd list --targets`) "
    "also `pyocd pack install NAME`.",
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
    tool = command[0]
    if shutil.which(tool) is None:
        raise ToolchainError(f"{tool} is not on PATH. {HOW_TO_GET.get(tool, 'Install it.')}")
    code, output = run_program(command, SECONDS, DeviceError)
    if code:
        raise DeviceError(
            f"`{shlex.join(command)}` failed (exit code {code}). Is the board connected, and in "
            f"its bootloader (two quick presses of reset)?\n{last_lines(output)}"
        )
