"""Rows of results: JSON files under docs/results, and the form of the tables made of them."""

import json
import platform
from collections.abc import Iterable, Sequence
from importlib.metadata import version
from pathlib import Path

from tflm_reds.files import write_text

RESULTS = Path(__file__).parents[1] / "docs" / "results"


def versions(*packages: str) -> dict[str, str]:
    """Installed versions of `packages` and of Python."""
    return {name: version(name) for name in packages} | {"python": platform.python_version()}


def read_rows(name: str) -> list[dict]:
    """The rows of docs/results/<name>.json."""
    return json.loads((RESULTS / f"{name}.json").read_text())


def write_rows(name: str, rows: list[dict]) -> None:
    """Write docs/results/<name>.json."""
    write_text(RESULTS / f"{name}.json", json.dumps(rows, indent=1) + "\n")


def table(header: Sequence[str], rows: Iterable[Iterable[object]]) -> str:
    """A Markdown table."""
    lines = ["| " + " | ".join(header) + " |", "|---" * len(header) + "|"]
    return "\n".join(lines + ["| " + " | ".join(map(str, row)) + " |" for row in rows])


def replace_rows(name: str, rows: list[dict], key: str) -> None:
    """Write `rows`, and keep the others of the file whose `key` differs."""
    path = RESULTS / f"{name}.json"
    fresh = {row[key] for row in rows}
    old = json.loads(path.read_text()) if path.exists() else []
    write_rows(name, sorted([r for r in old if r[key] not in fresh] + rows, key=lambda r: r[key]))
