"""The tables of docs/kernels.md, from the rows of `kernels`, `assembled` and `ram_price`."""

from collections.abc import Callable, Iterable

from benchmarks.cmsis_nn import layer_figures
from benchmarks.configurations import ARDUINO, TUNED_CORES
from benchmarks.layers import LAYERS
from benchmarks.rows import read_rows, table
from tflm_reds.codegen.lower import SLACK

GOALS = {
    ("pointwise 64-64", 64): (1.20, 1.45, 1.25),
    ("pointwise 64-64", 16): (1.75, 2.10, 1.80),
    ("depthwise 3x3", 64): (2.3, 2.7, 2.3),
    ("depthwise 3x3", 16): (2.3, 2.7, 2.3),
    ("convolution 10x4 s2 1-64", 64): (1.30, 1.5, 1.35),
    ("convolution 10x4 s2 1-64", 16): (1.45, 1.75, 1.5),
    ("dense 144-144", 144): (1.2, 1.6, 1.45),
    ("dense 144-144", 36): (1.65, 2.2, 2.0),
}
"""(instructions, cycles) per MAC not to be passed, and the goal for cycles."""
NETWORK_GOALS = {64: (1.65, 1.45), 48: (1.75, 1.55), 32: (1.90, 1.70), 16: (2.25, 2.0)}
"""(cycles per MAC not to be passed, goal) of the whole DS-CNN S by width."""
LEAST_SPEEDUP, SPEEDUP_GOAL = 1.6, 2.0  # of the other networks over CMSIS-NN
ODD_LAYERS = ("pointwise 64-64", "depthwise 3x3", "convolution 10x4 s2 1-64")
ODD_WIDTHS = (17, 25, 33, 47)
SHOWN_WIDTHS = (16, 24, 32, 48, 64)  # of those measured at every width
CORES = ("cortex-m0", "cortex-m3", *TUNED_CORES)


def find(core: str = "cortex-m4f", compiler="gcc", flags="-O2", body="tuned") -> dict:
    """The rows of one configuration by (kernel, width)."""
    wanted = (core, compiler, flags, body)
    return {
        (row["kernel"], row["width"]): row
        for row in read_rows("kernels")
        if tuple(row[key] for key in ("core", "compiler", "flags", "body")) == wanted
    }


def per_mac(row: dict, key: str) -> float:
    """A figure per multiplication, or per value read where a kernel has none."""
    return row[key] / row["macs"]


def _cell(value: float | None) -> str:
    return "-" if value is None else f"{value:.2f}"


def verdict(value: float, limit: float, goal: float) -> str:
    """Where a figure lies."""
    if value <= goal:
        return "goal"
    return "within" if value <= limit else "missed"


def goals() -> str:
    """The layers with limits beside CMSIS-NN."""
    rows, measured = [], find()
    for (kernel, width), (instructions, cycles, goal) in GOALS.items():
        row = measured[kernel, width]
        ours = [per_mac(row, key) for key in ("instructions", "cycles_ws0", "cycles_ws2")]
        theirs = layer_figures(kernel, width)
        state = verdict(ours[1], cycles, goal) if ours[0] <= instructions else "missed"
        rows.append([kernel, width, *theirs, instructions, cycles, goal, *map(_cell, ours), state])
    header = ["layer", "width", "CMSIS-NN i", "c", "limit i", "c", "goal c", "ours i", "c"]
    return table([*header, "c, 2 wait states", ""], rows)


def layers() -> str:
    """Every layer and width on the Cortex-M4F by gcc."""
    rows, measured = [], find()
    for layer in LAYERS:
        for width in layer.widths:
            if len(layer.widths) > 10 and width not in SHOWN_WIDTHS:
                continue
            row = measured[layer.kernel, width]
            figures = [per_mac(row, k) for k in ("instructions", "cycles_ws0", "cycles_ws2")]
            theirs = layer_figures(layer.kernel, width)
            ratio = None if theirs[1] is None else theirs[1] / figures[1]
            cells = map(_cell, (*figures, *theirs, ratio))
            rows.append([layer.kernel, row["shape"], width, f"{row['macs']:,}", *cells])
    header = ["layer", "input", "width", "MACs", "i", "c", "c, 2 wait states", "CMSIS-NN i", "c"]
    return table([*header, "ratio c"], rows)


def cores() -> str:
    """Instructions on every core at full width; plain body over tuned one."""
    tuned = {c: find(c, body="tuned" if c in TUNED_CORES else "plain") for c in CORES}
    plain = {core: find(core, body="plain") for core in TUNED_CORES}
    rows = []
    for layer in LAYERS:
        key = (layer.kernel, max(layer.widths))
        cells = []
        for core in CORES:
            value = per_mac(tuned[core][key], "instructions")
            ratio = ""
            if core in plain:
                ratio = f" ({per_mac(plain[core][key], 'instructions') / value:.2f}x)"
            cells.append(_cell(value) + ratio)
        rows.append([layer.kernel, key[1], *cells])
    return table(["layer", "width", *(core.removeprefix("cortex-") for core in CORES)], rows)


def odd_widths() -> str:
    """Cycles per MAC of odd widths over those of the next multiple of 8."""
    rows, measured = [], find()

    def ratio(kernel: str, width: int) -> float:
        above = -(-width // 8) * 8
        return per_mac(measured[kernel, width], "cycles_ws0") / per_mac(
            measured[kernel, above], "cycles_ws0"
        )

    for kernel in ODD_LAYERS:
        cells = []
        for width in ODD_WIDTHS:
            value = per_mac(measured[kernel, width], "cycles_ws0")
            cells.append(f"{value:.2f} ({ratio(kernel, width):.2f}x)")
        worst = max(range(17, 64), key=lambda width: ratio(kernel, width))
        rows.append([kernel, *cells, f"{ratio(kernel, worst):.2f}x at {worst}"])
    return table(["layer", *map(str, ODD_WIDTHS), "worst of 17 to 63"], rows)


def compilers() -> str:
    """zig over gcc on every core, and Arduino's flags over ours, at full width."""
    pairs: dict[str, tuple[dict, dict]] = {
        "m4f, Arduino's flags": (find(flags=" ".join(ARDUINO)), find()),
    }
    for core in CORES:
        body = "tuned" if core in TUNED_CORES else "plain"
        name = f"{core.removeprefix('cortex-')}, zig"
        pairs[name] = find(core, "zig", body=body), find(core, body=body)
    lines = []
    for layer in LAYERS:
        key = (layer.kernel, max(layer.widths))
        counts = [[rows[key]["instructions"] for rows in pair] for pair in pairs.values()]
        lines.append([layer.kernel, *(f"{other / base:.2f}x" for other, base in counts)])
    return table(["layer", *pairs], lines)


def networks() -> str:
    """Whole networks beside TensorFlow Lite Micro with CMSIS-NN."""
    return table(
        [
            "network", "width", "MACs", "instructions", "cycles", "c/MAC", "c/MAC, 2 wait states",
            "CMSIS-NN cycles", "speed-up", "limit", "goal", "",
        ],
        [_network_cells(row) for row in read_rows("assembled") if row["cmsis_nn_cycles_ws0"]],
    )  # fmt: skip


def _network_cells(row: dict) -> Iterable[object]:
    cycles, theirs, width = row["cycles_ws0"], row["cmsis_nn_cycles_ws0"], row["width"]
    if width is None:
        limit, goal = theirs / LEAST_SPEEDUP, theirs / SPEEDUP_GOAL
        shown = [f"{LEAST_SPEEDUP:.1f}x", f"{SPEEDUP_GOAL:.1f}x"]
    else:
        limit, goal = (figure * row["macs"] for figure in NETWORK_GOALS[width])
        shown = [f"{figure:.2f} c/MAC" for figure in NETWORK_GOALS[width]]
    figures = [f"{row[key]:,}" for key in ("macs", "instructions", "cycles_ws0")]
    figures += [_cell(per_mac(row, key)) for key in ("cycles_ws0", "cycles_ws2")]
    speed = [f"{theirs:,}", f"{theirs / cycles:.2f}x"]
    return [row["name"], width or "full", *figures, *speed, *shown, verdict(cycles, limit, goal)]


def ram_price() -> str:
    """The arenas of whole images under both goals, and the cycles that the smaller one costs."""
    rows = []
    for row in read_rows("ram_price"):
        sizes = [f"{row[f'arena_{goal}']:,}" for goal in SLACK]
        cycles = [f"{row[f'cycles_{goal}']:,}" for goal in SLACK]
        ratio = f"{row['cycles_ram'] / row['cycles_speed']:.2f}x"
        rows.append([row["name"], row["width"] or "full", *sizes, *cycles, ratio])
    header = ["network", "width", *(f"arena B, {goal}" for goal in SLACK)]
    return table([*header, *(f"cycles, {goal}" for goal in SLACK), "ratio"], rows)


def planned() -> str:
    """The planned subnets of DS-CNN S, and the same with widths rounded up to multiples of 8."""
    exact, rounded = (
        [row for row in read_rows("assembled") if row["name"] == f"ds_cnn_s_kws_{kind}"]
        for kind in ("planned", "rounded")
    )
    rows = []
    for pair in zip(exact, rounded, strict=True):
        cycles = [per_mac(row, "cycles_ws0") for row in pair]
        widths = [", ".join(map(str, row["channels"])) for row in pair]
        cells = [widths[0], _cell(cycles[0]), widths[1], _cell(cycles[1])]
        rows.append([pair[0]["subnet"], *cells, f"{cycles[0] / cycles[1]:.2f}x"])
    return table(["subnet", "widths", "c/MAC", "rounded up", "c/MAC", "ratio"], rows)


KERNEL_TABLES: dict[str, Callable[[], str]] = {
    "kernel_goals": goals,
    "kernel_layers": layers,
    "kernel_cores": cores,
    "kernel_odd_widths": odd_widths,
    "kernel_planned": planned,
    "kernel_compilers": compilers,
    "kernel_networks": networks,
    "kernel_ram_price": ram_price,
}
