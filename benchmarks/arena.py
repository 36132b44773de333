"""How near the arena of every int8 network of the zoo comes to what is live, beside TFLM's arena.

    python -m benchmarks.arena [NETWORK ...]

Each network is nested untrained (25, 50, 75 and 100 % of the MACs, random importance: an arena
depends on the widths alone) and lowered for an image cut to each subnet. TFLM's arenas are those of
the full network as a stock `.tflite`, and of all subnets with our custom ops, in the tflite-micro
wheel on this 64-bit host, whose structures are larger than a microcontroller's. Rows go into
docs/results/arena.json.
"""

import argparse
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np

from benchmarks.rows import replace_rows, versions
from tflm_reds.codegen.lower import SLACK, lower
from tflm_reds.codegen.passes.place import lower_bound
from tflm_reds.codegen.passes.plan_arena import tensor_blocks
from tflm_reds.codegen.program import Program, arena_bytes
from tflm_reds.errors import QuantizationError
from tflm_reds.keras_reader import read_model
from tflm_reds.nested_model import NestedModel
from tflm_reds.nesting import plan_graph
from tflm_reds.quantization import check_int8_form, quantize
from tflm_reds.quantized import QuantizedNet
from tflm_reds.score import Scores
from tflm_reds.tflm_verify import arena_bytes as arena_bytes_in_tflm
from tflm_reds.tflm_verify import write_models
from tflm_reds.tflm_wheel import find_wheel
from tflm_reds.zoo import ZOO, load_zoo

BUDGETS = (0.25, 0.5, 0.75)
SEED = 0


def quantized(name: str) -> QuantizedNet:
    """The network called `name`, nested by random importance.

    Raises:
        QuantizationError: if it has no int8 form.
    """
    model, _ = load_zoo(name)
    graph, weights = read_model(model)
    check_int8_form(graph)
    random = np.random.default_rng(SEED)
    values = {
        group: np.sort(random.lognormal(size=size))[::-1] for group, size in graph.groups.items()
    }
    plan = plan_graph(graph, Scores(values, "random", samples=1), BUDGETS)
    x = random.random((4, *graph.nodes[0].shape)).astype(np.float32)
    return quantize(NestedModel.from_weights(graph, weights, plan), x, name)


def tflm_arenas(net: QuantizedNet) -> dict[str, int]:
    """Bytes that TFLM allocates on this host: for the full network, and for all subnets."""
    wheel = find_wheel()
    with tempfile.TemporaryDirectory() as folder:
        models = {goal: write_models(net, Path(folder) / goal, goal) for goal in SLACK}
        full = arena_bytes_in_tflm(models["ram"].full, wheel)
        reds = {f"tflm_reds_{g}": arena_bytes_in_tflm(m.reds, wheel) for g, m in models.items()}
    return {"tflm_host": full, **reds}


def apart_bytes(program: Program) -> int:
    """The most that is live during one op where no output runs into its input, but for in place."""
    return lower_bound([replace(block, reach={}) for block in tensor_blocks(program)], granule=1)


def rows_of(name: str, command: str) -> Iterator[dict]:
    """A row for each subnet."""
    net = quantized(name)
    tflm = tflm_arenas(net)
    programs = {goal: lower(net, goal) for goal in SLACK}
    for k in range(net.subnet_count):
        yield {
            "name": name,
            "subnet": k,
            "live_bytes": programs["ram"].live_sizes[k],
            "apart_bytes": apart_bytes(lower(net.keep(range(k + 1)))),
            **{goal: arena_bytes(program, k) for goal, program in programs.items()},
            **(tflm if k == net.subnet_count - 1 else dict.fromkeys(tflm)),
            "seed": SEED,
            "versions": versions("keras", "tensorflow", "numpy"),
            "command": command,
        }


def main() -> None:
    """The networks named on the command line, or all that have an int8 form."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("networks", nargs="*", default=sorted(ZOO), help="default: all")
    for name in parser.parse_args().networks:
        try:
            rows = list(rows_of(name, "python -m benchmarks.arena"))
        except QuantizationError as error:
            print(f"{name}: {error}")
            continue
        print({key: rows[-1][key] for key in ("name", "live_bytes", "ram", "speed", "tflm_host")})
        replace_rows("arena", rows, "name")


if __name__ == "__main__":
    sys.exit(main())
