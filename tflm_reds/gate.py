"""`budgets.toml`: what each subnet of a build may take, so that CI stops what grew.

python -m tflm_reds.gate build/kws/report.json budgets.toml            # fails with a table
python -m tflm_reds.gate build/kws/report.json budgets.toml --update   # accepts the figures
"""

import argparse
import sys
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from tflm_reds.command import run_command
from tflm_reds.errors import DataError, GrowthError
from tflm_reds.files import write_text
from tflm_reds.report.model import Report, SubnetRow

INSTRUCTIONS = "instructions"
FIGURES = (INSTRUCTIONS, "arena_bytes", "flash_bytes")
DEFAULT_TOLERANCE = {INSTRUCTIONS: 0.01, "arena_bytes": 0.0, "flash_bytes": 0.01}


@dataclass(frozen=True)
class Gate:
    """Budgets of one build.

    Attributes:
        toolchain: what they were counted with: another compiler makes other code.
        tolerance: share by which each of FIGURES may exceed its budget.
        subnets: budgets of each subnet, smallest first; a figure left out is not checked.
    """

    model: str
    board: str
    toolchain: str
    tolerance: Mapping[str, float]
    subnets: tuple[Mapping[str, int], ...]

    @classmethod
    def from_report(cls, report: Report, tolerance: Mapping[str, float] | None = None) -> "Gate":
        """Budgets that the report's own figures just keep.

        Raises:
            DataError: if it lacks a figure.
        """
        subnets = tuple({name: _figure(row, name) for name in FIGURES} for row in report.subnets)
        used = DEFAULT_TOLERANCE | dict(tolerance or {})
        return cls(report.model, report.board, report.toolchain, used, subnets)

    @classmethod
    def load(cls, path: str | Path) -> "Gate":
        """Read a file of the form that `save` writes.

        Raises:
            DataError: if it is missing, no TOML, or has other keys or values.
        """
        try:
            content = tomllib.loads(Path(path).read_text(encoding="utf-8"))
            tolerance = DEFAULT_TOLERANCE | content.pop("tolerance", {})
            subnets = tuple(map(dict, content.pop("subnets")))
            gate = cls(tolerance=tolerance, subnets=subnets, **content)
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise DataError(f"{path} holds no budgets ({error}). {_way_out(path)}") from error
        for where in (gate.tolerance, *gate.subnets):
            for name, value in where.items():
                if name not in FIGURES or type(value) not in (int, float) or not value >= 0:
                    raise DataError(
                        f"{path}: {name} = {value!r} is no budget or tolerance; there are "
                        f"{', '.join(FIGURES)}, at least 0."
                    )
        return gate

    def save(self, path: str | Path) -> Path:
        """Write the file, atomically."""
        lines = [f'{name} = "{getattr(self, name)}"' for name in ("model", "board", "toolchain")]
        lines += ["", "[tolerance]  # share by which a figure may exceed its budget"]
        lines += [f"{name} = {value}" for name, value in self.tolerance.items()]
        for subnet in self.subnets:
            lines += ["", "[[subnets]]", *(f"{name} = {value}" for name, value in subnet.items())]
        return write_text(path, "\n".join([*lines, ""]))


@dataclass(frozen=True)
class Growth:
    """A figure that exceeds its budget."""

    subnet: int
    figure: str
    budget: int
    now: int

    def __str__(self) -> str:
        share = f"{100 * (self.now / self.budget - 1):+.1f} %" if self.budget else ""
        cells = (self.subnet, self.figure, f"{self.budget:,}", f"{self.now:,}", share)
        return f"| {' | '.join(map(str, cells))} |"


def check(gate: Gate, report: Report) -> None:
    """Compare a report with the budgets.

    Raises:
        GrowthError: with a table of what exceeds its budget, or if the report is of another model
            or board, or has another number of subnets.
        DataError: if the report lacks a figure that has a budget.
    """
    of_gate = (gate.model, gate.board, len(gate.subnets))
    of_report = (report.model, report.board, len(report.subnets))
    if of_gate != of_report:
        raise GrowthError(
            "The budgets are for {} on {} with {} subnets, ".format(*of_gate)
            + "the report is of {} on {} with {}. ".format(*of_report)
            + "Check against budgets of its own, or accept it with --update."
        )
    grown = [
        Growth(row.index, name, limit, _figure(row, name))
        for row, budgets in zip(report.subnets, gate.subnets, strict=True)
        for name, limit in budgets.items()
        if _figure(row, name) > limit * (1 + gate.tolerance[name])
    ]
    if grown:
        table = ["| subnet | figure | budget | now | growth |", "|---:|---|---:|---:|---:|", *grown]
        raise GrowthError(
            f"{len(grown)} figures of {report.model} exceed their budgets"
            f"{other_toolchain(gate, report)}. Make it smaller, or accept it with --update.\n\n"
            + "\n".join(map(str, table))
        )


def other_toolchain(gate: Gate, report: Report) -> str:
    """Tells that the figures are not of the same compiler; empty where they are."""
    if gate.toolchain == report.toolchain:
        return ""
    return f" (they are of {gate.toolchain}, this build is of {report.toolchain})"


def update(path: str | Path, report: Report) -> Path:
    """Write the report's figures as budgets; the tolerance of an existing file stays.

    Raises:
        DataError: if the file exists and is wrong, or the report lacks a figure.
    """
    tolerance = Gate.load(path).tolerance if Path(path).exists() else None
    return Gate.from_report(report, tolerance).save(path)


def _figure(row: SubnetRow, name: str) -> int:
    value = (row.instructions or {}).get("unicorn") if name == INSTRUCTIONS else getattr(row, name)
    if value is None:
        raise DataError(f"The report has no {name} of subnet {row.index}: nothing to compare.")
    return value


def _way_out(path: str | Path) -> str:
    return f"Write it from a report: python -m tflm_reds.gate report.json {path} --update"


def main(arguments: list[str] | None = None) -> int:
    """Run the command; return its exit status."""
    parser = argparse.ArgumentParser(
        prog="python -m tflm_reds.gate",
        description="Compare a build's report.json with budgets of instructions, arena and flash.",
    )
    parser.add_argument("report", type=Path, help="report.json of a build")
    parser.add_argument("budgets", type=Path, help="the budgets.toml of your repository")
    parser.add_argument("--update", action="store_true", help="write the report's figures into it")
    parsed = parser.parse_args(arguments)
    return run_command(lambda: _gate(parsed))


def _gate(parsed: argparse.Namespace) -> None:
    report = Report.load(parsed.report)
    if parsed.update:
        print(f"budgets written to {update(parsed.budgets, report)}")
        return
    gate = Gate.load(parsed.budgets)
    check(gate, report)
    print(f"{report.model} keeps its budgets{other_toolchain(gate, report)}.")


if __name__ == "__main__":
    sys.exit(main())
