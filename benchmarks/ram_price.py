"""What `--optimize ram` saves and costs: arenas and cycles of whole assembled networks.

    python -m benchmarks.ram_price [--data DIR] [NETWORK ...]

The images of `assembled`, with the kernels that each goal chooses; the arena is that of the whole
image. Rows go into docs/results/ram_price.json.
"""

import argparse
import sys
from collections.abc import Iterator
from pathlib import Path

from benchmarks.assembled import make_net, rows_of
from benchmarks.cmsis_nn import NETWORK_CYCLES
from benchmarks.rows import replace_rows
from tflm_reds.codegen.lower import SLACK, lower

COPIED = ("name", "subnet", "width", "macs", "core", "compiler", "seed", "versions")


def prices_of(name: str, data: Path | None) -> Iterator[dict]:
    """A row for each subnet of one network."""
    net = make_net(name, data)
    arenas = {f"arena_{goal}": lower(net, goal).arena_sizes[-1] for goal in SLACK}
    runs = [list(rows_of(name, net, goal)) for goal in SLACK]
    for rows in zip(*runs, strict=True):
        cycles = {f"cycles_{g}": row["cycles_ws0"] for g, row in zip(SLACK, rows, strict=True)}
        copied = {key: rows[0][key] for key in COPIED}
        yield copied | arenas | cycles | {"command": "python -m benchmarks.ram_price"}


def main() -> None:
    """Measure the networks named on the command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("networks", nargs="*", default=NETWORK_CYCLES)
    parser.add_argument("--data", type=Path)
    arguments = parser.parse_args()
    for name in arguments.networks:
        rows = list(prices_of(name, arguments.data))
        replace_rows("ram_price", rows, "name")
        for row in rows:
            print(name, row["width"], row["cycles_speed"], row["cycles_ram"])


if __name__ == "__main__":
    sys.exit(main())
