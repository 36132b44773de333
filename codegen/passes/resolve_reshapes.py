"""Turn each RESHAPE into a view where the bytes allow it, else into a channel-major copy."""

from collections.abc import Mapping
from dataclasses import replace

from tflm_reds.codegen.program import Edge, Layout, Op, Program
from tflm_reds.errors import QuantizationError

ELEMENT_WISE = ("LEAKY_RELU", "RELU", "RELU6", "HARD_SWISH", "PRELU", "ADD")


def resolve_reshapes(program: Program) -> Program:
    """Set the layout of each edge, the order of fully connected weights and slopes; drop views.

    Flattening a cut tensor orders the features channel by channel (`Layout.PLANAR`): only then is
    a narrower subnet a prefix of what the fully connected layer reads.

    Raises:
        QuantizationError: if an op needs position-major features that a cut tensor cannot give.
    """
    edges = dict(program.edges)
    ops: list[Op] = []
    for op in program.ops:
        source, target = edges[op.source], edges[op.target]
        if op.kind == "RESHAPE":
            edges[op.target] = _reshape(op, source, target)
            if edges[op.target].shares:
                continue
        else:
            edges[op.target] = replace(target, layout=_result_layout(op, edges))
        ops.append(_order_weights(op, source))
    return replace(program, ops=tuple(ops), edges=edges)


def _reshape(op: Op, source: Edge, target: Edge) -> Edge:
    same_rows = (source.channels, source.stride) == (target.channels, target.stride)
    if not source.is_cut or same_rows:
        return replace(target, layout=source.layout, shares=source.name)
    positions = source.height * source.width
    flat = target.height * target.width == 1 and target.stride == positions * source.stride
    if source.layout == Layout.NHWC and flat:
        return replace(target, layout=Layout.PLANAR)
    raise QuantizationError(
        f"RESHAPE {op.name} turns {_shape(source)} with widths {source.channels} into "
        f"{_shape(target)}: a narrower subnet is no prefix of the result. Flatten to one axis, or "
        "leave the group of the layer before it out of the plan."
    )


def _result_layout(op: Op, edges: Mapping[str, Edge]) -> Layout:
    layouts = {edges[name].layout for name in op.sources}
    if layouts == {Layout.NHWC} or op.kind in ("FULLY_CONNECTED", "CONCATENATION"):
        return Layout.NHWC
    if op.kind in ELEMENT_WISE and len(layouts) == 1:
        return Layout.PLANAR
    raise QuantizationError(
        f"{op.kind} {op.name} reads a flattened tensor of a cut layer, whose features are stored "
        "channel by channel. Put a Dense layer between, or leave the group of the layer before "
        "the Flatten out of the plan."
    )


def _order_weights(op: Op, source: Edge) -> Op:
    """Weights [outputs, 1, inputs] or slopes [positions or 1, channels] in the input's order."""
    planar = source.layout == Layout.PLANAR
    if op.kind == "PRELU" and source.height * source.width == 1:
        return replace(op, weights=(op.weights.T if planar else op.weights).reshape(1, -1))
    if op.kind != "FULLY_CONNECTED":
        return op
    weights = op.weights if planar else op.weights.transpose(0, 2, 1)
    return replace(op, weights=weights.reshape(len(weights), 1, -1))


def _shape(edge: Edge) -> str:
    return f"{edge.height}x{edge.width}x{edge.stride}"
