"""LayerGraph: the network as nodes and channel groups, without weights and without Keras.

A *channel group* is the set of tensor axes that must be permuted and cut together: the output
axis of the layer that makes the channels, its bias and batch-norm, the depthwise layers they pass
through, and the input axes of the layers that read them. An Add ties the channels of its inputs
into one group. `select_units` is the one operation on groups: a permutation of all units sorts a
network, a prefix of them cuts a subnet.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from functools import cached_property
from itertools import product
from math import prod
from pathlib import Path

import numpy as np

from tflm_reds.channels import Axis, Part, Parts
from tflm_reds.errors import ModelError
from tflm_reds.files import write_text
from tflm_reds.solvers.problem import MacTerm, count_macs

Weights = Mapping[str, np.ndarray]
"""Float32 arrays by "node/kind"; kinds: kernel, bias, gamma, beta, mean, variance, alpha,
embedding."""

BATCH_NORM_WEIGHTS = ("gamma", "beta", "mean", "variance")
"""Kinds of a batch_norm node's weights, in Keras's order."""

LINEAR_OPS = ("conv2d", "depthwise_conv2d", "dense")

NORM_OPS = ("batch_norm", "layer_norm")
"""Nodes whose weights each subnet has of its own."""

_WEIGHT_KINDS = {
    "batch_norm": BATCH_NORM_WEIGHTS,
    "layer_norm": ("gamma", "beta"),
    "prelu": ("alpha",),
    "position_embedding": ("embedding",),
}


@dataclass(frozen=True)
class Node:
    """One step of the network.

    Attributes:
        name: unique; from the Keras layer.
        op: input, conv2d, depthwise_conv2d, dense, batch_norm, relu, relu6, leaky_relu, prelu,
            hard_swish, add, concatenate, max_pool, average_pool, mean, pad, flatten, reshape,
            softmax; float only: layer_norm, gelu, position_embedding, attention, token_mean.
        inputs: names of the nodes it reads.
        shape: full output shape without the batch.
        parts: the channel groups of the last axis.
        positions: spatial positions that a flattened last axis holds for each channel,
            index = position * channels + channel.
        kernel, stride, dilation: (height, width); `kernel` is also the pooling window.
        multiplier: of a depthwise convolution: output channel = input channel * multiplier + j.
        padding: "same" or "valid".
        pads: (top, bottom, left, right), for `pad`.
        slope: of leaky_relu.
        epsilon: of batch_norm and layer_norm.
        bias: whether a linear layer has one.
        key_dim, value_dim: channels of a head in attention, which reads query, key and value.
    """

    name: str
    op: str
    inputs: tuple[str, ...]
    shape: tuple[int, ...]
    parts: Parts
    positions: int = 1
    kernel: tuple[int, int] = (1, 1)
    stride: tuple[int, int] = (1, 1)
    dilation: tuple[int, int] = (1, 1)
    multiplier: int = 1
    padding: str = "valid"
    pads: tuple[int, int, int, int] = (0, 0, 0, 0)
    slope: float = 0.0
    epsilon: float = 1e-3
    bias: bool = False
    key_dim: int = 0
    value_dim: int = 0

    @property
    def channels(self) -> int:
        """Channels of the full network (features / positions)."""
        return self.shape[-1] // self.positions

    @property
    def weight_kinds(self) -> tuple[str, ...]:
        """Kinds of the node's weights, in the order of the Keras layer's."""
        if self.op in LINEAR_OPS:
            return ("kernel", "bias") if self.bias else ("kernel",)
        return _WEIGHT_KINDS.get(self.op, ())

    def active_channels(self, widths: Mapping[str, int]) -> int:
        """Channels that remain at `widths`."""
        return sum(part.active(widths) for part in self.parts)

    @property
    def group(self) -> str | None:
        """The channel group of the last axis if it has one part; None if it is never cut.

        Raises:
            ValueError: after Concatenate, where the channels belong to several groups.
        """
        (part,) = self.parts
        return part.group


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
        parts = (part for node in self.nodes for part in node.parts)
        return {part.group: part.size for part in parts if part.group is not None}

    @cached_property
    def weight_axes(self) -> tuple[Axis, ...]:
        """Every axis of every weight that holds channels."""
        return tuple(axis for node in self.nodes for axis in self._node_axes(node))

    @cached_property
    def axes(self) -> dict[str, tuple[Axis, ...]]:
        """The weight axes of each group."""
        return {
            group: tuple(a for a in self.weight_axes if group in {p.group for p in a.parts})
            for group in self.groups
        }

    def _node_axes(self, node: Node) -> list[Axis]:
        def axis(kind: str, number: int = 0, of: Node = node, **options) -> Axis:
            return Axis(f"{node.name}/{kind}", number, of.parts, **options)

        if node.op == "position_embedding":
            return [axis("embedding", 1)]
        if node.op not in LINEAR_OPS:
            return [axis(kind) for kind in node.weight_kinds]
        source, bias = self.source(node), [axis("bias")] * node.bias
        if node.op == "depthwise_conv2d":
            return [axis("kernel", 2, source, makes=True), *bias]
        last = 3 if node.op == "conv2d" else 1
        reads = axis("kernel", last - 1, source, positions=source.positions)
        return [reads, axis("kernel", last, makes=True), *bias]

    def mac_terms(self) -> tuple[MacTerm, ...]:
        """True multiply-accumulates of the layers as products of widths (padding taps counted).

        A layer that reads concatenated channels has one term for each part.
        """
        return tuple(term for node in self.nodes for term in self._node_terms(node))

    def _node_terms(self, node: Node) -> list[MacTerm]:
        if node.op == "attention":
            return _attention_terms(node)
        if node.op not in LINEAR_OPS:
            return []
        source, outputs = self.source(node), prod(node.shape[:-1])
        each = outputs * (source.positions if node.op == "dense" else prod(node.kernel))
        factors = [node.parts] if node.op == "depthwise_conv2d" else [source.parts, node.parts]
        return [_mac_term(node.name, each, parts) for parts in product(*factors)]

    def macs(self, widths: Mapping[str, int] | None = None) -> int:
        """True MACs at `widths` (default: the full network)."""
        return count_macs(self.mac_terms(), widths or self.groups)

    def cut(self, widths: Mapping[str, int]) -> "LayerGraph":
        """The same graph with each group narrowed to its width."""
        return LayerGraph(tuple(_cut_node(node, widths) for node in self.nodes))

    def to_dict(self) -> list[dict]:
        """JSON-ready form."""
        return [asdict(node) for node in self.nodes]

    @classmethod
    def from_dict(cls, nodes: Sequence[Mapping]) -> "LayerGraph":
        """Inverse of `to_dict`."""
        return cls(tuple(_node_from_dict(node) for node in nodes))

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
        except (OSError, ValueError, TypeError, KeyError) as error:
            raise ModelError(f"{path} is not a layer graph ({error}). Save it again.") from error


def select_units(
    graph: LayerGraph, weights: Weights, units: Mapping[str, np.ndarray]
) -> dict[str, np.ndarray]:
    """Keep `units[group]` (indices, in this order) on every axis of each group named.

    A permutation of all units leaves the network's function unchanged; a prefix cuts a subnet.
    """
    selected = dict(weights)
    for axis in graph.weight_axes:
        if any(part.group in units for part in axis.parts):
            array = selected[axis.weight]
            selected[axis.weight] = np.take(array, axis.indices(units), axis.axis)
    return selected


def slice_weights(
    graph: LayerGraph, weights: Weights, widths: Mapping[str, int]
) -> dict[str, np.ndarray]:
    """The leading `widths[group]` units of every group."""
    return select_units(graph, weights, {group: np.arange(n) for group, n in widths.items()})


def _mac_term(layer: str, coefficient: int, parts: Sequence[Part]) -> MacTerm:
    """MACs of one pair of parts (one part if depthwise): those of all their channels."""
    each = prod(part.channels if part.group is None else part.block for part in parts)
    groups = tuple(part.group for part in parts if part.group is not None)
    return MacTerm(layer, coefficient * each, groups)


def _attention_terms(node: Node) -> list[MacTerm]:
    """q k^T and its product with v: tokens^2 * (key_dim + value_dim) for each head."""
    each = node.shape[0] ** 2 * (node.key_dim + node.value_dim)
    terms = [_mac_term(node.name, each, (part,)) for part in node.parts]  # for each channel of v
    return [replace(term, coefficient=term.coefficient // node.value_dim) for term in terms]


def _cut_node(node: Node, widths: Mapping[str, int]) -> Node:
    parts = tuple(
        part if part.group is None else replace(part, size=widths[part.group])
        for part in node.parts
    )
    features = node.positions * node.active_channels(widths)
    return replace(node, shape=(*node.shape[:-1], features), parts=parts)


def _node_from_dict(content: Mapping) -> Node:
    fields = {k: tuple(v) if isinstance(v, list) else v for k, v in content.items()}
    if "parts" in fields:
        fields["parts"] = tuple(Part(**part) for part in fields["parts"])
    else:  # files of earlier versions: one group at most
        channels = fields["shape"][-1] // fields["positions"]
        fields["parts"] = (Part(fields.pop("group"), channels),)
    return Node(**fields)
