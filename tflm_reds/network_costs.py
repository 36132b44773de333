"""What a LayerGraph costs as a function of its widths: MACs, label MACs, flash, RAM, time."""

from collections.abc import Iterator
from dataclasses import replace
from itertools import product
from math import prod

from tflm_reds.channels import Parts, uncut
from tflm_reds.codegen.program import BIAS_BYTES, OUTPUT_TABLE_BYTES
from tflm_reds.costs import Costs
from tflm_reds.fusion import fuse
from tflm_reds.graph import LINEAR_OPS, LayerGraph, Node
from tflm_reds.latency import LatencyTable
from tflm_reds.ram_model import ram_terms
from tflm_reds.solvers.problem import MacTerm

LOOKUP_BYTES = {"leaky_relu": 256, "hard_swish": 256, "softmax": 4 * 256}
"""Tables that all subnets share; a ReLU has one too where it is an op of its own."""


OWN_TABLE_BYTES = {"per_subnet": OUTPUT_TABLE_BYTES, "shared_scale": BIAS_BYTES, "shared": 0}
"""Bytes that every subnet needs for itself, for an active channel behind a batch-norm."""


def network_costs(
    graph: LayerGraph, latency: LatencyTable | None = None, batch_norm: str = "per_subnet"
) -> Costs:
    """The terms of every kind of budget; times only with a `latency` table.

    Args:
        batch_norm: how much of the batch-norms the subnets share; see `NestedModel`.

    Raises:
        PlanError: if the table is of another network.
    """
    return Costs(
        macs=graph.mac_terms(),
        label=label_terms(graph),
        ram=ram_terms(graph),
        weights=(*_weight_terms(graph), *_table_terms(graph, batch_norm, shared=True)),
        tables=tuple(_table_terms(graph, batch_norm, shared=False)),
        time=latency.terms(graph) if latency else (),
        power_mw=latency.power_mw if latency else None,
    )


def label_terms(graph: LayerGraph) -> tuple[MacTerm, ...]:
    """MACs as the paper counts them (its knapsack code; published widths in its appendix).

    Charged are the convolutions, or in a network without any the Dense layers but the last one. In
    a network with depthwise layers a unit is charged for the inputs that are kept (true MACs
    without the head); in all others for the *full* width of its input, so that cutting a layer does
    not make the next one cheaper. A label therefore does not tell the true MACs: the paper's "25 %"
    of DNN S is 9.8 %. To convert, plan for the label and read `Plan.fractions`.
    """
    linear = [node for node in graph.nodes if node.op in LINEAR_OPS]
    convolutions = [node for node in linear if node.op != "dense"]
    depthwise = any(node.op == "depthwise_conv2d" for node in linear)
    terms: list[MacTerm] = []
    for node in convolutions or linear[:-1]:
        source = graph.source(node)
        inputs = source.parts if depthwise else uncut(source.channels)
        terms += _linear_terms(node, inputs, _macs_of_kernel_entry(node, source))
    return tuple(terms)


def _macs_of_kernel_entry(node: Node, source: Node) -> int:
    if node.op == "dense":
        return source.positions
    return prod(node.shape[:2]) * prod(node.kernel)


def _linear_terms(node: Node, inputs: Parts, each: int) -> Iterator[MacTerm]:
    """`each` for every pair of an input and an output channel (every channel if depthwise)."""
    factors = [node.parts] if node.op == "depthwise_conv2d" else [inputs, node.parts]
    for parts in product(*factors):
        fixed = prod(part.channels if part.group is None else part.block for part in parts)
        groups = tuple(part.group for part in parts if part.group is not None)
        yield MacTerm(node.name, each * fixed, groups)


def _weight_terms(graph: LayerGraph) -> Iterator[MacTerm]:
    """Bytes of int8 weights, and of the look-up tables that all subnets share."""
    for node in graph.nodes:
        source = graph.source(node) if node.inputs else node
        if node.op in LINEAR_OPS:
            taps = source.positions if node.op == "dense" else prod(node.kernel)
            yield from _linear_terms(node, source.parts, taps)
        elif node.op == "prelu":
            yield from _linear_terms(replace(node, op="depthwise_conv2d"), node.parts, 1)
        elif node.op in LOOKUP_BYTES:
            yield MacTerm(node.name, LOOKUP_BYTES[node.op], ())


def _table_terms(graph: LayerGraph, batch_norm: str, shared: bool) -> Iterator[MacTerm]:
    """Bytes of bias, multiplier and shift of every active output channel.

    Args:
        shared: those that all subnets share, else those that every subnet has for itself.
    """
    for step in fuse(graph):
        if step.head.op in LINEAR_OPS:
            own = OWN_TABLE_BYTES[batch_norm] if step.batch_norm else 0
            each = OUTPUT_TABLE_BYTES - own if shared else own
            channels = replace(step.head, op="depthwise_conv2d")
            yield from _linear_terms(channels, step.head.parts, each) if each else ()
