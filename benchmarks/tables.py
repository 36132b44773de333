"""Write the tables of docs/*.md and README.md from docs/results/*.json.

    python -m benchmarks.tables            # a test fails when a document differs from its JSON

A document holds blocks `<!-- table:NAME -->` ... `<!-- end -->`; only their contents are replaced.
"""

import re
import sys
from collections.abc import Callable
from pathlib import Path

from benchmarks.accuracy_tables import ACCURACY_TABLES
from benchmarks.board_tables import BOARD_TABLES
from benchmarks.cycle_tables import CYCLE_TABLES
from benchmarks.fault_table import faults
from benchmarks.kernel_tables import KERNEL_TABLES
from benchmarks.plugin_tables import PLUGIN_TABLES
from benchmarks.rows import read_rows, table
from tflm_reds.files import write_text
from tflm_reds.report import Report, render_table
from tflm_reds.report.model import report_from_dict

ROOT = Path(__file__).parents[1]
DOCUMENTS = (
    "README.md",
    "docs/boards.md",
    "docs/cycles.md",
    "docs/faults.md",
    "docs/governor.md",
    "docs/kernels.md",
    "docs/latency.md",
    "docs/phones.md",
    "docs/plugin.md",
    "docs/results.md",
    "docs/theory.md",
)
BLOCK = re.compile(r"(<!-- table:(\w+) -->\n).*?(<!-- end -->)", re.DOTALL)


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


PAPER_SOLVER = {
    "ds_cnn_s_fashion_mnist": "19 min",
    "ds_cnn_s_cifar10": "90 min",
    "ds_cnn_l_kws": "3 h or more",
    "mobilenet_v1_100_vww": "10,000 s limit, 30 to 50 GB",
}
"""The paper's time for the same network, with Gurobi (its appendix and README)."""


def planner() -> str:
    """Worst seconds, gap and memory of whole plans by the exact planner."""
    rows, results = [], read_rows("planner")
    for name in dict.fromkeys(row["name"] for row in results):
        mine = [row for row in results if row["name"] == name]
        steps = [row for row in mine if row["direction"] != "joint"]
        joint = [row for row in mine if row["direction"] == "joint"]
        rows.append(
            [
                name,
                mine[0]["groups"],
                len(mine),
                f"{_largest(steps, 'seconds'):.2f}",
                f"{_largest(steps, 'gap'):.1g}",
                f"{_largest(joint, 'seconds'):.2f}",
                f"{_largest(joint, 'gap'):.1g}",
                f"{_largest(mine, 'peak_mb'):.1f}",
                PAPER_SOLVER.get(name, ""),
            ]
        )
    header = ["network", "groups", "plans", "worst s", "worst gap", "joint: worst s", "worst gap"]
    return table([*header, "worst MB", "paper"], rows)


def _largest(rows: list[dict], key: str) -> float:
    return max(row[key] for row in rows if key in row)


def nesting_ratios() -> str:
    """What subnets keep of the best widths for their budget alone, sum of importance."""
    rows, results = [], [row for row in read_rows("planner") if row["objective"] == "sum"]
    for name in dict.fromkeys(row["name"] for row in results):
        mine = [row for row in results if row["name"] == name]
        cells = [name, len(mine) // 3]
        for key in ("worst_ratio", "joint_score"):
            for direction in ("bottom-up", "top-down", "joint"):
                found = [row[key] for row in mine if row["direction"] == direction]
                cells.append(f"{min(found):.6f}")
        bounds = [row["joint_bound"] for row in mine if row["direction"] == "joint"]
        rows.append([*cells, f"{min(bounds):.6f}"])
    header = ["network", "score sets", "bottom-up", "top-down", "joint"]
    return table([*header, *(f"score, {name}" for name in header[2:]), "bound"], rows)


def memory() -> str:
    """Subnets under limits of peak RAM."""
    rows = []
    for row in read_rows("memory"):
        limit = "none" if row["limit"] is None else f"{row['limit']:,}"
        accuracies = [f"{100 * row[key]:.1f} %" for key in ("accuracy_float", "accuracy_int8")]
        untrained = "-"
        if row["untrained_samples"]:
            both = [f"{100 * row[key]:.1f}" for key in ("untrained_float", "untrained_int8")]
            untrained = " / ".join(both) + f" % of {row['untrained_samples']:,}"
        cells = [
            row["subnet"],
            limit,
            f"{row['arena_bytes']:,}",
            f"{100 * row['mac_fraction']:.1f} %",
        ]
        rows.append([*cells, *accuracies, row["samples"], untrained])
    header = ["subnet", "limit B", "arena B", "true MACs", "float", "int8", "images"]
    return table([*header, "before training, float / int8"], rows)


def arena() -> str:
    """The arena of every network beside what is live in it."""
    rows = []
    for row in read_rows("arena"):
        live, tflm = row["live_bytes"], row["tflm_host"]
        sizes = [f"{row[key]:,} ({row[key] / live:.2f})" for key in ("ram", "speed")]
        host = "" if tflm is None else f"{tflm:,}"
        rows.append([row["name"], row["subnet"], f"{row['apart_bytes']:,}", f"{live:,}"])
        rows[-1] += [*sizes, host]
    header = ["network", "subnet", "live apart B", "live B", "ram B", "speed B"]
    return table([*header, "TFLM on a 64-bit host, B"], rows)


def governor_replays() -> str:
    """The governor beside every static choice on the example traces."""
    rows = []
    for row in read_rows("governor"):
        if "policy" not in row:
            continue
        shown = [row[key] for key in ("accuracy", "accuracy_in_time")]
        cells = [row["trace"], row["slowdown"], row["policy"]]
        cells += [f"{100 * row['misses'] / row['requests']:.1f} %"]
        cells += ["-" if value is None else f"{100 * value:.2f} %" for value in shown]
        rows.append([*cells, f"{row['energy_mj']:.0f}", row["switches"]])
    header = ["trace", "slowdown", "policy", "missed", "accuracy", "accuracy in time", "mJ"]
    return table([*header, "switches"], rows)


def governor_instructions() -> str:
    """What a decision takes."""
    keys = ("core", "compiler", "flags", "subnets", "choose", "measured")
    rows = [[row[key] for key in keys] for row in read_rows("governor") if "core" in row]
    header = [*keys[:4], "reds_governor_choose, at most", "reds_governor_measured, at most"]
    return table(header, rows)


def litert() -> str:
    """Subnets in LiteRT on a host."""
    rows = []
    for row in read_rows("litert"):
        found, reference = (100 * row[key] for key in ("accuracy", "reference"))
        cells = [row["name"], f"{row['subnet']} ({100 * row['fraction']:.0f} %)", row["form"]]
        cells += [f"{row['bytes']:,}", f"{found:.2f} %", f"{found - reference:+.2f}"]
        rows.append([*cells, f"{row['samples']:,}", f"{row['host_ms']:.3f}"])
    header = ["network", "subnet (MACs)", "form", "bytes", "accuracy", "less the reference"]
    return table([*header, "samples", "host ms"], rows)


def litert_sizes() -> str:
    """All files of a network beside the one nested model."""
    results, rows = read_rows("litert"), []
    for name in dict.fromkeys(row["name"] for row in results):
        mine = [row for row in results if row["name"] == name]
        sums = [sum(r["bytes"] for r in mine if r["form"] == form) for form in ("float32", "int8")]
        rows.append([name, *(f"{size:,}" for size in (*sums, mine[0]["nested_bytes"]))])
    header = ["network", "float32 files, B", "int8 files, B", "one nested int8 .tflite, B"]
    return table(header, rows)


TABLES: dict[str, Callable[[], str]] = {
    **ACCURACY_TABLES,
    **BOARD_TABLES,
    **CYCLE_TABLES,
    **KERNEL_TABLES,
    **PLUGIN_TABLES,
    "faults": faults,
    "digits": subnets_of("digits_ds_cnn"),
    "ds_cnn_s_kws": subnets_of("ds_cnn_s_kws"),
    "dnn_s_kws": subnets_of("dnn_s_kws"),
    "cnn_s_kws": subnets_of("cnn_s_kws"),
    "bit_exactness": bit_exactness,
    "canonical": canonical,
    "switching": switching,
    "planner": planner,
    "nesting_ratios": nesting_ratios,
    "memory": memory,
    "arena": arena,
    "governor_replays": governor_replays,
    "governor_instructions": governor_instructions,
    "litert": litert,
    "litert_sizes": litert_sizes,
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
