"""Writes measured figures into a board's TOML file; everything else in it stays as it is."""

import os
from collections.abc import Mapping
from pathlib import Path

from tflm_reds.boards.schema import FOLDER, Interval
from tflm_reds.errors import ToolchainError
from tflm_reds.files import write_text


def board_path(name_or_path: str | Path) -> Path:
    """The file of a board: the package's, or the user's own."""
    path = Path(name_or_path)
    return path if path.suffix == ".toml" else FOLDER / f"{name_or_path}.toml"


def writable_path(name_or_path: str | Path) -> Path:
    """That file, or one of its name in the working folder where it cannot be written."""
    path = board_path(name_or_path)
    writable = os.access(path, os.W_OK) and os.access(path.parent, os.W_OK)
    return path if writable else Path.cwd() / path.name


def write_timing(
    source: str | Path, target: Path, figures: Mapping[str, Interval], origin: str
) -> Path:
    """Copy the board file `source` to `target` with other figures in its table [timing].

    Args:
        source: name or path of the board.
        origin: where the figures are from; it becomes the comment behind each of them.

    Raises:
        ToolchainError: if tomlkit is not installed.
        OutputError: if `target` cannot be written.
    """
    try:
        import tomlkit
    except ModuleNotFoundError as error:
        raise ToolchainError(
            "The package tomlkit is missing. Run `pip install 'tflm-reds[serial]'`."
        ) from error
    document = tomlkit.parse(board_path(source).read_text(encoding="utf-8"))
    timing = document.setdefault("timing", tomlkit.table())
    for name, interval in figures.items():
        values = tomlkit.array()
        values.extend(int(value) if value == int(value) else value for value in interval)
        timing[name] = values
        timing[name].comment(origin)
    return write_text(target, tomlkit.dumps(document))
