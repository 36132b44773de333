"""Quantise a NestedModel to int8: one weight set, one scale per activation, a table per subnet.

Scales come from the FULL kernel; batch-norm's scale goes into each subnet's effective weight
scale and its offset into each subnet's bias (ARCHITECTURE contract 3, `one int8 weight set`).
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from tflm_reds.calibrate import Ranges, calibrate
from tflm_reds.errors import QuantizationError
from tflm_reds.graph import (
    BATCH_NORM_WEIGHTS,
    FLOAT_ONLY_OPS,
    LINEAR_OPS,
    LayerGraph,
    Node,
    Weights,
)
from tflm_reds.nested_model import NestedModel
from tflm_reds.nesting import check_calibration
from tflm_reds.quantized import QuantizedNet, QuantOp
from tflm_reds.quantized_tensor import QuantTensor

_KINDS = {
    "conv2d": "CONV_2D",
    "depthwise_conv2d": "DEPTHWISE_CONV_2D",
    "dense": "FULLY_CONNECTED",
    "relu": "RELU",
    "relu6": "RELU6",
    "leaky_relu": "LEAKY_RELU",
    "max_pool": "MAX_POOL_2D",
    "average_pool": "AVERAGE_POOL_2D",
    "mean": "MEAN",
    "pad": "PAD",
    "flatten": "RESHAPE",
    "reshape": "RESHAPE",
    "softmax": "SOFTMAX",
}
# TFLM's stand-alone RELU6 clamps without rescaling; the others move values unchanged.
_KEEPS_SCALE = ("max_pool", "average_pool", "pad", "flatten", "reshape", "relu6")


@dataclass(frozen=True)
class Step:
    """Nodes that become one TFLM op: a head, its batch-norm and its fused activation."""

    head: Node
    batch_norm: Node | None
    activation: str
    last: Node


def quantize(
    nested: NestedModel, x: np.ndarray, name: str | None = None, labels: Sequence[str] = ()
) -> QuantizedNet:
    """Quantise `nested` with calibration inputs `x` [n, *input shape].

    Raises:
        DataError: if `x` does not fit the model.
        QuantizationError: if a bias leaves int32, a batch-norm scale is not positive, or the net
            is a Vision Transformer.
    """
    graph = nested.graph
    _require_integer_ops(graph)
    x, _ = check_calibration(graph, x)
    steps = fuse(graph)
    ranges = calibrate(nested, x, [graph.nodes[0].name, *(step.last.name for step in steps)])
    sources = _sources(graph, steps)
    tensors = _tensors(nested, steps, sources, ranges)
    arrays = [nested.subnet_arrays(k) for k in range(nested.subnet_count)]
    ops = tuple(_op(step, tensors[sources[step.head.name]], arrays) for step in steps)
    return QuantizedNet(
        name=c_identifier(name or nested.name),
        tensors=tensors,
        ops=ops,
        budgets=nested.plan.budgets,
        labels=tuple(labels),
    )


def fuse(graph: LayerGraph) -> list[Step]:
    """Group the nodes into TFLM ops: batch-norm and ReLU join the layer before them."""
    steps: list[Step] = []
    for node in graph.nodes[1:]:
        previous = steps[-1] if steps else None
        if node.op == "batch_norm":
            assert previous is not None  # the reader refuses batch-norm anywhere else
            steps[-1] = Step(previous.head, node, "none", node)
        elif previous and node.op in ("relu", "relu6") and _fuses_relu(previous):
            steps[-1] = Step(previous.head, previous.batch_norm, node.op, node)
        else:
            steps.append(Step(node, None, "none", node))
    return steps


def _require_integer_ops(graph: LayerGraph) -> None:
    for node in graph.nodes:
        if node.op in FLOAT_ONLY_OPS or (node.op == "dense" and len(node.shape) > 1):
            raise QuantizationError(
                f"Layer {node.name!r} ({node.op} on {node.shape}) has no int8 kernel: Vision "
                "Transformers are planned and trained, in float only. Take a float subnet with "
                "nested.subnet(k), or use a convolutional network."
            )


def c_identifier(name: str) -> str:
    """`name` as a C identifier in lower case."""
    text = re.sub(r"\W+", "_", name.strip(), flags=re.ASCII).strip("_").lower() or "model"
    return f"m_{text}" if text[0].isdigit() else text


def _fuses_relu(step: Step) -> bool:
    return step.activation == "none" and step.head.op in (*LINEAR_OPS, "max_pool", "average_pool")


def _sources(graph: LayerGraph, steps: list[Step]) -> dict[str, str]:
    """Name of the tensor that each step reads, by the step's head: fused nodes have no tensor."""
    made = {graph.nodes[0].name: graph.nodes[0].name}
    made |= {step.last.name: step.head.name for step in steps}
    return {step.head.name: made[step.head.inputs[0]] for step in steps}


def _tensors(
    nested: NestedModel, steps: list[Step], sources: dict[str, str], ranges: Ranges
) -> dict[str, QuantTensor]:
    """The input, and the tensor of each step by the name of its head."""
    first = nested.graph.nodes[0]
    tensors = {first.name: _tensor(nested, first, *affine(*ranges[first.name]))}
    for step in steps:
        source = tensors[sources[step.head.name]]
        if step.head.op in _KEEPS_SCALE:
            scale, zero_point = source.scale, source.zero_point
        elif step.head.op == "softmax":
            scale, zero_point = 1 / 256, -128
        else:
            scale, zero_point = affine(*ranges[step.last.name])
        tensors[step.head.name] = _tensor(nested, step.last, scale, zero_point, step.head.name)
    return tensors


def _tensor(
    nested: NestedModel, node: Node, scale: float, zero_point: int, name: str | None = None
) -> QuantTensor:
    channels = tuple(node.active_channels(widths) for widths in nested.plan.widths)
    return QuantTensor(name or node.name, node.shape, scale, zero_point, channels, node.positions)


def affine(low: float, high: float) -> tuple[float, int]:
    """(float32 scale, zero point) of int8 for the range [low, high], zero included."""
    low, high = min(low, 0.0), max(high, 0.0)
    scale = float(np.float32(max(high - low, 1e-6) / 255))
    return scale, int(np.clip(round(-128 - low / scale), -128, 127))


def _op(step: Step, source: QuantTensor, arrays: list[dict[str, np.ndarray]]) -> QuantOp:
    head = step.head
    attributes = {
        "stride": head.stride,
        "dilation": head.dilation,
        "window": head.kernel if head.op.endswith("pool") else (1, 1),
        "padding": head.padding.upper(),
        "pads": head.pads,
        "alpha": head.slope,
    }
    if head.op in LINEAR_OPS:
        attributes |= _quantize_weights(step, source, arrays)
    kind, activation = _KINDS[head.op], step.activation
    return QuantOp(kind, head.name, (source.name,), head.name, activation, **attributes)


def _quantize_weights(step: Step, source: QuantTensor, arrays: list[dict[str, np.ndarray]]) -> dict:
    head = step.head
    kernel = arrays[-1][f"{head.name}/kernel"].astype(np.float64)
    rows = _rows(head, kernel)
    kernel_scale = np.maximum(np.abs(rows).max(axis=1), 1e-12) / 127
    integers = np.round(rows / kernel_scale[:, None]).astype(np.int8)
    scales, biases = [], []
    for k, subnet in enumerate(arrays):
        gain, offset = _gain_and_offset(step, subnet, k)
        scale = (kernel_scale[: len(gain)] * gain).astype(np.float32)
        scales.append(scale)
        biases.append(_quantize_bias(head, offset, source.scale * scale.astype(np.float64), k))
    weights = _from_rows(head, integers, kernel.shape, source)
    return {"weights": weights, "scales": tuple(scales), "biases": tuple(biases)}


def _gain_and_offset(step: Step, weights: Weights, subnet: int) -> tuple[np.ndarray, np.ndarray]:
    """Linear layer and batch-norm as gain * (kernel . x) + offset, per output channel."""
    kernel = weights[f"{step.head.name}/kernel"]
    size = kernel.shape[2 if step.head.op == "depthwise_conv2d" else -1]
    bias = weights.get(f"{step.head.name}/bias", np.zeros(size)).astype(np.float64)
    if step.batch_norm is None:
        return np.ones(size), bias
    name, epsilon = step.batch_norm.name, step.batch_norm.epsilon
    gamma, beta, mean, variance = (
        weights[f"{name}/{kind}"].astype(np.float64) for kind in BATCH_NORM_WEIGHTS
    )
    if gamma.min() <= 0:
        raise QuantizationError(
            f"Batch-norm {name!r} of subnet {subnet} has gamma {gamma.min():.3g} in channel "
            f"{int(gamma.argmin())}; one weight set needs gamma > 0 in every subnet. Build the "
            "nested model with tflm_reds.nest, which folds signs and keeps gamma >= 1e-3."
        )
    gain = gamma / np.sqrt(variance + epsilon)
    return gain, (bias - mean) * gain + beta


def _quantize_bias(head: Node, offset: np.ndarray, unit: np.ndarray, subnet: int) -> np.ndarray:
    bias = np.round(offset / unit)
    worst = int(np.abs(bias).argmax())
    if not np.isfinite(bias).all() or abs(bias[worst]) >= 2**30:
        raise QuantizationError(
            f"The bias of {head.name!r}, channel {worst}, subnet {subnet} is {bias[worst]:.3g} "
            "steps, beyond 2^30: its weights are tiny beside its offset. Retrain with a smaller "
            "batch-norm offset or remove that unit."
        )
    return bias.astype(np.int32)


def _rows(head: Node, kernel: np.ndarray) -> np.ndarray:
    """The kernel as [output channel, everything else]."""
    if head.op == "depthwise_conv2d":
        return kernel[..., 0].reshape(-1, kernel.shape[2]).T
    return kernel.reshape(-1, kernel.shape[-1]).T


def _from_rows(
    head: Node, rows: np.ndarray, kernel_shape: tuple[int, ...], source: QuantTensor
) -> np.ndarray:
    """Integers [out, everything else] in the layout of QuantOp.weights."""
    if head.op == "depthwise_conv2d":
        return np.ascontiguousarray(rows.T.reshape(kernel_shape[:3]))
    if head.op == "conv2d":
        return np.ascontiguousarray(rows.reshape(-1, *kernel_shape[:3]))
    by_position = rows.reshape(len(rows), source.positions, -1)
    return np.ascontiguousarray(by_position.transpose(0, 2, 1))
