"""Tables of what planning and training reach: accuracies, and what each factor is worth."""

from collections.abc import Callable
from dataclasses import asdict

from benchmarks.ablation import BUDGETS, CELLS, TRAININGS
from benchmarks.paper import PAPER
from benchmarks.rows import read_rows, table

_STAGES = ("before_nesting", "after_nesting", "after_training")


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


def accuracy_of(name: str, ten: bool = False) -> Callable[[], str]:
    """Every run of one network beside the paper, a row for each subnet; `ten`: with ten subnets."""

    def render() -> str:
        rows = [row for row in read_rows("accuracy") if row["name"] == name]
        rows = [row for row in rows if (row["budgets"] == "ten") == ten]
        header = ["widths", "seed", "subnet", "true MACs", "float", "int8"]
        header += ["int8, exact (pretrained)"] * ("accuracy_exact" in rows[0])
        header += ["KiB", "paper", "its KiB", "drop less paper's, 95 %", "bar"]
        return table(header, [_accuracy_cells(row) for row in rows])

    return render


def _accuracy_cells(row: dict) -> list[object]:
    widths = ", ".join(map(str, row["widths"].values()))
    cells = [f"{row['widths_by']}: {widths}", row["seed"], f"{row['label']} %"]
    cells += [f"{100 * row[key]:.1f} %" for key in ("mac_fraction",)]
    cells += [f"{100 * row[key]:.2f}" for key in ("accuracy_float", "accuracy_int8")]
    if "accuracy_exact" in row:
        exact = (100 * row["accuracy_exact"], 100 * row["accuracy_exact_pretrained"])
        cells.append("{:.1f} ({:.1f})".format(*exact))
    cells += [f"{row['kilobytes_float']:.1f}"]
    if row["met"] is None:
        return [*cells, "-", "-", "-", "-"]
    size = row["paper_kilobytes_float"]
    low, high = row["interval"]
    verdict = "met" if row["met"] else "missed"
    return [
        *cells,
        f"{row['paper_accuracy']:.2f}",
        "-" if size is None else f"{size:.1f}",
        f"{low:+.2f} .. {high:+.2f}",
        "beaten" if high < 0 else verdict,
    ]


def utility() -> str:
    """The law of widths, network by network."""
    rows = []
    for row in read_rows("utility"):
        by_group = [f"{group} {value:.3f}" for group, value in row["coefficients"].items()]
        planned = (row["widths"], row["widths_by_width_objective"])
        widths = [", ".join(map(str, found.values())) for found in planned]
        fit = [row["exponent"], f"{100 * row['r_squared']:.0f} %", ", ".join(by_group)]
        rows.append([row["name"], *fit, *widths])
    header = ["network", "exponent", "variance explained", "coefficients"]
    return table([*header, "25 % widths, measured", "25 % widths, `width`"], rows)


def ablation_of(name: str) -> Callable[[], str]:
    """The cells of one network, in the order of `benchmarks.ablation`."""

    def render() -> str:
        rows = [row for row in read_rows("ablation") if row["name"] == name]
        rows.sort(key=lambda row: (list(CELLS).index(row["cell"]), row["seed"]))
        budgets = [f"{100 * budget:g} %" for budget in (*BUDGETS, 1.0)]
        header = ["changed", "seed", *budgets, "mean", "tables, B", "25 % widths"]
        return table(header, [_ablation_cells(row) for row in rows])

    return render


def _ablation_cells(row: dict) -> list[object]:
    default = asdict(CELLS["default"])
    changed = [f"{k} {v}" for k, v in row["factors"].items() if v != default[k]]
    accuracies = [100 * accuracy for accuracy in row["accuracy_int8"]]
    shown = [f"{accuracy:.2f}" for accuracy in (*accuracies, sum(accuracies) / len(accuracies))]
    widths = ", ".join(map(str, row["widths"][0].values()))
    tables = f"{sum(row['table_bytes']):,}"
    return [", ".join(changed) or "nothing", row["seed"], *shown, tables, widths]


def vision_transformer() -> str:
    """Float subnets of a Vision Transformer."""
    rows = [
        [
            row["name"],
            row["seed"],
            f"{100 * row['mac_fraction']:.1f} %",
            ", ".join(f"{group} {width}" for group, width in row["widths"].items()),
            *(f"{100 * row[f'accuracy_{when}']:.1f} %" for when in _STAGES),
        ]
        for row in read_rows("vision_transformer")
    ]
    header = ["network", "seed", "true MACs", "widths", "pretrained", "nested", "trained jointly"]
    return table(header, rows)


ACCURACY_TABLES: dict[str, Callable[[], str]] = {
    "choice": choice,
    "utility": utility,
    "vision_transformer": vision_transformer,
    **{f"accuracy_{name}": accuracy_of(name) for name in PAPER},
    **{f"accuracy_ten_{name}": accuracy_of(name, ten=True) for name in PAPER},
    **{f"ablation_{name}": ablation_of(name) for name in TRAININGS},
}
