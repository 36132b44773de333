"""Tables of docs/cycles.md and docs/latency.md."""

from collections.abc import Callable

from benchmarks.rows import read_rows, table

NAMES = {
    "kws": "DS-CNN (keywords)",
    "ic": "ResNet-8 (images)",
    "vww": "MobileNetV1 0.25 (person)",
    "ad": "autoencoder (anomaly)",
}


def published() -> str:
    """Modelled and published cycles of MLPerf Tiny's networks."""
    cells = []
    for row in read_rows("published"):
        low, high = row["cycles_modelled"]
        measured, core = row["published_cycles"], row["cycles_ws0"]
        outside = max(measured / high - 1, low / measured - 1, 0.0)
        verdict = "inside" if not outside else f"{100 * outside:.0f} % outside"
        interval = f"{low / 1e6:.2f} .. {high / 1e6:.2f} M"
        millions = [f"{cycles / 1e6:.2f} M" for cycles in (measured, core)]
        cells.append([NAMES[row["name"]], *millions, f"{measured / core:.2f}", interval, verdict])
    header = ["network", "published", "modelled core", "published / core", "modelled for the board"]
    return table([*header, "published lies"], cells)


def latency() -> str:
    """Budgets in milliseconds, and what the images take."""
    cells = []
    for row in read_rows("latency"):
        budget, high = row["budget_ms"], row["image_ms"]
        times = [f"{budget:.3f}", f"{row['table_ms']:.3f}", f"{row['low_ms']:.3f} .. {high:.3f}"]
        shares = [f"{high / budget:.3f}", f"{100 * row['mac_fraction']:.1f} %"]
        cells.append([row["name"], row["subnet"], *times, *shares])
    header = ["network", "subnet", "budget ms", "table ms", "image ms (modelled)", "used"]
    return table([*header, "of the MACs"], cells)


CYCLE_TABLES: dict[str, Callable[[], str]] = {"published": published, "latency": latency}
