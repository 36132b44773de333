"""LatencyTable: the time of each layer on a board over a grid of its widths."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from tflm_reds.channels import Part, Parts
from tflm_reds.costs import NANOSECONDS
from tflm_reds.errors import PlanError
from tflm_reds.files import write_text
from tflm_reds.graph import LINEAR_OPS, LayerGraph, Node

SCHEMA = 1


@dataclass(frozen=True)
class LayerTimes:
    """Milliseconds of one layer.

    Attributes:
        inputs, outputs: grids of active channels, ascending; one value where the layer's time does
            not depend on it or it is never cut.
        ms: at each pair, rows for inputs: ms[i][j].
        periods: of inputs and outputs: kernels take some channels at a time, so that times rise in
            a pattern that repeats; only widths of the same remainder are interpolated.
    """

    inputs: tuple[int, ...]
    outputs: tuple[int, ...]
    ms: tuple[tuple[float, ...], ...]
    periods: tuple[int, int] = (1, 1)

    def __post_init__(self) -> None:
        table = np.array(self.ms, float)
        if table.shape != (len(self.inputs), len(self.outputs)) or not table.size:
            raise PlanError(
                f"A table of times has shape {table.shape}, its grids have {len(self.inputs)} "
                f"inputs and {len(self.outputs)} outputs. Give one time for each pair."
            )
        if not np.isfinite(table).all() or (table < 0).any():
            raise PlanError("A time is negative or not finite. Measure that layer again.")
        for grid in (self.inputs, self.outputs):
            if list(grid) != sorted(set(grid)):
                raise PlanError(f"The grid {grid} does not rise. Sort it, without duplicates.")

    def at(self, inputs: Any, outputs: Any) -> np.ndarray:
        """Interpolated milliseconds at active channels; beyond the grid, its edge."""
        table = np.array(self.ms)
        i, up, s = _locate(self.inputs, inputs, self.periods[0])
        j, right, t = _locate(self.outputs, outputs, self.periods[1])
        low = table[i, j] * (1 - t) + table[i, right] * t
        high = table[up, j] * (1 - t) + table[up, right] * t
        return low * (1 - s) + high * s


def _locate(grid: tuple[int, ...], value: Any, period: int) -> tuple[np.ndarray, ...]:
    """(index of the grid point at or below, index of the next one, share of the way to it)."""
    knots, value = np.array(grid), np.asarray(value)
    low, high, share = np.zeros(value.shape, int), np.zeros(value.shape, int), np.zeros(value.shape)
    for remainder in range(period):
        mine = value % period == remainder
        alike = np.flatnonzero(knots % period == remainder)
        if not len(alike):
            alike = np.arange(len(knots))
        position = np.interp(value[mine], knots[alike], np.arange(len(alike)))
        index = np.floor(position).astype(int)
        low[mine], high[mine] = alike[index], alike[np.minimum(index + 1, len(alike) - 1)]
        share[mine] = position - index
    return low, high, share


@dataclass(frozen=True)
class LatencyTable:
    """Times of the layers of one network on one board.

    Attributes:
        board: where the times are from: its name, or the path of its file.
        layers: by name of the Keras layer; layers that are not named take no time.
        power_mw: of the board while it computes, the upper edge; None where it is not documented.
        optimize: what the code was generated for, "speed" or "ram"; None for times that no code
            of ours was profiled for, so that `nest` cannot check a plan on a finished image.
    """

    board: str
    layers: Mapping[str, LayerTimes]
    power_mw: float | None = None
    optimize: str | None = None

    @classmethod
    def from_macs(
        cls, graph: LayerGraph, macs_per_ms: float, board: str = "MACs only"
    ) -> "LatencyTable":
        """A stand-in without measurements: every MAC takes the same time.

        Raises:
            PlanError: if `macs_per_ms` is not above 0.
        """
        if not macs_per_ms > 0:
            raise PlanError(f"{macs_per_ms:g} MACs per ms is no speed: it must be above 0.")
        linear = [node for node in graph.nodes if node.op in LINEAR_OPS]
        return cls(board, {n.name: _mac_times(graph, n, macs_per_ms) for n in linear})

    def terms(self, graph: LayerGraph) -> tuple["TimeTerm", ...]:
        """Nanoseconds of each layer as a function of the widths of `graph`.

        Raises:
            PlanError: if the table is not of this network.
        """
        names = {node.name for node in graph.nodes}
        missing = [n.name for n in graph.nodes if n.op in LINEAR_OPS and n.name not in self.layers]
        if unknown := [name for name in self.layers if name not in names] + missing:
            raise PlanError(
                f"The times of {self.board!r} are not of this network: {unknown[0]!r} is only in "
                "one of them. Profile this network, or take LatencyTable.from_macs(graph, ...)."
            )
        return tuple(
            TimeTerm(name, times, input_parts(graph, graph[name]), graph[name].parts)
            for name, times in self.layers.items()
        )

    def save(self, path: str | Path) -> Path:
        """Write the table as JSON, atomically."""
        layers = {name: vars(times) for name, times in self.layers.items()}
        content = {"schema": SCHEMA} | vars(self) | {"layers": layers}
        return write_text(path, json.dumps(content, indent=1) + "\n")

    @classmethod
    def load(cls, path: str | Path) -> "LatencyTable":
        """Read a file written by `save`.

        Raises:
            PlanError: if the file is missing, corrupt or of another schema.
        """
        try:
            content = json.loads(Path(path).read_text(encoding="utf-8"))
            if content["schema"] != SCHEMA:
                raise ValueError(f"schema {content['schema']}, expected {SCHEMA}")
            return cls(
                content["board"],
                {
                    name: LayerTimes(
                        tuple(t["inputs"]),
                        tuple(t["outputs"]),
                        tuple(map(tuple, t["ms"])),
                        tuple(t.get("periods", (1, 1))),
                    )
                    for name, t in content["layers"].items()
                },
                content.get("power_mw"),
                content.get("optimize"),
            )
        except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
            raise PlanError(f"{path} is no latency table ({error}). Profile again.") from error


@dataclass(frozen=True)
class TimeTerm:
    """Nanoseconds of one layer, rounded up.

    Attributes:
        layer: its name.
        times: its table.
        inputs, outputs: how its channels depend on the widths.
    """

    layer: str
    times: LayerTimes
    inputs: Parts
    outputs: Parts

    @property
    def groups(self) -> tuple[str, ...]:
        """Groups of the inputs and the outputs, each once."""
        parts = (*self.inputs, *self.outputs)
        return tuple(dict.fromkeys(part.group for part in parts if part.group is not None))

    def cost(self, *widths: Any) -> Any:
        """Nanoseconds at one width of each group."""
        by_group = dict(zip(self.groups, widths, strict=True))
        inputs, outputs = (
            sum((part.active(by_group) for part in parts), 0)
            for parts in (self.inputs, self.outputs)
        )
        return np.ceil(self.times.at(inputs, outputs) * NANOSECONDS).astype(np.int64)


def input_parts(graph: LayerGraph, node: Node) -> Parts:
    """Channels that the layer reads and its outputs do not tell."""
    if node.op in ("conv2d", "dense") and node.inputs:
        return graph.source(node).parts
    return (Part(None, 1),)


def _mac_times(graph: LayerGraph, node: Node, macs_per_ms: float) -> LayerTimes:
    """MACs are linear in the inputs and in the outputs: two grid points each are exact."""
    source = graph.source(node)
    each = source.positions if node.op == "dense" else int(np.prod(node.shape[:2] + node.kernel))
    inputs = sum(part.channels for part in input_parts(graph, node))
    corner = each * inputs * node.channels / macs_per_ms
    return LayerTimes((0, inputs), (0, node.channels), ((0.0, 0.0), (0.0, corner)))
