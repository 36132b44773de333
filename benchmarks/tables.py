"""Write the tables of docs/*.md and README.md from docs/results/*.json.

    python -m benchmarks.tables            # a test fails when a document differs from its JSON

A document holds blocks `<!-- table:NAME -->` ... `<!-- end -->`; only their contents are replaced.
"""

import re
import sys
from collections.abc import Callable
from pathlib import Path

from benchmarks.rows import read_rows
from tflm_reds.files import write_text
from tflm_reds.report import Report, render_table
from tflm_reds.report.model import report_from_dict

ROOT = Path(__file__).parents[1]
DOCUMENTS = ("README.md", "docs/results.md")
BLOCK = re.compile(r"(<!-- table:(\w+) -->\n).*?(<!-- end -->)", re.DOTALL)


def table(header: list[str], rows: list[list[object]]) -> str:
    """A Markdown table."""
    lines = ["| " + " | ".join(header) + " |", "|---" * len(header) + "|"]
    return "\n".join(lines + ["| " + " | ".join(map(str, row)) + " |" for row in rows])


def _reports() -> dict[str, tuple[dict, Report]]:
    return {row["name"]: (row, report_from_dict(row)) for row in read_rows("networks")}


def subnets_of(name: str) -> Callable[[], str]:
    """The table of subnets of one network, and how it was made."""

    def render() -> str:
        row, report = _reports()[name]
        made = f"`{row['command']}`; {report.toolchain}; {report.subnets[0].samples} test samples."
        return f"{render_table(report)}\n\n{made}"

    return render


def bit_exactness() -> str:
    """Differing bytes of every network, subnet and implementation."""
    rows = []
    for name, (_, report) in _reports().items():
        for subnet in report.subnets:
            found = {k: v for k, v in subnet.differing_bytes.items() if v is not None}
            cells = [f"{implementation} {count}" for implementation, count in found.items()]
            rows.append([name, subnet.index, subnet.compared_inputs, ", ".join(cells)])
    return table(["network", "subnet", "inputs", "differing bytes"], rows)


def canonical() -> str:
    """Pretrained accuracy, and that nesting keeps it."""
    rows = [
        [
            row["name"],
            f"{100 * row['canonical_accuracy_pretrained']:.2f} %",
            f"{100 * row['canonical_accuracy_full_subnet_after_permutation']:.2f} %",
            f"{row['permutation_change']:.1e}",
        ]
        for row, _ in _reports().values()
        if "canonical_samples" in row
    ]
    header = ["network", "pretrained", "full subnet after permutation", "largest relative change"]
    return table(header, rows)


def switching() -> str:
    """Cost of a switch."""
    rows = [
        [
            name,
            report.switch_instructions,
            max(subnet.first_after_switch_instructions for subnet in report.subnets),
        ]
        for name, (_, report) in _reports().items()
    ]
    return table(["network", "setter, instructions", "first inference after it, more"], rows)


def planner() -> str:
    """Worst seconds, gap and memory of the exact planner."""
    rows, results = [], [r for r in read_rows("planner") if r["solver"] == "exact"]
    for name in sorted({row["name"] for row in results}):
        mine = [row for row in results if row["name"] == name]
        worst = {key: max(row[key] for row in mine) for key in ("seconds", "gap", "peak_mb")}
        rows.append([name, len(mine), worst["seconds"], worst["gap"], worst["peak_mb"]])
    return table(["network", "plans", "worst s per budget", "worst gap", "worst MB"], rows)


def choice() -> str:
    """The planned 25 % subnet of digits beside random units."""
    rows = [
        [
            row["name"],
            row["seed"],
            ", ".join(map(str, row["widths"].values())),
            f"{100 * row['accuracy_after_nesting']:.1f} %",
            f"{100 * row['accuracy_after_training']:.1f} %",
        ]
        for row in read_rows("choice")
    ]
    return table(["units", "seed", "widths", "before training", "after joint training"], rows)


TABLES: dict[str, Callable[[], str]] = {
    "digits": subnets_of("digits_ds_cnn"),
    "ds_cnn_s_kws": subnets_of("ds_cnn_s_kws"),
    "dnn_s_kws": subnets_of("dnn_s_kws"),
    "cnn_s_kws": subnets_of("cnn_s_kws"),
    "bit_exactness": bit_exactness,
    "canonical": canonical,
    "switching": switching,
    "planner": planner,
    "choice": choice,
}


def render(text: str) -> str:
    """`text` with every block made anew."""
    return BLOCK.sub(lambda match: f"{match[1]}{TABLES[match[2]]()}\n{match[3]}", text)


def main() -> None:
    """Rewrite the documents."""
    for name in DOCUMENTS:
        write_text(ROOT / name, render((ROOT / name).read_text()))


if __name__ == "__main__":
    sys.exit(main())
