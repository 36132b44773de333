"""Reading data files: where they are, and what is wrong with them."""

import os
import zipfile
import zlib
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from tflm_reds.datasets.checksums import broken_file
from tflm_reds.errors import DataError

VARIABLE = "TFLM_REDS_DATA"


def data_directory(data_dir: str | Path | None = None) -> Path | None:
    """`data_dir`, or else the directory in TFLM_REDS_DATA; None if neither is given.

    Raises:
        DataError: if the directory does not exist.
    """
    chosen = data_dir or os.environ.get(VARIABLE)
    if not chosen:
        return None
    directory = Path(chosen)
    if not directory.is_dir():
        raise DataError(f"The data directory {directory} does not exist. Correct --data.")
    return directory


def data_file(name: str, data_dir: str | Path | None) -> Path:
    """Path of the file `name` in the data directory.

    Raises:
        DataError: if there is no data directory or no such file in it.
    """
    directory = data_directory(data_dir)
    if directory is None:
        raise DataError(f"{name} is needed: give its directory by --data or in {VARIABLE}.")
    if not (directory / name).is_file():
        raise DataError(f"{directory} holds no {name}. Put the file there or correct --data.")
    return directory / name


def read_arrays(path: Path, prefix: str = "") -> dict[str, np.ndarray]:
    """The arrays of an `.npz` file whose names start with `prefix`.

    Raises:
        DataError: if the file is missing, truncated, or no `.npz`; it names the file.
    """
    try:
        with np.load(path, allow_pickle=False) as file:
            return {name: file[name] for name in file.files if name.startswith(prefix)}
    except FileNotFoundError as error:
        raise DataError(f"There is no file {path}. Correct the path.") from error
    except (OSError, EOFError, ValueError, TypeError, zipfile.BadZipFile, zlib.error) as error:
        size = f"{path.stat().st_size:,} bytes" if path.is_file() else "a directory"
        raise broken_file(path, f"this is no intact .npz file ({size}): {error}") from error


def require_arrays(
    path: Path, arrays: Mapping[str, np.ndarray], expected: Mapping[str, tuple[str, tuple]]
) -> None:
    """Check that a file holds the arrays it should.

    Args:
        expected: for each array, its dtype's kind(s) as in numpy ("u", "if"), and its shape, None
            for an axis of any length.

    Raises:
        DataError: naming the file, what was expected and what was found.
    """
    for name, (kinds, shape) in expected.items():
        if name not in arrays:
            raise broken_file(path, f"it lacks the array {name!r} and holds {', '.join(arrays)}")
        found = arrays[name]
        fits = len(found.shape) == len(shape) and all(
            want in (None, have) for want, have in zip(shape, found.shape, strict=True)
        )
        if not fits or found.dtype.kind not in kinds:
            wanted = ", ".join("n" if axis is None else str(axis) for axis in shape)
            raise broken_file(
                path,
                f"the array {name!r} should have shape ({wanted}) and a dtype of kind {kinds!r}, "
                f"found {found.shape} of {found.dtype}",
            )


def read_data_file(
    name: str, data_dir: str | Path | None, expected: Mapping[str, tuple[str, tuple]]
) -> tuple[Path, dict[str, np.ndarray]]:
    """Path and arrays of the file `name`, checked; arguments and errors as of the parts above."""
    path = data_file(name, data_dir)
    arrays = read_arrays(path)
    require_arrays(path, arrays, expected)
    return path, arrays
