"""Quantise a NestedModel to int8: one weight set, one scale per activation, a table per subnet.

Scales come from the FULL kernel; batch-norm's scale goes into each subnet's effective weight
scale and its offset into each subnet's bias (ARCHITECTURE contract 3, `one int8 weight set`).
"""

import re
from collections.abc import Mapping, Sequence

import numpy as np

from tflm_reds.activation_scales import Scale, activation_scales
from tflm_reds.bias_correction import correct_biases
from tflm_reds.calibrate import Ranges, calibrate
from tflm_reds.clipping import clip_ranges
from tflm_reds.errors import DataError, QuantizationError
from tflm_reds.fusion import Step, fuse
from tflm_reds.graph import BATCH_NORM_WEIGHTS, LINEAR_OPS, LayerGraph, Node, Weights
from tflm_reds.nested_model import NestedModel
from tflm_reds.nesting import check_calibration
from tflm_reds.quantized import LARGEST_BIAS, QuantizedNet, QuantOp
from tflm_reds.quantized_tensor import QuantPart, QuantTensor
from tflm_reds.wide_sums import split_wide_sums

_KINDS = {
    "conv2d": "CONV_2D",
    "depthwise_conv2d": "DEPTHWISE_CONV_2D",
    "dense": "FULLY_CONNECTED",
    "relu": "RELU",
    "relu6": "RELU6",
    "leaky_relu": "LEAKY_RELU",
    "prelu": "PRELU",
    "hard_swish": "HARD_SWISH",
    "add": "ADD",
    "concatenate": "CONCATENATION",
    "max_pool": "MAX_POOL_2D",
    "average_pool": "AVERAGE_POOL_2D",
    "mean": "MEAN",
    "pad": "PAD",
    "flatten": "RESHAPE",
    "reshape": "RESHAPE",
    "softmax": "SOFTMAX",
}

METHODS = ("mse", "minmax")
"""How `activation_ranges` chooses."""

DEFAULT_METHOD = "mse"

_ROUND_NOTHING = ("max_pool", "pad", "flatten", "reshape", "concatenate", "softmax")
"""They move int8 values unchanged; softmax's tiny probabilities must not become 0 in training."""

_Arrays = Sequence[Mapping[str, np.ndarray]]
"""Weights of each subnet, as NestedModel.subnet_arrays gives them."""


def quantize(
    nested: NestedModel,
    x: np.ndarray,
    name: str | None = None,
    labels: Sequence[str] = (),
    ranges: Ranges | str | None = None,
) -> QuantizedNet:
    """Quantise `nested` with calibration inputs `x` [n, *input shape].

    Args:
        ranges: of the activations, as `activation_ranges` gives them, or one of its methods,
            "mse" or "minmax"; by default those that quantisation-aware training used, or else
            "mse".

    Raises:
        DataError: if `x` does not fit the model, or there is no such method.
        QuantizationError: if a layer has no int8 form, a number is not finite, a batch-norm scale
            is not positive, or a softmax is concatenated with something else.
    """
    graph = nested.graph
    check_int8_form(graph)
    x, _ = check_calibration(graph, x)
    steps = fuse(graph)
    source = graph.nodes[0]
    ranges = ranges or nested.ranges or DEFAULT_METHOD
    if isinstance(ranges, str):
        ranges = activation_ranges(nested, x, ranges)
    _require_finite_ranges(ranges)
    scales = activation_scales(source.name, steps, ranges)
    last_nodes = {source.name: source} | {step.head.name: step.last for step in steps}
    tensors = {name: _tensor(nested, name, last_nodes[name], scales[name]) for name in last_nodes}
    arrays = [nested.subnet_arrays(k) for k in range(nested.subnet_count)]
    tensors, ops = split_wide_sums(tensors, [_op(step, tensors, arrays) for step in steps])
    net = QuantizedNet(
        name=c_identifier(name or nested.name),
        tensors=tensors,
        ops=ops,
        budgets=nested.plan.budgets,
        labels=tuple(labels),
    )
    return correct_biases(net, nested, last_nodes, x)


def activation_ranges(nested: NestedModel, x: np.ndarray, method: str = DEFAULT_METHOD) -> Ranges:
    """Range over `x` [n, *input shape] of every node whose output is an int8 tensor.

    Args:
        method: "minmax", of all values in all subnets; "mse", cut so that the outputs' mean
            squared error over all subnets is least, see `clip_ranges`.

    Raises:
        DataError: if `x` does not fit the model, or there is no such method.
        QuantizationError: if a layer has no int8 form, or an activation is not finite.
    """
    if method not in METHODS:
        raise DataError(f"There are no ranges {method!r}. Choose one of {', '.join(METHODS)}.")
    x, _ = check_calibration(nested.graph, x)
    check_int8_form(nested.graph)
    steps = fuse(nested.graph)
    nodes = [nested.graph.nodes[0].name, *(step.last.name for step in steps)]
    ranges = calibrate(nested, x, nodes)
    _require_finite_ranges(ranges)
    return clip_ranges(nested, x, ranges) if method == "mse" else ranges


def rounding_scales(graph: LayerGraph, ranges: Ranges) -> dict[str, Scale]:
    """Scale and zero point by node, for the input and the nodes whose outputs int8 rounds."""
    source, steps = graph.nodes[0].name, fuse(graph)
    scales = activation_scales(source, steps, ranges)
    rounding = (step for step in steps if step.head.op not in _ROUND_NOTHING)
    return {source: scales[source]} | {s.last.name: scales[s.head.name] for s in rounding}


def c_identifier(name: str) -> str:
    """`name` as a C identifier in lower case."""
    text = re.sub(r"\W+", "_", name.strip(), flags=re.ASCII).strip("_").lower() or "model"
    return f"m_{text}" if text[0].isdigit() else text


def check_int8_form(graph: LayerGraph) -> None:
    """Check that every layer has an int8 form.

    Raises:
        QuantizationError: if one has none.
    """
    for step in fuse(graph):
        head = step.head
        if head.op not in _KINDS or (head.op == "dense" and len(head.shape) > 1):
            raise QuantizationError(
                f"Layer {head.name!r} ({head.op} on {head.shape}) has no int8 form: networks "
                "with it are planned and trained, and their subnets stay float. Do so in Python: "
                "nested = tflm_reds.nest(model, (x, y)), nested.compile, nested.fit, then "
                "nested.subnet(k) is a plain Keras model of subnet k."
            )


def _tensor(nested: NestedModel, name: str, node: Node, scale: tuple[float, int]) -> QuantTensor:
    widths = nested.plan.widths
    channels = tuple(node.active_channels(w) for w in widths)
    parts = tuple(QuantPart(p.channels, tuple(p.active(w) for w in widths)) for p in node.parts)
    if len(parts) == 1 or set(channels) == {node.channels}:
        parts = ()
    return QuantTensor(name, node.shape, *scale, channels, node.positions, parts)


def _op(step: Step, tensors: Mapping[str, QuantTensor], arrays: _Arrays) -> QuantOp:
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
        source, target = tensors[step.inputs[0]], tensors[head.name]
        attributes |= _quantize_weights(step, source, target, arrays)
    if head.op == "prelu":
        attributes |= _quantize_slopes(arrays[-1][f"{head.name}/alpha"])
    kind, activation = _KINDS[head.op], step.activation
    return QuantOp(kind, head.name, step.inputs, head.name, activation, **attributes)


def _quantize_slopes(alpha: np.ndarray) -> dict:
    """PRELU's slopes [channels], symmetric, in TFLM's shape."""
    scale = float(np.float32(max(np.abs(alpha).max(), 1e-6) / 127))
    slopes = np.round(alpha.astype(np.float64) / scale).astype(np.int8)
    return {"weights": slopes.reshape(1, 1, -1), "alpha": scale}


def _quantize_weights(
    step: Step, source: QuantTensor, target: QuantTensor, arrays: _Arrays
) -> dict:
    head = step.head
    kernel = arrays[-1][f"{head.name}/kernel"].astype(np.float64)
    rows = _rows(head, kernel)
    affine = [_gain_and_offset(step, subnet, k) for k, subnet in enumerate(arrays)]
    kernel_scale = np.maximum(np.abs(rows).max(axis=1), 1e-12) / 127
    for k, (gain, offset) in enumerate(affine):
        _require_finite(f"A bias of {head.name!r} in subnet {k}", offset)
        # A channel of tiny weights beside its offset gets coarser ones, so that its bias fits.
        least = np.abs(offset) / (source.scale * gain * LARGEST_BIAS)
        channels = target.take(np.arange(len(rows)), k, axis=0)
        kernel_scale[channels] = np.maximum(kernel_scale[channels], least)
    integers = np.round(rows / kernel_scale[:, None]).astype(np.int8)
    scales = [
        (target.take(kernel_scale, k, axis=0) * gain).astype(np.float32)
        for k, (gain, _) in enumerate(affine)
    ]
    biases = [
        np.round(offset / (source.scale * scales[k].astype(np.float64))).astype(np.int32)
        for k, (_, offset) in enumerate(affine)
    ]
    weights = _from_rows(head, integers, kernel.shape, source)
    return {"weights": weights, "scales": tuple(scales), "biases": tuple(biases)}


def _gain_and_offset(step: Step, weights: Weights, subnet: int) -> tuple[np.ndarray, np.ndarray]:
    """Linear layer and batch-norm as gain * (kernel . x) + offset, per output channel."""
    size = len(_rows(step.head, weights[f"{step.head.name}/kernel"]))
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


def _require_finite_ranges(ranges: Ranges) -> None:
    for node, limits in ranges.items():
        _require_finite(f"An activation of {node!r}", np.array(limits))


def _require_finite(what: str, values: np.ndarray) -> None:
    if not np.isfinite(values).all():
        worst = values[~np.isfinite(values)][0]
        raise QuantizationError(
            f"{what} is {worst:.3g}: the training broke down. Train again, at a lower rate."
        )


def _rows(head: Node, kernel: np.ndarray) -> np.ndarray:
    """The kernel as [output channel, everything else]."""
    if head.op == "depthwise_conv2d":
        return kernel.reshape(-1, kernel.shape[2] * kernel.shape[3]).T
    return kernel.reshape(-1, kernel.shape[-1]).T


def _from_rows(
    head: Node, rows: np.ndarray, kernel_shape: tuple[int, ...], source: QuantTensor
) -> np.ndarray:
    """Integers [out, everything else] in the layout of QuantOp.weights."""
    if head.op == "depthwise_conv2d":
        return np.ascontiguousarray(rows.T.reshape(*kernel_shape[:2], -1))
    if head.op == "conv2d":
        return np.ascontiguousarray(rows.reshape(-1, *kernel_shape[:3]))
    by_position = rows.reshape(len(rows), source.positions, -1)
    return np.ascontiguousarray(by_position.transpose(0, 2, 1))
