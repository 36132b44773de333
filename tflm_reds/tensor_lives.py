"""Which tensors of a LayerGraph have arena memory of their own, and during which nodes they live.

As `codegen.passes.plan_arena` does it for the generated code: the network's input and output are
the caller's, element-wise ops work in place, views and fused pads have no bytes of their own.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from tflm_reds.codegen.passes.select_kernels import is_depthwise_3x3
from tflm_reds.graph import LayerGraph, Node

FUSED = ("batch_norm", "relu", "relu6")
IN_PLACE = (*FUSED, "leaky_relu", "hard_swish", "prelu", "softmax", "add")
VIEWS = ("flatten", "reshape")

Span = tuple[int, int]
"""First and last node that use a tensor, by their numbers."""


@dataclass(frozen=True)
class TensorLives:
    """The tensors of a network.

    Attributes:
        owners: name of the node whose bytes each node's output takes over; its own where it has
            memory.
        spans: of each tensor in the arena, by the name of its owner.
    """

    owners: Mapping[str, str]
    spans: Mapping[str, Span]

    def at(self, time: int) -> list[str]:
        """Tensors that live during node number `time`."""
        return [name for name, (first, last) in self.spans.items() if first <= time <= last]

    def ends(self, name: str, time: int) -> bool:
        """Whether node number `time` is the last to use the arena memory of `name`."""
        owner = self.owners[name]
        return owner in self.spans and self.spans[owner][1] == time


def tensor_lives(graph: LayerGraph) -> TensorLives:
    """Owners and spans of the tensors of `graph`."""
    owners = _owners(graph)
    outside = {owners[graph.nodes[0].name], owners[graph.nodes[-1].name]}
    spans: dict[str, Span] = {}
    for time, node in enumerate(graph.nodes):
        for owner in (owners[name] for name in (*node.inputs, node.name)):
            if owner not in outside:
                spans[owner] = (spans.get(owner, (time, time))[0], time)
    return TensorLives(owners, spans)


def unpadded_source(graph: LayerGraph, node: Node) -> Node:
    """What the kernel of `node` reads: the node before a pad that is fused into it."""
    source = graph.source(node)
    return graph.source(source) if source.op == "pad" and is_fused_pad(graph, source) else source


def is_fused_pad(graph: LayerGraph, pad: Node) -> bool:
    """Whether the convolution that reads a pad takes it as padding of its own."""
    readers = [reader for reader in graph.nodes if pad.name in reader.inputs]
    return (
        len(readers) == 1
        and readers[0].op in ("conv2d", "depthwise_conv2d")
        and (readers[0].padding == "valid" or readers[0].kernel == (1, 1))
    )


def is_3x3_depthwise(node: Node) -> bool:
    """Whether `node` gets the kernel for depthwise windows of 3 x 3."""
    shape = (node.kernel, node.stride, node.dilation, node.multiplier)
    return node.op == "depthwise_conv2d" and is_depthwise_3x3(*shape)


def _owners(graph: LayerGraph) -> dict[str, str]:
    owners: dict[str, str] = {}
    for time, node in enumerate(graph.nodes):
        shared = [s for s in node.inputs if _shares(graph, owners, time, node, s)]
        owners[node.name] = owners[shared[0]] if shared else node.name
    return owners


def _shares(
    graph: LayerGraph, owners: Mapping[str, str], time: int, node: Node, source: str
) -> bool:
    if node.op in VIEWS:
        is_cut = any(part.group is not None for part in node.parts)
        return node.positions == graph[source].positions or not is_cut
    if node.op == "batch_norm":
        return True
    if node.op == "pad":
        return is_fused_pad(graph, node)
    later = graph.nodes[time + 1 :]
    read_again = any(owners.get(s) == owners[source] for reader in later for s in reader.inputs)
    in_place = node.op in IN_PLACE or _works_in_place(graph, node)
    return in_place and not read_again and owners[source] != graph.nodes[0].name


def _works_in_place(graph: LayerGraph, node: Node) -> bool:
    """Whether the kernel for 3x3 windows may write over its input: the output has its size."""
    is_plain = is_3x3_depthwise(node) and node.stride == (1, 1)
    return is_plain and unpadded_source(graph, node).shape == node.shape
