"""Which nodes of a LayerGraph become one TFLM op."""

from collections import Counter
from dataclasses import dataclass, replace

from tflm_reds.graph import LINEAR_OPS, LayerGraph, Node

_FUSE_RELU = (*LINEAR_OPS, "max_pool", "average_pool", "add")


@dataclass(frozen=True)
class Step:
    """Nodes that become one TFLM op: a head, its batch-norm and its fused activation.

    Attributes:
        inputs: heads of the steps (or the graph's input) whose outputs this one reads.
        activation: "none", "relu" or "relu6".
        last: the node whose output is the op's.
    """

    head: Node
    inputs: tuple[str, ...]
    batch_norm: Node | None
    activation: str
    last: Node


def fuse(graph: LayerGraph) -> list[Step]:
    """Group the nodes into TFLM ops: batch-norm and ReLU join the layer that only they read."""
    readers = Counter(name for node in graph.nodes for name in node.inputs)
    head_of = {graph.nodes[0].name: graph.nodes[0].name}
    steps: dict[str, Step] = {}
    for node in graph.nodes[1:]:
        head = head_of[node.inputs[0]]
        only_reader = readers[node.inputs[0]] == 1 and head in steps
        joined = _joined(steps[head], node) if only_reader else None
        if joined:
            steps[head] = joined
            head_of[node.name] = head
        else:
            inputs = tuple(head_of[name] for name in node.inputs)
            steps[node.name] = Step(node, inputs, None, "none", node)
            head_of[node.name] = node.name
    return list(steps.values())


def _joined(step: Step, node: Node) -> Step | None:
    """`step` with `node` behind it in the same op; None if the op has no place for it."""
    if step.activation != "none":
        return None
    if node.op == "batch_norm" and step.head.op in LINEAR_OPS and step.batch_norm is None:
        return replace(step, batch_norm=node, last=node)
    if node.op in ("relu", "relu6") and step.head.op in _FUSE_RELU:
        return replace(step, activation=node.op, last=node)
    return None
