"""The governor on the example traces, on this machine and the simulated board; what it takes.

    python -m tflm_reds.build NESTED.keras --dataset kws --name ds_cnn_s_kws --epochs 0 \
        --data DIR --out build/ds_cnn_s_kws
    python -m benchmarks.governor build/ds_cnn_s_kws

Accuracies are those that the build measured on the whole test set; times and energies its modelled
ones. Writes docs/results/governor.json: rows of policies, and rows of instructions of a decision.
"""

import argparse
import struct
import sys
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import astuple
from itertools import product
from pathlib import Path

from machines import CortexM

from benchmarks.configurations import find_compiler
from benchmarks.rows import versions, write_rows
from tflm_reds.codegen.governor.files import FOLDER, SubnetCost, worthwhile
from tflm_reds.codegen.governor.library import UNLIMITED
from tflm_reds.governor import load_device, replay_on_host
from tflm_reds.replay_board import check_same, replay_on_board
from tflm_reds.replay_output import outcome_row
from tflm_reds.report import Report
from tflm_reds.traces import load_trace

TRACES = Path(__file__).parents[1] / "examples" / "governor"
SLOWDOWNS = (1.0, 1.3)
STATE_BYTES = 28


def replays(build: Path) -> Iterator[dict]:
    """A row for each trace, slowdown and policy; the governor's also ran on the simulated board."""
    model = Report.load(build / "report.json").model
    for name, slowdown in product(("busy", "harvest"), SLOWDOWNS):
        trace, device = load_trace(TRACES / f"{name}.csv"), load_device(build, slowdown)
        outcomes = replay_on_host(trace, device)
        with tempfile.TemporaryDirectory() as folder:
            board = replay_on_board(build, trace, device, Path(folder))
        check_same(outcomes[0], board)
        for outcome in outcomes:
            instructions = sum(board.instructions) if outcome.policy == "governor" else None
            yield {
                "name": model, "trace": name, "slowdown": slowdown, **outcome_row(outcome),
                "board_instructions": instructions,
            }  # fmt: skip


def decisions(core: str, compiler: str, flags: Sequence[str], costs: Sequence[SubnetCost]) -> dict:
    """Most instructions of a decision and of a correction, over a grid of limits."""
    choose, measured = [0], [0]
    with tempfile.TemporaryDirectory() as folder:
        machine = CortexM(
            [FOLDER / "reds_governor.c"], Path(folder), core=core, flags=flags,
            compiler=find_compiler(compiler),
        )  # fmt: skip
        table = b"".join(struct.pack("<4I", *astuple(cost)) for cost in costs)
        state = machine.place(bytes(STATE_BYTES))
        machine.call("reds_governor_init", state, machine.place(table, constant=True), len(costs))
        for limits in product((0, costs[1].time_us, 10**6, UNLIMITED), (0, 10**6), (0, 999, 1000)):
            available = machine.place(struct.pack("<3I", *limits))
            choose.append(machine.count_instructions("reds_governor_choose", state, available))
            cost = costs[-1]
            arguments = (state, cost.subnet, cost.time_us + limits[2])
            measured.append(machine.count_instructions("reds_governor_measured", *arguments))
    return {
        "core": core, "compiler": compiler, "flags": " ".join(flags) or "-O2",
        "subnets": len(costs), "choose": max(choose), "measured": max(measured),
    }  # fmt: skip


def main() -> None:
    """Write docs/results/governor.json."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("build", type=Path, help="folder of python -m tflm_reds.build")
    build = parser.parse_args().build
    costs = worthwhile(load_device(build).costs)
    rows = list(replays(build))
    for core, compiler in product(("cortex-m0", "cortex-m4f"), ("gcc", "zig")):
        rows += [decisions(core, compiler, flags, costs) for flags in ((), ("-Os",))]
    common = {
        "versions": versions("unicorn", "numpy"),
        "command": f"python -m benchmarks.governor build/{build.name}",
    }
    write_rows("governor", [row | common for row in rows])


if __name__ == "__main__":
    sys.exit(main())
