"""How many bytes of the arena each op needs at least, as a function of the widths.

The arena (`codegen.passes.plan_arena`) holds every activation tensor from the op that makes it to
the last one that reads it, and scratch memory during one op; the network's input and output are the
caller's. A term is the sum of what is live at one moment of an op, in blocks of 16 B: what no
placement can do without. An op whose output runs into its input has several such moments: before
it, when the whole input is live; after it, when the whole output is; and some in between.

The real arena may be larger where blocks do not fit together: where widths along a chain of other
than pointwise convolutions fall and rise again, three tensors in a row cannot all run into each
other. `measured_costs` tells.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from math import prod
from typing import Any

import numpy as np

from tflm_reds.codegen.passes.overlap import corners, steps
from tflm_reds.graph import LayerGraph, Node
from tflm_reds.kernel_model import Piece, aligned, kernel_of, padding_of, scratch_pieces
from tflm_reds.tensor_lives import FUSED, TensorLives, tensor_lives, unpadded_source


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
    """Terms of each op that makes a tensor or needs scratch memory; the largest counts."""
    lives = tensor_lives(graph)
    terms = [
        _term(node.name, [*moment, *scratch_pieces(graph, node)])
        for time, node in enumerate(graph.nodes)
        if node.op not in (*FUSED, "input")
        for moment in _moments(graph, lives, time, node)
    ]
    return tuple(term for term in terms if term.groups or term.constant)


def _moments(graph: LayerGraph, lives: TensorLives, time: int, node: Node) -> list[list[Piece]]:
    """The pieces of what is live at each moment of `node` that may be the worst."""
    live = lives.at(time)
    pairs = _overlap(graph, lives, time, node)
    if pairs is None:
        return [_whole(graph, live)]
    source = unpadded_source(graph, node)
    others = _whole(graph, [n for n in live if n not in (node.name, lives.owners[source.name])])
    ends = [[*_whole(graph, [name]), *others] for name in (source.name, node.name)]
    between = [
        [*_tensor(node, written), *_tensor(source, left), *others] for written, left in pairs
    ]
    return [*ends, *between]


def _overlap(
    graph: LayerGraph, lives: TensorLives, time: int, node: Node
) -> list[tuple[int, int]] | None:
    """(positions written, positions still to be read) at moments between the start and the end of
    `node`; None where its output does not run into its input."""
    if not node.inputs or node.name not in lives.spans:
        return None
    source = unpadded_source(graph, node)
    if lives.owners[source.name] == node.name or not lives.ends(source.name, time):
        return None
    sizes = _size(source), _size(node)
    found = steps(kernel_of(graph, node), *sizes, node.stride, padding_of(graph, node))
    if found is None:
        return None
    written, needed = found
    left = prod(sizes[0]) - needed
    return [pair for pair in corners(zip(written.tolist(), left.tolist(), strict=True)) if pair[0]]


def _size(node: Node) -> tuple[int, int]:
    """(height, width)."""
    height, width = (1, 1, *node.shape)[-3:-1]
    return height, width


def _whole(graph: LayerGraph, names: Iterable[str]) -> list[Piece]:
    """Every part of a tensor rounded up to the alignment: exact for a tensor of one part."""
    tensors = [_tensor(graph[name], prod(_size(graph[name]))) for name in names]
    return [(part, aligned(sizes.tolist())) for pieces in tensors for part, sizes in pieces]


def _tensor(node: Node, positions: int) -> list[Piece]:
    """The bytes of some positions of a tensor, by its widths."""
    each = positions * node.positions
    return [
        (part, each * part.block * np.arange(part.size + 1, dtype=np.int64)) for part in node.parts
    ]


def _term(layer: str, pieces: Iterable[Piece]) -> RamTerm:
    constant, tables = 0, {}
    for part, sizes in pieces:
        if part.group is None:
            constant += int(sizes[-1])
        else:
            tables[part.group] = tables.get(part.group, 0) + sizes
    return RamTerm(layer, constant, tables)
