"""Traces of what a device can spend: one row for each inference that is asked for."""

import csv
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from itertools import pairwise
from pathlib import Path

from tflm_reds.codegen.governor.library import LIMITS, UNLIMITED
from tflm_reds.errors import DataError
from tflm_reds.files import write_text

LARGEST = UNLIMITED - 1


@dataclass(frozen=True)
class Request:
    """An inference that is asked for, and what it may cost; None: no limit.

    Attributes:
        time_s: seconds since the trace began.
        deadline_us: until the result is due.
        energy_uj: that the inference may take.
        battery_permille: level of the battery, 0 .. 1000.
    """

    time_s: float
    deadline_us: int | None = None
    energy_uj: int | None = None
    battery_permille: int | None = None

    @property
    def limits(self) -> dict[str, int]:
        """Those that there are, by name."""
        return {name: value for name in LIMITS if (value := getattr(self, name)) is not None}


def load_trace(path: str | Path) -> tuple[Request, ...]:
    """Read a CSV file with the columns time_s and one or more of LIMITS; an empty cell: no limit.

    Raises:
        DataError: if the file is missing, has other columns, no row, a value out of range, or
            times that fall.
    """
    try:
        with Path(path).open(newline="", encoding="utf-8") as stream:
            reader = csv.DictReader(stream)
            _check_columns(path, reader.fieldnames or ())
            requests = tuple(_request(path, reader.line_num, row) for row in reader)
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise DataError(f"Cannot read the trace {path}: {error}.") from error
    if not requests:
        raise DataError(f"{path} has no row below its header: a trace needs one for each request.")
    for before, after in pairwise(requests):
        if after.time_s < before.time_s:
            raise DataError(
                f"{path}: the time {after.time_s:g} s comes after {before.time_s:g} s. Sort the "
                "rows by time_s."
            )
    return requests


def save_trace(requests: Sequence[Request], path: str | Path) -> Path:
    """Write what `load_trace` reads, with the columns that hold a value."""
    used = [name for name in LIMITS if any(name in request.limits for request in requests)]
    lines = [",".join(["time_s", *used])]
    for request in requests:
        values = asdict(request)
        cells = ["" if values[name] is None else str(values[name]) for name in used]
        lines.append(",".join([f"{request.time_s:g}", *cells]))
    return write_text(path, "\n".join(lines) + "\n")


def _check_columns(path: str | Path, columns: Sequence[str]) -> None:
    unknown = [name for name in columns if name not in ("time_s", *LIMITS)]
    if unknown or "time_s" not in columns or len(columns) < 2 or len(set(columns)) < len(columns):
        raise DataError(
            f"{path} has the columns {', '.join(columns) or '(none)'}. A trace has time_s and one "
            f"or more of {', '.join(LIMITS)}."
        )


def _request(path: str | Path, line: int, row: Mapping[str, str]) -> Request:
    try:
        if None in row or None in row.values():
            raise ValueError("its number of cells differs from the header's")
        time_s = float(row["time_s"])
        if not 0 <= time_s < float("inf"):
            raise ValueError(f"time_s is {time_s:g}")
        return Request(time_s, **{name: _limit(name, row.get(name, "")) for name in LIMITS})
    except ValueError as error:
        raise DataError(
            f"{path}, line {line}: {error}. Times are seconds from 0 on, limits whole numbers: "
            f"battery_permille 0 .. 1000, others 0 .. {LARGEST}; an empty cell is no limit."
        ) from error


def _limit(name: str, text: str) -> int | None:
    if not text.strip():
        return None
    value, highest = int(text), 1000 if name == "battery_permille" else LARGEST
    if not 0 <= value <= highest:
        raise ValueError(f"{name} is {value}")
    return value
