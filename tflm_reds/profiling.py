"""Times of a network's layers on a board over a grid of widths.

Each layer runs alone on the simulated board at every pair of input and output widths of its grid;
what is tabulated is the upper edge of its modelled time, the executor's share included.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from itertools import product
from math import lcm
from pathlib import Path

import keras
import numpy as np

from tflm_reds.boards.schema import Board, load_board
from tflm_reds.channels import Parts
from tflm_reds.codegen.lower import prepare
from tflm_reds.codegen.passes.select_kernels import Candidate, candidates
from tflm_reds.codegen.program import Op, Program
from tflm_reds.codegen.toolchain import target_compiler
from tflm_reds.codegen.tuning.alone import alone
from tflm_reds.codegen.tuning.cache import measure_cached
from tflm_reds.codegen.tuning.grid import at_widths
from tflm_reds.errors import PlanError
from tflm_reds.graph import LayerGraph
from tflm_reds.image_times import ImageTimes, image_times, require_cycle_model
from tflm_reds.keras_reader import read_model
from tflm_reds.latency import LatencyTable, LayerTimes, input_parts
from tflm_reds.nested_model import NestedModel
from tflm_reds.permute import fold_negative_gammas
from tflm_reds.plan import Plan
from tflm_reds.quantization import quantize
from tflm_reds.quantized import QuantizedNet

POINTS = 12
PERIOD = 4  # kernels take two or four channels at a time
SAMPLES = 8  # no time depends on the inputs' values


@dataclass(frozen=True)
class _Grid:
    """Where one op is measured; widths in channels of the layer's tensors."""

    op: Op
    layer: str
    inputs: tuple[int, ...]
    outputs: tuple[int, ...]
    periods: tuple[int, int]
    program: Program

    @property
    def size(self) -> int:
        return len(self.inputs) * len(self.outputs)


def profile(
    model: keras.Model, board: str | Path, points: int = POINTS, optimize: str = "speed"
) -> LatencyTable:
    """Measure every layer of `model` (trained or not) on a board.

    Args:
        board: its name, or the path of its TOML file.
        points: most widths along each axis of a grid; at least 8.
        optimize: as `lower` takes it.

    Raises:
        BoardError: for an unknown board, or one whose core has no cycle model.
        ModelError, QuantizationError: if the model cannot be read, or has no int8 form.
        PlanError: if there are too few points.
    """
    known = load_board(board)
    require_cycle_model(known)
    if points < 2 * PERIOD:
        raise PlanError(
            f"A grid of {points} widths cannot be interpolated: take at least {2 * PERIOD}."
        )
    graph, net = full_network(model)
    image = image_times(net, known, optimize)
    used = {op.name: op for op in image.program.ops}
    prepared = prepare(net)
    grids = [_grid(graph, prepared, op, used[op.name], points) for op in prepared.ops]
    milliseconds = 1000 / known.clock_hz
    executor = _executor_cycles(image)
    layers: dict[str, LayerTimes] = {}
    for grid, cycles in zip(grids, _measure(grids, known), strict=True):
        if not cycles:
            raise PlanError(
                f"The kernel of layer {grid.layer!r} refuses some of its widths: it cannot be "
                "profiled. Plan by MACs, RAM and flash."
            )
        table = (np.reshape(cycles, (len(grid.inputs), -1)) + executor) * milliseconds
        if grid.layer in layers:  # a sum of many tensors is several ops
            table = table + np.array(layers[grid.layer].ms)
        rows = tuple(map(tuple, table.tolist()))
        layers[grid.layer] = LayerTimes(grid.inputs, grid.outputs, rows, grid.periods)
    power = known.energy.power_mw[1] if known.energy else None
    return LatencyTable(str(board), layers, power, optimize)


def full_network(model: keras.Model) -> tuple[LayerGraph, QuantizedNet]:
    """The layers of `model`, and its int8 form without subnets, with any activation ranges."""
    if isinstance(model, NestedModel):
        model = model.subnet(model.subnet_count - 1)
    graph, weights = read_model(model)
    weights = fold_negative_gammas(graph, weights)
    plan = Plan.from_widths([graph.groups], [graph.macs(graph.groups)], [1.0])
    nested = NestedModel.from_weights(graph, weights, plan)
    x = np.random.default_rng(0).normal(size=(SAMPLES, *graph.nodes[0].shape))
    return graph, quantize(nested, x.astype(np.float32), ranges="minmax")


def _grid(graph: LayerGraph, program: Program, op: Op, used: Op, points: int) -> _Grid:
    layer = op.name.split(" + ")[0].split("/sum_")[0]
    node = graph[layer]
    parts = input_parts(graph, node), node.parts
    inputs, outputs = (_widths(axis, points) for axis in parts)
    periods = _period(parts[0]), _period(parts[1])
    # A flattened tensor has several features for each channel.
    i = program.edges[op.source].stride // inputs[-1]
    o = program.edges[op.target].stride // outputs[-1]
    pairs = [(i * a, o * b) for a, b in product(inputs, outputs)]
    alone_at = at_widths(program, op, pairs)
    (at,) = alone_at.ops
    program = alone(alone_at, at, _candidate(alone_at, at, used))
    return _Grid(op, layer, inputs, outputs, periods, program)


def _candidate(program: Program, op: Op, used: Op) -> Candidate:
    """The kernel of the full network's image, with no more scratch memory than it got there."""
    found = [one for one in candidates(program, op) if one.kernel == used.kernel]
    return next((one for one in found if one.scratch_bytes <= used.scratch_bytes), found[-1])


def _widths(parts: Parts, points: int) -> tuple[int, ...]:
    """At most about `points` channels in whole units: runs of PERIOD at both ends and between."""
    unit = lcm(*(part.block for part in parts))
    units = sum(part.channels for part in parts) // unit
    if all(part.group is None for part in parts):
        return (unit * units,)
    runs = points // PERIOD
    if units <= PERIOD * runs:
        return tuple(unit * n for n in range(1, units + 1))
    starts = np.linspace(1, units - PERIOD + 1, runs).astype(int).tolist()
    kept = {start + offset for start in starts for offset in range(PERIOD)}
    return tuple(unit * n for n in sorted(kept))


def _period(parts: Parts) -> int:
    return PERIOD * lcm(*(part.block for part in parts))


def _measure(grids: list[_Grid], board: Board) -> Iterable[tuple[int, ...]]:
    """Upper edge of the cycles at each point; programs with as many points share an image."""
    compiler, found = target_compiler(), {}
    for size in sorted({grid.size for grid in grids}):
        alike = [grid for grid in grids if grid.size == size]
        costs, _ = measure_cached([g.program for g in alike], board, compiler, "high")
        found |= {grid.op.name: cost for grid, cost in zip(alike, costs, strict=True)}
    return [found[grid.op.name] for grid in grids]


def _executor_cycles(image: ImageTimes) -> float:
    """What an op takes outside of its kernel's call, on the average."""
    (run,) = image.runs
    inside = sum(cycles.high for cycles in run.cycles_per_op.values())
    return max(0, run.cycles.high - inside) / len(run.cycles_per_op)


def summary(table: LatencyTable) -> str:
    """A line for each layer, and their sum: times of the full network."""
    full = {name: times.ms[-1][-1] for name, times in table.layers.items()}
    width = max(map(len, full))
    lines = [f"{name:<{width}}  {ms:9.3f} ms" for name, ms in full.items()]
    return "\n".join(
        [*lines, f"{'all':<{width}}  {sum(full.values()):9.3f} ms (modelled, upper edge)"]
    )
