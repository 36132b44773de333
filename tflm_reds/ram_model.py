"""How many bytes of the arena each op needs at least, as a function of the widths.

The arena (`codegen.passes.plan_arena`) holds every activation tensor from the op that makes it to
the last one that reads it, and scratch memory during one op; the network's input and output are the
caller's. A term is the sum of what is live during one op, in blocks of 16 B: what no placement can
do without. The real arena may be larger where blocks do not fit together; `measured_costs` tells.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from math import prod
from typing import Any

import numpy as np

from tflm_reds.channels import Part
from tflm_reds.codegen.packing import segments_of
from tflm_reds.codegen.passes.place import align
from tflm_reds.codegen.passes.select_kernels import (
    depthwise_scratch_bytes,
    is_depthwise_3x3,
    is_narrow,
    part_bytes,
    scratch_bytes,
)
from tflm_reds.graph import LayerGraph, Node

FUSED = ("batch_norm", "relu", "relu6")
IN_PLACE = (*FUSED, "leaky_relu", "hard_swish", "prelu", "softmax", "add")
VIEWS = ("flatten", "reshape")


@dataclass(frozen=True)
class RamTerm:
    """Bytes that are live during one op: a constant, and a table over the width of each group.

    Attributes:
        layer: name of the op.
        constant: bytes that do not depend on widths.
        tables: int64 bytes for the widths 0 to size of each group.
    """

    layer: str
    constant: int
    tables: Mapping[str, np.ndarray] = field(compare=False)
    separable = True

    @property
    def groups(self) -> tuple[str, ...]:
        """Groups of the live tensors."""
        return tuple(self.tables)

    def cost(self, *widths: Any) -> Any:
        """Bytes at one width of each group."""
        pairs = zip(self.tables.values(), widths, strict=True)
        return sum((table[width] for table, width in pairs), self.constant)


def ram_terms(graph: LayerGraph) -> tuple[RamTerm, ...]:
    """A term for each op that makes a tensor or needs scratch memory."""
    owners = _owners(graph)
    lives = _lives(graph, owners)
    outside = {owners[graph.nodes[0].name], owners[graph.nodes[-1].name]}
    terms = []
    for time, node in enumerate(graph.nodes):
        if node.op in FUSED or node.op == "input":
            continue
        live = [graph[n] for n, (first, last) in lives.items() if first <= time <= last]
        tensors = [_tensor_bytes(tensor) for tensor in live if tensor.name not in outside]
        terms.append(_term(node.name, [*tensors, *_scratch(graph, node)]))
    return tuple(term for term in terms if term.groups or term.constant)


def _owners(graph: LayerGraph) -> dict[str, str]:
    """Name of the node whose bytes each node's output takes over; its own where it has memory."""
    owners: dict[str, str] = {}
    for time, node in enumerate(graph.nodes):
        shared = [s for s in node.inputs if _shares(graph, owners, time, node, s)]
        owners[node.name] = owners[shared[0]] if shared else node.name
    return owners


def _shares(
    graph: LayerGraph, owners: Mapping[str, str], time: int, node: Node, source: str
) -> bool:
    if node.op in VIEWS:
        return node.positions == graph[source].positions or not _is_cut(node)
    if node.op == "batch_norm":
        return True
    if node.op == "pad":
        readers = [reader for reader in graph.nodes if node.name in reader.inputs]
        return len(readers) == 1 and readers[0].op in ("conv2d", "depthwise_conv2d")
    later = graph.nodes[time + 1 :]
    read_again = any(owners.get(s) == owners[source] for reader in later for s in reader.inputs)
    in_place = node.op in IN_PLACE or _is_depthwise_in_place(graph, owners, node)
    return in_place and not read_again and owners[source] != graph.nodes[0].name


def _is_depthwise_3x3(node: Node) -> bool:
    shape = (node.kernel, node.stride, node.dilation, node.multiplier)
    return node.op == "depthwise_conv2d" and is_depthwise_3x3(*shape)


def _is_depthwise_in_place(graph: LayerGraph, owners: Mapping[str, str], node: Node) -> bool:
    """Whether the kernel for 3x3 windows may write over its input: the output has its size."""
    if not _is_depthwise_3x3(node) or node.stride != (1, 1):
        return False
    source = graph.source(node)
    if source.op == "pad" and owners[source.name] != source.name:
        source = graph.source(source)
    return source.shape == node.shape


def _is_cut(node: Node) -> bool:
    return any(part.group is not None for part in node.parts)


def _lives(graph: LayerGraph, owners: Mapping[str, str]) -> dict[str, tuple[int, int]]:
    """First and last node that use each tensor with memory of its own."""
    lives: dict[str, tuple[int, int]] = {}
    for time, node in enumerate(graph.nodes):
        for name in (*node.inputs, node.name):
            owner = owners[name]
            lives[owner] = (lives.get(owner, (time, time))[0], time)
    return lives


Piece = tuple[Part, np.ndarray]
"""Channels of one group, and the bytes for 0, 1, ... size of its units (uncut: for all)."""


def _tensor_bytes(node: Node) -> list[Piece]:
    """Every part rounded up to the alignment: exact for a tensor of one part."""
    each = prod(node.shape[:-1]) * node.positions
    return [
        (part, _aligned([each * part.block * n for n in range(part.size + 1)]))
        for part in node.parts
    ]


def _scratch(graph: LayerGraph, node: Node) -> list[list[Piece]]:
    if _is_depthwise_3x3(node):
        size = depthwise_scratch_bytes(node.shape[:2], node.stride)
        return [[(Part(None, 1), _aligned([0, size]))]]
    kernel = {"dense": "reds_fully_connected_s8", "conv2d": "reds_convolve_s8"}.get(node.op)
    if kernel is None:
        return []
    if node.op == "conv2d" and node.kernel == node.stride == (1, 1):
        kernel = "reds_convolve_1x1_s8"
    source = graph.source(node)
    is_cut = any(part.group for part in source.parts)
    if node.op == "conv2d" and is_narrow(node.kernel, node.dilation, source.shape[-1], is_cut):
        kernel = "reds_convolve_narrow_s8"
    window = (1, 1) if node.op == "dense" else node.kernel
    features = source.positions if node.op == "dense" else 1
    segments, _ = segments_of(window, source.shape[-1], is_cut)
    if kernel == "reds_convolve_s8" and segments > 1:
        return [_least_scratch(source)]
    return [[(p, _worst_scratch(kernel, window, p, features * p.block)) for p in source.parts]]


def _least_scratch(source: Node) -> list[Piece]:
    """Of a convolution that takes one tap at a time; the sums of its outputs are left out, because
    few channels take less for all taps at once."""
    return [
        (p, _aligned([part_bytes(1, n * p.block, 0) for n in range(p.size + 1)]))
        for p in source.parts
    ]


def _worst_scratch(kernel: str, window: tuple[int, int], part: Part, unit: int) -> np.ndarray:
    """Scratch for each width (a unit has `unit` features), narrower subnets included."""
    sizes = [0]
    for n in range(1, part.size + 1):
        stride, widest_cut = n * unit, (n - 1) * unit
        cut = scratch_bytes(kernel, window, widest_cut, stride) if part.group else 0
        sizes.append(max(scratch_bytes(kernel, window, stride, stride), cut))
    return _aligned(sizes)


def _aligned(sizes: list[int]) -> np.ndarray:
    return np.array([align(size) for size in sizes], np.int64)


def _term(layer: str, blocks: list[list[Piece]]) -> RamTerm:
    constant, tables = 0, {}
    for part, sizes in _pieces(blocks):
        if part.group is None:
            constant += int(sizes[-1])
        else:
            tables[part.group] = tables.get(part.group, 0) + sizes
    return RamTerm(layer, constant, tables)


def _pieces(blocks: list[list[Piece]]) -> Iterator[Piece]:
    for block in blocks:
        yield from block
