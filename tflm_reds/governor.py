"""`python -m tflm_reds.governor`: replay a trace of resources under the governor of a build."""

import argparse
import json
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from tflm_reds.codegen.governor.files import worthwhile
from tflm_reds.codegen.governor.library import Governor, GovernorLibrary
from tflm_reds.errors import DataError, RedsError, ToolchainError
from tflm_reds.files import staged_folder, write_text
from tflm_reds.replay import Device, Outcome, replay_all
from tflm_reds.replay_output import (
    NOTE,
    can_plot,
    outcome_row,
    render_outcomes,
    write_plot,
    write_steps,
)
from tflm_reds.report import Report
from tflm_reds.report.costs import subnet_costs
from tflm_reds.traces import Request, load_trace

EPILOG = """\
a trace is a CSV file with a row for each inference that is asked for:
  time_s,deadline_us,energy_uj,battery_permille
  0.0,42000,,950
time_s and one or more of the others; an empty cell is no limit. examples/governor holds one.

results, in --out:
  replay.md, replay.json   misses, accuracy and energy of the governor, of every static choice, and
                           of an oracle that knows the true costs
  steps.csv                what the governor chose for each request
  replay.png               the same as a plot, where matplotlib is installed
  firmware/                with --simulate: the image that replays the trace on the board
"""


def load_device(build: Path, slowdown: float = 1.0) -> Device:
    """The device of a build's report; its inferences take `slowdown` times the modelled.

    Raises:
        ModelError: if there is no report.
        DataError: if it holds no modelled times, or the slowdown is not between 1/16 and 16.
    """
    report = Report.load(build / "report.json")
    costs = subnet_costs(report)
    if not costs:
        raise DataError(
            f"The report of {build} has no modelled times. Build for a board whose core has a "
            "cycle model, such as nano33ble."
        )
    if not 1 / 16 <= slowdown <= 16:
        raise DataError(f"A slowdown of {slowdown:g} is not between 1/16 and 16.")
    return Device(costs, tuple(row.accuracy_int8 for row in report.subnets), slowdown)


def replay_on_host(trace: Sequence[Request], device: Device) -> tuple[Outcome, ...]:
    """All policies, the governor's first, with the C governor compiled for this machine.

    Raises:
        ToolchainError: if there is no C compiler.
    """
    with tempfile.TemporaryDirectory() as folder:
        governor = Governor(GovernorLibrary(folder), worthwhile(device.costs))
        return replay_all(trace, device, governor)


def run(arguments: argparse.Namespace) -> str:
    """Replay, write all results, and return the page that tells them.

    Raises:
        RedsError: what went wrong and the way out; nothing is written then.
    """
    trace, device = load_trace(arguments.trace), load_device(arguments.build, arguments.slowdown)
    with staged_folder(arguments.out, marker="replay.json") as folder:
        outcomes = replay_on_host(trace, device)
        parts = [
            f"# {arguments.trace.name}: {len(trace)} requests, slowdown {device.slowdown:g}",
            render_outcomes(outcomes),
            NOTE,
        ]
        if arguments.simulate:
            parts.append(_simulate(arguments, trace, device, outcomes[0], folder))
        write_steps(trace, outcomes[0], device, folder / "steps.csv")
        if can_plot():
            write_plot(trace, outcomes, device, folder / "replay.png")
        else:
            parts.append("No plot: matplotlib is missing (pip install 'tflm-reds[plot]').")
        page = "\n\n".join(parts)
        write_text(folder / "replay.md", page + "\n")
        rows = [outcome_row(outcome) for outcome in outcomes]
        write_text(folder / "replay.json", json.dumps(rows, indent=1) + "\n")
    return page


def _simulate(
    arguments: argparse.Namespace,
    trace: Sequence[Request],
    device: Device,
    host: Outcome,
    folder: Path,
) -> str:
    try:
        from tflm_reds.replay_board import check_same, replay_on_board
    except ModuleNotFoundError as error:
        raise ToolchainError(
            f"--simulate needs the package {error.name}. Run `pip install 'tflm-reds[sim]'`."
        ) from error
    build, board_file = arguments.build, arguments.board
    board = replay_on_board(build, trace, device, folder / "firmware", board_file)
    check_same(host, board)
    return (
        f"The simulated board chose the same {len(trace)} times; its inferences took "
        f"{sum(board.instructions):,} instructions (simulated)."
    )


def parse_arguments(arguments: list[str] | None = None) -> argparse.Namespace:
    """Parse the command line."""
    parser = argparse.ArgumentParser(
        prog="python -m tflm_reds.governor",
        description="Replay a trace of deadlines, energy budgets or battery levels: the governor "
        "of a build against every static choice of a subnet.",
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("build", type=Path, help="folder of python -m tflm_reds.build")
    parser.add_argument("trace", type=Path, help="a .csv file")
    parser.add_argument("--out", type=Path, required=True, help="folder of the results")
    parser.add_argument(
        "--slowdown",
        type=float,
        default=1.0,
        help="true time and energy over the modelled, which the governor must find out (default: "
        "1; silicon may need 1.4)",
    )
    parser.add_argument(
        "--simulate",
        action="store_true",
        help="also replay on the simulated board, with real inferences",
    )
    parser.add_argument("--board", help="the .toml file, if the build's board is one of your own")
    return parser.parse_args(arguments)


def main(arguments: list[str] | None = None) -> int:
    """Run the command; return its exit status (0, or the error's `exit_code`)."""
    parsed = parse_arguments(arguments)
    try:
        print(run(parsed))
    except RedsError as error:
        print(f"\n{type(error).__name__}: {error}", file=sys.stderr)
        return error.exit_code
    print(f"\nEverything is in {parsed.out}.")
    return 0


if __name__ == "__main__":
    sys.exit(main())
