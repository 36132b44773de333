"""`python -m tflm_reds.device BUILD`: flash a finished build, and read what the board measures."""

import argparse
import sys
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

from tflm_reds.boards.schema import Board, load_board
from tflm_reds.codegen.arduino_sketch import sketch_build
from tflm_reds.device_options import DeviceOptions, add_device_arguments, take_device_options
from tflm_reds.errors import DeviceError, RedsError
from tflm_reds.files import write_text
from tflm_reds.programmer import check_programmer, flash_image, flash_sketch
from tflm_reds.report import Report, render_markdown, render_table
from tflm_reds.serial_console import SerialConsole, check_pyserial
from tflm_reds.silicon import add_silicon


@dataclass(frozen=True)
class Build:
    """The image in a finished build folder that is meant."""

    folder: Path
    report: Report
    board: Board
    is_sketch: bool

    @classmethod
    def open(cls, folder: str | Path, bare: bool, board: str | None = None) -> "Build":
        """Read `folder`.

        Args:
            bare: the bare image even where there is an Arduino sketch.
            board: name or TOML file; by default the board of the report.

        Raises:
            ModelError: if the folder holds no report.
            BoardError: if the board is unknown.
            DeviceError: if the folder holds no image.
        """
        folder = Path(folder)
        report = Report.load(folder / "report.json")
        found = load_board(board or report.board)
        build = cls(folder, report, found, runs_sketch(found, bare))
        if not (build.sketch if build.is_sketch else build.image.with_suffix(".elf")).exists():
            raise DeviceError(f"{folder} holds no image for {found.name}. Run the build again.")
        return build

    @property
    def image(self) -> Path:
        """Of the bare image, without suffix."""
        return self.folder / "firmware" / self.report.model

    @property
    def sketch(self) -> Path:
        """Folder of the Arduino sketch."""
        return self.folder / "firmware" / "sketch" / self.report.model

    @property
    def hash(self) -> str:
        """What the image prints when it boots."""
        return sketch_build(self.report.build_hash) if self.is_sketch else self.report.build_hash


def runs_sketch(board: Board, bare: bool) -> bool:
    """Whether a board is flashed with the Arduino sketch."""
    return bool(board.tools.arduino) and not bare


def check_device(board: Board, options: DeviceOptions) -> None:
    """Check what `use_device` will need, before hours of training.

    Raises:
        ToolchainError: if a tool or pyserial is missing.
        DeviceError: if the board has no tool, or its port is not given.
    """
    if options.upload:
        sketch = runs_sketch(board, options.bare)
        check_programmer(board, sketch, options.port or options.serial)
    if options.serial:
        check_pyserial()


def use_device(
    folder: str | Path, options: DeviceOptions, board: str | None = None
) -> Report | None:
    """Flash and read the board; return the report with its measurements, or None if not read.

    `report.json` and `report.md` of the build are replaced.

    Raises:
        ToolchainError: if a tool or pyserial is missing.
        DeviceError: if flashing fails, or no whole run of this build comes within the limit.
        SimulationError: if the board's run faulted or gave wrong results.
    """
    build = Build.open(folder, options.bare, board)
    with ExitStack() as stack:
        console = None
        # A port of its own is opened first, so that nothing is lost; native USB comes back later.
        if options.serial and not build.is_sketch:
            console = stack.enter_context(SerialConsole(options.serial))
        if options.upload:
            _flash(build, options.port or options.serial)
        if not options.serial:
            return None
        console = console or stack.enter_context(SerialConsole(options.serial))
        records = console.read_run(build.hash, options.seconds)
    image = "Arduino sketch" if build.is_sketch else "bare image"
    report = add_silicon(build.report, build.board, records, build.hash, image)
    report.save(build.folder / "report.json")
    write_text(build.folder / "report.md", render_markdown(report))
    return report


def _flash(build: Build, port: str | None) -> None:
    if build.is_sketch:
        flash_sketch(build.board, build.sketch, port)
    else:
        flash_image(build.board, build.image, port)


def main(arguments: list[str] | None = None) -> int:
    """Run the command; return its exit status."""
    parser = argparse.ArgumentParser(prog="python -m tflm_reds.device", description=__doc__)
    parser.add_argument("folder", type=Path, help="of a finished build (its --out)")
    parser.add_argument("--board", help="name or .toml file (default: the build's)")
    parser.add_argument("--flash", action="store_true", help="write the build to the board")
    add_device_arguments(parser)
    parsed = parser.parse_args(arguments)
    options = take_device_options(vars(parsed))
    if not options:
        parser.error("give --flash, --serial PORT, or both")
    try:
        report = use_device(parsed.folder, options, parsed.board)
    except RedsError as error:
        print(f"{type(error).__name__}: {error}", file=sys.stderr)
        return error.exit_code
    print(render_table(report) if report else f"{parsed.folder} is on the board.")
    return 0


if __name__ == "__main__":
    sys.exit(main())
