"""The tables of docs/boards.md: from the board files and the rows of `boards`."""

from collections.abc import Callable

from benchmarks.boards import TEN
from benchmarks.cmsis_nn import NETWORK_CYCLES
from benchmarks.rows import read_rows, table
from tflm_reds.boards.schema import Board, available_boards, load_board

PAPER_SECONDS = {
    "nano33ble": (0.886, 0.945, 1.156, 1.468, 1.557, 1.663, 1.946, 2.165, 2.180, 2.423),
    "cy8ckit_062s2": (0.334, 0.486, 0.672, 0.723, 0.753, 0.844, 0.932, 0.980, 1.025, 1.126),
}
"""Time of the float DS-CNN S by budget: REDS, appendix, figure 11 (read from its vectors)."""
FULL, FULL_WIDTH = "ds_cnn_s_kws", 64
PUBLISHED = (
    ("CMSIS-NN, microTVM, MLPerf Tiny v1.0", "NUCLEO-L4R5ZI, 120 MHz", 99.8, 120),
    ("X-CUBE-AI 10.2, MLPerf Tiny v1.3", "NUCLEO-L4R5ZI-P, 120 MHz", 43.4, 120),
    ("Plumerai 2023.05, MLPerf Tiny v1.1", "CY8CPROTO, 150 MHz", 54.1, 150),
)
"""(stack, board, milliseconds, MHz) of keyword spotting measured on silicon."""


def board_list() -> str:
    """Every board with what its file says."""
    rows = []
    for board in map(load_board, available_boards()):
        memory = [f"{size // 1024:,} KiB" for size in (board.flash.size, board.ram.size)]
        clock = f"{board.clock_hz / 1e6:g} MHz"
        rows.append([f"`{board.name}`", board.title, board.core, clock, *memory, _runs(board)])
    return table(["board", "", "core", "clock", "flash", "RAM", "simulators"], rows)


def _runs(board: Board) -> str:
    names = []
    for name in board.tools.simulators:
        machine = board.tools.qemu_machine or "relinked"
        names.append(f"QEMU ({machine})" if name == "qemu" else name.capitalize())
    return ", ".join(names)


def _figures() -> dict[tuple[str, str], dict]:
    return {(row["name"], row["board"]): row for row in read_rows("boards")}


def board_networks() -> str:
    """Instructions and modelled time of the full network, by network and board."""
    figures = _figures()
    names = list(dict.fromkeys(name for name, _ in figures if name != TEN))
    rows = [
        [board, *(_network_cell(figures[name, board]) for name in names)]
        for board in available_boards()
    ]
    return table(["board", *names], rows)


def _network_cell(row: dict) -> str:
    if row["not_available"]:
        return "n/a"
    millions = next(iter(row["instructions"].values()))[-1] / 1e6
    times = row["ms_modelled"][-1]
    interval = "no cycle model" if times is None else f"{times[0]:.1f} .. {times[1]:.1f} ms"
    return f"{millions:.2f} M, {interval}"


def board_missing() -> str:
    """Why cells are n/a."""
    rows = [
        [row["name"], row["board"], row["not_available"]]
        for row in read_rows("boards")
        if row["not_available"]
    ]
    return table(["network", "board", "reason"], rows) if rows else "None."


def board_agreement() -> str:
    """Of how many runs outputs and counts agree, by board."""
    rows = []
    for board in available_boards():
        mine = [r for r in read_rows("boards") if r["board"] == board and not r["not_available"]]
        simulators = {name for row in mine for name in row["instructions"]}
        subnets = sum(len(row["macs"]) for row in mine)
        differing = sum(sum(row["differing_bytes"].values()) for row in mine)
        equal = sum(len({tuple(c) for c in row["instructions"].values()}) == 1 for row in mine)
        relinked = any(row["relinked"] for row in mine)
        cells = [board, ", ".join(sorted(simulators)), "yes" if relinked else "no", len(mine)]
        rows.append([*cells, subnets, differing, f"{equal} of {len(mine)}"])
    header = ["board", "simulators", "relinked for QEMU", "networks", "subnets", "differing bytes"]
    return table([*header, "same counts"], rows)


def board_paper() -> str:
    """The ten subnets of DS-CNN S beside the paper's times in float."""
    figures = _figures()
    rows = []
    for k, label in enumerate(range(10, 101, 10)):
        cells = [f"{label} %", f"{figures[TEN, 'nano33ble']['macs'][k]:,}"]
        for board, seconds in PAPER_SECONDS.items():
            low, high = figures[TEN, board]["ms_modelled"][k]
            ratios = f"{1000 * seconds[k] / high:.0f} .. {1000 * seconds[k] / low:.0f}"
            cells += [f"{1000 * seconds[k]:,.0f}", f"{low:.1f} .. {high:.1f}", ratios]
        rows.append(cells)
    header = ["budget", "true MACs"]
    for board in ("Nano 33 BLE", "CY8CKIT-062S2"):
        header += [f"{board}: paper, float, ms", "ours, int8, modelled ms", "times faster"]
    return table(header, rows)


def board_published() -> str:
    """DS-CNN S at full width beside CMSIS-NN, modelled and on silicon."""
    row = _figures()[FULL, "nano33ble"]
    low, high = row["cycles_modelled"][-1]
    rows = [
        ["ours, modelled for the Nano 33 BLE", f"{low / 1e6:.2f} .. {high / 1e6:.2f} M"],
        ["CMSIS-NN, modelled, no wait states", f"{NETWORK_CYCLES[FULL][FULL_WIDTH] / 1e6:.2f} M"],
    ]
    for stack, board, milliseconds, mhz in PUBLISHED:
        rows.append([f"{stack}, measured on {board}", f"{milliseconds * mhz / 1000:.2f} M"])
    cells = [[name, cycles, _per_mac(cycles, row["macs"][-1])] for name, cycles in rows]
    return table(["DS-CNN S, 2,656,768 MACs", "cycles", "cycles per MAC"], cells)


def _per_mac(cycles: str, macs: int) -> str:
    values = [float(text) * 1e6 / macs for text in cycles.removesuffix(" M").split(" .. ")]
    return " .. ".join(f"{value:.2f}" for value in values)


BOARD_TABLES: dict[str, Callable[[], str]] = {
    "boards": board_list,
    "board_networks": board_networks,
    "board_missing": board_missing,
    "board_agreement": board_agreement,
    "board_paper": board_paper,
    "board_published": board_published,
}
