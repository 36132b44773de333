"""LayerGraph: the network as nodes and channel groups, without weights and without Keras.

A *channel group* is the set of tensor axes that must be permuted and cut together: the output
axis of the layer that makes the channels, its bias and batch-norm, the depthwise layers they pass
through, and the input axes of the layers that read them. `select_units` is the one operation on
groups: a permutation of all units sorts a network, a prefix of them cuts a subnet.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from functools import cached_property
from pathlib import Path

import numpy as np

from tflm_reds.errors import ModelError
from tflm_reds.files import write_text
from tflm_reds.solvers.problem import MacTerm, count_macs

Weights = Mapping[str, np.ndarray]
"""Float32 arrays by "node/kind"; kinds: kernel, bias, gamma, beta, mean, variance."""

BATCH_NORM_WEIGHTS = ("gamma", "beta", "mean", "variance")
"""Kinds of a batch_norm node's weights, in Keras's order."""

LINEAR_OPS = ("conv2d", "depthwise_conv2d", "dense")


@dataclass(frozen=True)
class Node:
    """One step of the network.

    Attributes:
        name: unique; from the Keras layer.
        op: input, conv2d, depthwise_conv2d, dense, batch_norm, relu, relu6, leaky_relu, max_pool,
            average_pool, mean, pad, flatten, reshape or softmax.
        inputs: names of the nodes it reads.
        shape: full output shape without the batch.
        group: the channel group of the last axis, None if it is never cut.
        positions: spatial positions that a flattened last axis holds for each channel.
        kernel, stride, dilation: (height, width); `kernel` is also the pooling window.
        padding: "same" or "valid".
        pads: (top, bottom, left, right), for `pad`.
        slope: of leaky_relu.
        epsilon: of batch_norm.
        bias: whether a linear layer has one.
    """

    name: str
    op: str
    inputs: tuple[str, ...]
    shape: tuple[int, ...]
    group: str | None = None
    positions: int = 1
    kernel: tuple[int, int] = (1, 1)
    stride: tuple[int, int] = (1, 1)
    dilation: tuple[int, int] = (1, 1)
    padding: str = "valid"
    pads: tuple[int, int, int, int] = (0, 0, 0, 0)
    slope: float = 0.0
    epsilon: float = 1e-3
    bias: bool = False

    @property
    def channels(self) -> int:
        """Channels of the full network (features / positions)."""
        return self.shape[-1] // self.positions


@dataclass(frozen=True)
class Axis:
    """One axis of one weight array that belongs to a group.

    `positions` > 1: the axis is position-major, index = position * size + unit (Flatten).
    `makes`: the weights on this axis make the unit (count for its importance), rather than read it.
    """

    weight: str
    axis: int
    positions: int = 1
    makes: bool = False


@dataclass(frozen=True)
class LayerGraph:
    """Nodes in execution order; the first is the input, the last makes the output."""

    nodes: tuple[Node, ...]

    def __getitem__(self, name: str) -> Node:
        return self._by_name[name]

    @cached_property
    def _by_name(self) -> dict[str, Node]:
        return {node.name: node for node in self.nodes}

    def source(self, node: Node) -> Node:
        """The (first) node that `node` reads."""
        return self[node.inputs[0]]

    @cached_property
    def groups(self) -> dict[str, int]:
        """Full size of each cuttable channel group, in order of execution."""
        return {node.group: node.channels for node in self.nodes if node.group is not None}

    @cached_property
    def axes(self) -> dict[str, tuple[Axis, ...]]:
        """The weight axes of each group."""
        found: dict[str, list[Axis]] = {group: [] for group in self.groups}
        for node in self.nodes:
            for group, axis in self._node_axes(node):
                if group is not None:
                    found[group].append(axis)
        return {group: tuple(axes) for group, axes in found.items()}

    def _node_axes(self, node: Node) -> list[tuple[str | None, Axis]]:
        if node.op == "batch_norm":
            names = [f"{node.name}/{kind}" for kind in BATCH_NORM_WEIGHTS]
            return [(node.group, Axis(name, 0)) for name in names]
        if node.op not in LINEAR_OPS:
            return []
        kernel = f"{node.name}/kernel"
        if node.op == "depthwise_conv2d":
            axes = [(node.group, Axis(kernel, 2, makes=True))]
        else:
            source, last = self.source(node), 3 if node.op == "conv2d" else 1
            axes = [
                (source.group, Axis(kernel, last - 1, source.positions)),
                (node.group, Axis(kernel, last, makes=True)),
            ]
        return axes + [(node.group, Axis(f"{node.name}/bias", 0))] * node.bias

    def mac_terms(self) -> tuple[MacTerm, ...]:
        """True multiply-accumulates of each layer as a product of widths (padding taps counted)."""
        return tuple(self._mac_term(node) for node in self.nodes if node.op in LINEAR_OPS)

    def _mac_term(self, node: Node) -> MacTerm:
        source = self.source(node)
        if node.op == "dense":
            coefficient, factors = source.positions, (source, node)
        elif node.op == "conv2d":
            coefficient, factors = _window_macs(node), (source, node)
        else:
            coefficient, factors = _window_macs(node), (node,)
        for factor in factors:
            coefficient *= factor.channels if factor.group is None else 1
        groups = tuple(factor.group for factor in factors if factor.group is not None)
        return MacTerm(node.name, coefficient, groups)

    def macs(self, widths: Mapping[str, int] | None = None) -> int:
        """True MACs at `widths` (default: the full network)."""
        return count_macs(self.mac_terms(), widths or self.groups)

    def cut(self, widths: Mapping[str, int]) -> "LayerGraph":
        """The same graph with each group narrowed to its width."""
        return LayerGraph(
            tuple(
                node
                if node.group is None
                else replace(node, shape=(*node.shape[:-1], node.positions * widths[node.group]))
                for node in self.nodes
            )
        )

    def to_dict(self) -> list[dict]:
        """JSON-ready form."""
        return [asdict(node) for node in self.nodes]

    @classmethod
    def from_dict(cls, nodes: Sequence[Mapping]) -> "LayerGraph":
        """Inverse of `to_dict`."""
        return cls(
            tuple(
                Node(**{k: tuple(v) if isinstance(v, list) else v for k, v in node.items()})
                for node in nodes
            )
        )

    def save(self, path: str | Path) -> Path:
        """Write the graph as JSON."""
        return write_text(path, json.dumps(self.to_dict(), indent=1))

    @classmethod
    def load(cls, path: str | Path) -> "LayerGraph":
        """Read a file written by `save`.

        Raises:
            ModelError: if the file is missing or corrupt.
        """
        try:
            return cls.from_dict(json.loads(Path(path).read_text()))
        except (OSError, ValueError, TypeError) as error:
            raise ModelError(f"{path} is not a layer graph ({error}). Save it again.") from error


def select_units(
    graph: LayerGraph, weights: Weights, units: Mapping[str, np.ndarray]
) -> dict[str, np.ndarray]:
    """Keep `units[group]` (indices, in this order) on every axis of each group named.

    A permutation of all units leaves the network's function unchanged; a prefix cuts a subnet.
    """
    selected = dict(weights)
    for group, order in units.items():
        for axis in graph.axes[group]:
            indices = _axis_indices(axis, np.asarray(order), graph.groups[group])
            selected[axis.weight] = np.take(selected[axis.weight], indices, axis.axis)
    return selected


def slice_weights(
    graph: LayerGraph, weights: Weights, widths: Mapping[str, int]
) -> dict[str, np.ndarray]:
    """The leading `widths[group]` units of every group."""
    return select_units(graph, weights, {group: np.arange(n) for group, n in widths.items()})


def _axis_indices(axis: Axis, order: np.ndarray, size: int) -> np.ndarray:
    return (np.arange(axis.positions)[:, None] * size + order[None, :]).ravel()


def _window_macs(node: Node) -> int:
    return int(np.prod(node.shape[:2])) * node.kernel[0] * node.kernel[1]
