"""`python -m tflm_reds.calibration`: the cycle model's figures of a real board, by its counter.

Without a log the calibration image is built; flash it, and give its log or its port.
"""

import argparse
import sys
from pathlib import Path

import numpy as np

from tflm_reds.boards import schema
from tflm_reds.boards.board_file import writable_path, write_timing
from tflm_reds.boards.schema import Board, load_board
from tflm_reds.calibration_fit import Fit, fit
from tflm_reds.codegen.firmware import Firmware, Samples, build_firmware
from tflm_reds.command import run_command
from tflm_reds.errors import BoardError
from tflm_reds.serial_console import SerialConsole, run_of
from tflm_reds.sim.cycles import has_cycle_model
from tflm_reds.sim.records import Record, check_records, parse_records

MAIN = schema.FOLDER / "calibration.c"
NAME = "calibration"
SECONDS = 60.0


def build_calibration(board: Board, folder: str | Path) -> Firmware:
    """The image that times the loops.

    Raises:
        BoardError: if the board's core has no cycle model to be fitted.
        ToolchainError: if the compiler is missing.
    """
    if not has_cycle_model(board.core):
        raise BoardError(
            f"{board.name} has a {board.core}, for which there is no cycle model that could be "
            "calibrated. Measure whole networks there: python -m tflm_reds.device."
        )
    nothing = np.zeros((1, 1), np.int8)  # the image holds no model
    return build_firmware((), NAME, Samples(nothing, nothing[None]), board, folder, main=MAIN)


def read_run(source: str, build: str) -> tuple[Record, ...]:
    """The records of a run of the image `build`, from a log file or a serial port.

    Raises:
        SimulationError: if the log is not of that image, was cut, or reports a fault.
        DeviceError, ToolchainError: if the port cannot be read.
    """
    if Path(source).is_file():
        text = Path(source).read_text(encoding="utf-8", errors="replace").replace("\r", "")
        records = parse_records(text + "\n")
        records = run_of(records, build) or records
    else:
        with SerialConsole(source) as console:
            records = console.read_run(build, SECONDS)
    check_records(records, build)
    return records


def summary(found: Fit, board: Board) -> str:
    """What was fitted beside what the board file said, and every rule that the board breaks."""
    before = board.timing.intervals
    lines = [
        f"{name:<18} {_text(interval):>12} cycles"
        + (f" (was {_text(before[name])})" if name in before else "")
        for name, interval in found.figures.items()
    ]
    for check in found.checks:
        verdict = "as the rules say" if check.holds else f"BUT THE RULES SAY {_text(check.rule)}"
        lines.append(f"{check.what:<18} {check.board:>12g} cycles, {verdict}")
    return "\n".join(lines)


def _text(interval: tuple[float, float]) -> str:
    low, high = interval
    return f"{low:g}" if low == high else f"{low:g} .. {high:g}"


def parse_arguments(arguments: list[str] | None = None) -> argparse.Namespace:
    """Parse the command line."""
    parser = argparse.ArgumentParser(prog="python -m tflm_reds.calibration", description=__doc__)
    parser.add_argument("source", nargs="?", help="log file, or serial port such as /dev/ttyACM0")
    parser.add_argument("--board", default="nano33ble", help="board name or .toml file")
    parser.add_argument("--out", type=Path, help="the image's folder (default: build/calibration)")
    parser.add_argument(
        "--save", type=Path, help="board file to write (default: the board's own, or a copy here)"
    )
    return parser.parse_args(arguments)


def main(arguments: list[str] | None = None) -> int:
    """Run the command; return its exit status."""
    parsed = parse_arguments(arguments)
    return run_command(lambda: _calibrate(parsed))


def _calibrate(parsed: argparse.Namespace) -> None:
    board = load_board(parsed.board)
    firmware = build_calibration(board, parsed.out or Path("build") / NAME)
    if parsed.source is None:
        print(
            f"{firmware.elf} and .bin are built. Flash one of them to {board.title}, then give the "
            f"log or the serial port:\n  {board.tools.flash}\n"
            f"  python -m {__package__}.calibration LOG_OR_PORT --board {parsed.board}"
        )
        return
    found = fit(read_run(parsed.source, firmware.build), board)
    print(summary(found, board))
    target = parsed.save or writable_path(parsed.board)
    origin = f"measured: {NAME} image {firmware.build}"
    print(f"written to {write_timing(parsed.board, target, found.figures, origin)}")


if __name__ == "__main__":
    sys.exit(main())
