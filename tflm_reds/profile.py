"""`python -m tflm_reds.profile`: a LatencyTable of a network on a board, for plans by time."""

import argparse
import os
import sys
from pathlib import Path

from tflm_reds.command import run_command


def parse_arguments(arguments: list[str] | None = None) -> argparse.Namespace:
    """Parse the command line."""
    parser = argparse.ArgumentParser(
        prog="python -m tflm_reds.profile",
        description="Tabulate the modelled times of a network's layers on a board, for budgets in "
        "milliseconds and microjoules: build --latency TABLE --ms 20 40.",
    )
    parser.add_argument("model", type=Path, help="a .keras file, trained or not")
    parser.add_argument("--board", default="nano33ble", help="board name or .toml file")
    parser.add_argument("--out", type=Path, help="(default: <model>_<board>.json)")
    parser.add_argument("--points", type=int, help="most widths of a grid (default: 12)")
    parser.add_argument("--optimize", choices=["speed", "ram"], default="speed")
    return parser.parse_args(arguments)


def main(arguments: list[str] | None = None) -> int:
    """Run the command; return its exit status."""
    parsed = parse_arguments(arguments)
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    return run_command(lambda: _profile(parsed))


def _profile(parsed: argparse.Namespace) -> None:
    # TensorFlow takes seconds to import: --help must not wait for it.
    from tflm_reds.keras_reader import load_model
    from tflm_reds.profiling import POINTS, profile, summary

    out = parsed.out or Path(f"{parsed.model.stem}_{Path(parsed.board).stem}.json")
    points = POINTS if parsed.points is None else parsed.points
    model = load_model(parsed.model)
    table = profile(model, parsed.board, points, parsed.optimize)
    print(f"{summary(table)}\nwritten to {table.save(out)}")


if __name__ == "__main__":
    sys.exit(main())
