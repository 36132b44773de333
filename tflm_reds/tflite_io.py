"""Writes a QuantizedNet as a .tflite file: sliced with stock ops, or nested with our custom ops."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from tflm_reds.channel_order import are_prefixes, sort_channels
from tflm_reds.codegen.packing import pack_rows
from tflm_reds.codegen.passes.select_kernels import is_depthwise_3x3
from tflm_reds.element_wise import add_multipliers, prelu_multipliers, without_zero
from tflm_reds.errors import QuantizationError
from tflm_reds.files import write_bytes
from tflm_reds.quantized import LINEAR_KINDS, QuantizedNet, QuantOp, same_padding
from tflm_reds.quantized_tensor import QuantTensor
from tflm_reds.tflite_schema import (
    ModelSpec,
    OperatorSpec,
    TensorSpec,
    flexbuffer_map,
    serialize,
)

OPTIONS_VERSION = 3
"""Version of the custom ops' options; codegen/tflm/reds_options.h reads them."""

_CONVOLUTIONS = ("CONV_2D", "DEPTHWISE_CONV_2D")
_PADDINGS = {"SAME": 0, "VALID": 1}
_ACTIVATIONS = {"none": 0, "relu": 1, "relu6": 3}
_CUSTOM_OPS = (*LINEAR_KINDS, "ADD", "PRELU", "CONCATENATION")
"""Ops that the custom ops REDS_<kind> replace."""
_WITHOUT_OPTIONS = ("PAD", "RELU", "RELU6", "RESHAPE", "PRELU", "HARD_SWISH")


def write_stock_model(net: QuantizedNet, path: str | Path) -> Path:
    """Write a net of one subnet as a plain int8 .tflite of batch 1, stock ops only.

    Args:
        net: one subnet alone: `nested.slice(k)`.
        path: the file, written atomically; the same net gives the same bytes.

    Raises:
        QuantizationError: if `net` holds several subnets, or an op without a stock form.
        OutputError: if the file cannot be written.
    """
    if net.subnet_count != 1:
        raise QuantizationError(
            f"A stock .tflite holds one network, {net.name} has {net.subnet_count} subnets. "
            "Write net.slice(k) for each, or all in one with write_reds_model()."
        )
    return write_bytes(path, serialize(_model(net, [_stock(net, op) for op in net.ops])))


def write_reds_model(net: QuantizedNet, path: str | Path) -> Path:
    """Write all subnets of `net` as one .tflite: our custom ops, and stock ops between them.

    One weight set, full static shapes, tables with a row for each subnet or one that all share. The
    ops are in codegen/tflm; which subnet runs is chosen at run time (reds_tflm.h).

    Raises:
        QuantizationError: if an op has no stock form, or mixes channels that a subnet lacks.
        OutputError: if the file cannot be written.
    """
    net = sort_channels(net)
    ours = [op for op in net.ops if op.kind in _CUSTOM_OPS]
    parts = [
        _custom(net, op, first=op is ours[0]) if op in ours else _stock_between(net, op)
        for op in net.ops
    ]
    return write_bytes(path, serialize(_model(net, parts)))


def _model(net: QuantizedNet, parts: list[tuple[OperatorSpec, list[TensorSpec]]]) -> ModelSpec:
    activations = [_activation(tensor) for tensor in net.tensors.values()]
    constants = [tensor for _, tensors in parts for tensor in tensors]
    operators = tuple(operator for operator, _ in parts)
    tensors = (*activations, *constants)
    return ModelSpec(net.name, tensors, operators, (net.input.name,), (net.output.name,))


def _activation(tensor: QuantTensor) -> TensorSpec:
    shape = (1, *tensor.shape)
    return TensorSpec(tensor.name, shape, scales=(tensor.scale,), zero_point=tensor.zero_point)


def _stock(net: QuantizedNet, op: QuantOp) -> tuple[OperatorSpec, list[TensorSpec]]:
    """The stock operator of `op` and its constant inputs."""
    constants = _stock_weights(net, op) if op.is_linear else _arguments(net, op)
    inputs = (*op.inputs, *(tensor.name for tensor in constants))
    return OperatorSpec(op.kind, inputs, (op.output,), _options(net, op)), constants


def _stock_between(net: QuantizedNet, op: QuantOp) -> tuple[OperatorSpec, list[TensorSpec]]:
    """A stock operator between ours: it sees all channels, the inactive ones at the zero point."""
    channels = net.source(op).channels
    if op.kind == "SOFTMAX" and len(set(channels)) > 1:
        raise QuantizationError(
            f"SOFTMAX {op.name} would sum over the inactive channels of a smaller subnet: its "
            f"input has {channels} channels. Keep the classes of the model uncut."
        )
    return _stock(net, op)


def _custom(net: QuantizedNet, op: QuantOp, first: bool) -> tuple[OperatorSpec, list[TensorSpec]]:
    """Our operator of `op` and its constants."""
    constants = _custom_constants(net, op)
    inputs = (*op.inputs, *(tensor.name for tensor in constants))
    options = flexbuffer_map(_custom_options(net, op, first))
    code = f"REDS_{op.kind}"
    return OperatorSpec(code, inputs, (op.output,), custom_options=options), constants


def _custom_constants(net: QuantizedNet, op: QuantOp) -> list[TensorSpec]:
    """The one weight set, and tables [subnets or 1, output channels]; PRELU's slopes."""
    if not op.is_linear:
        return [_constant(op, "slopes", op.weights)] if op.kind == "PRELU" else []
    multipliers, shifts = zip(
        *(net.requantisation(op, subnet) for subnet in range(net.subnet_count)), strict=True
    )
    return [
        _constant(op, "weights", _custom_weights(net, op)),
        _constant(op, "bias", _table(op.biases)),
        _constant(op, "multiplier", _table(multipliers)),
        _constant(op, "shift", _table(shifts).astype(np.int8)),
    ]


def _custom_weights(net: QuantizedNet, op: QuantOp) -> np.ndarray:
    """int8 in the order of the kernel; see reds_linear_ops.cpp."""
    assert op.weights is not None
    if op.kind == "DEPTHWISE_CONV_2D":
        shape = (op.kernel_size, op.stride, op.dilation, net.depth_multiplier(op))
        return op.weights.reshape(9, -1).T if is_depthwise_3x3(*shape) else op.weights[np.newaxis]
    source = net.source(op)
    is_cut = min(source.channels) < source.full_channels
    inputs = op.weights[0].size if op.kind == "FULLY_CONNECTED" else source.full_channels
    window = (1, 1) if op.kind == "FULLY_CONNECTED" else op.kernel_size
    pairs = pack_rows(op.weights, window, inputs, is_cut)
    return pairs.reshape(2 * len(pairs), -1)


def _custom_options(net: QuantizedNet, op: QuantOp, first: bool) -> dict[str, int | list[int]]:
    sources = [net.tensors[name] for name in op.inputs]
    padding = [0, 0]
    if op.padding == "SAME" and op.kind in _CONVOLUTIONS:
        sizes = zip(sources[0].shape[:2], op.kernel_size, op.stride, op.dilation, strict=True)
        padding = [same_padding(*size)[0] for size in sizes]
    outputs = net.target(op)
    return {
        "version": OPTIONS_VERSION,
        "first": int(first),
        "positions": [source.positions for source in sources],
        "kernel": list(op.kernel_size if op.kind in _CONVOLUTIONS else (1, 1)),
        "stride": list(op.stride),
        "dilation": list(op.dilation),
        "padding": padding,
        "activation": list(net.activation_range(op)),
        "inputs": [channels for source in sources for channels in source.channels],
        "outputs": list(outputs.channels),
        **_factors(net, op),
    }


def _factors(net: QuantizedNet, op: QuantOp) -> dict[str, list[int]]:
    """The fixed-point factors of ADD and PRELU, as the kernels take them."""
    if op.kind not in ("ADD", "PRELU"):
        return {}
    if op.kind == "ADD":
        add = add_multipliers(net, op)
        factors = (*add.inputs, add.output)
    else:
        prelu = prelu_multipliers(net, op)
        factors = (prelu.identity, prelu.slope)
    return {"factors": [number for factor in map(without_zero, factors) for number in factor]}


def _table(rows: Sequence[np.ndarray]) -> np.ndarray:
    """int32 [subnets, full output channels], rows of narrower subnets filled up with zeros.

    One row if it serves all subnets.
    """
    rows = rows[-1:] if are_prefixes(rows) else rows
    table = np.zeros((len(rows), len(rows[-1])), np.int32)
    for subnet, row in enumerate(rows):
        table[subnet, : len(row)] = row
    return table


def _constant(op: QuantOp, name: str, data: np.ndarray) -> TensorSpec:
    return TensorSpec(f"{op.name}/{name}", data.shape, data)


def _stock_weights(net: QuantizedNet, op: QuantOp) -> list[TensorSpec]:
    """Weights and bias in TFLite's layouts, one scale for each output channel."""
    weights, axis = op.weights, 0
    assert weights is not None
    if op.kind == "DEPTHWISE_CONV_2D":
        weights, axis = weights[np.newaxis], 3
    elif op.kind == "FULLY_CONNECTED":
        # TFLite flattens position-major: feature = position * channels + channel.
        weights = weights.transpose(0, 2, 1).reshape(len(weights), -1)
    scales = op.scales[0].astype(np.float32)
    bias_scales = np.float32(net.source(op).scale) * scales
    return [
        TensorSpec(f"{op.name}/weights", weights.shape, weights, scales, axis=axis),
        TensorSpec(f"{op.name}/bias", op.biases[0].shape, op.biases[0], bias_scales),
    ]


def _arguments(net: QuantizedNet, op: QuantOp) -> list[TensorSpec]:
    """Constant int32 inputs of ops without weights."""
    if op.kind == "PAD":
        top, bottom, left, right = op.pads
        value = np.array([[0, 0], [top, bottom], [left, right], [0, 0]], np.int32)
        return [_constant(op, "paddings", value)]
    if op.kind == "MEAN":
        return [_constant(op, "axes", np.array([1, 2], np.int32))]
    if op.kind == "RESHAPE":
        return [_constant(op, "shape", np.array((1, *net.target(op).shape), np.int32))]
    if op.kind == "PRELU":
        slopes = op.weights.reshape(-1) if len(net.source(op).shape) == 1 else op.weights
        return [replace(_constant(op, "slopes", slopes), scales=(op.alpha,))]
    return []


def _options(net: QuantizedNet, op: QuantOp) -> dict[str, int | float]:
    """Fields of the op's options table, by the names of the TFLite schema."""
    activation = {"FusedActivationFunction": _ACTIVATIONS[op.activation]}
    window = {
        "Padding": _PADDINGS[op.padding],
        "StrideH": op.stride[0],
        "StrideW": op.stride[1],
        **activation,
    }
    dilation = {"DilationHFactor": op.dilation[0], "DilationWFactor": op.dilation[1]}
    match op.kind:
        case "CONV_2D":
            return {**window, **dilation}
        case "DEPTHWISE_CONV_2D":
            return {**window, **dilation, "DepthMultiplier": net.depth_multiplier(op)}
        case "FULLY_CONNECTED" | "ADD":
            return activation
        case "CONCATENATION":
            return {**activation, "Axis": len(net.target(op).shape)}
        case "MAX_POOL_2D" | "AVERAGE_POOL_2D":
            return {**window, "FilterHeight": op.window[0], "FilterWidth": op.window[1]}
        case "MEAN":
            return {"KeepDims": False}
        case "LEAKY_RELU":
            return {"Alpha": op.alpha}
        case "SOFTMAX":
            return {"Beta": 1.0}
        case kind if kind in _WITHOUT_OPTIONS:
            return {}
    raise QuantizationError(
        f"Op {op.name} of kind {op.kind} cannot be written as a stock TFLite op. "
        "Leave that layer out of the model, or use the generated C alone."
    )
