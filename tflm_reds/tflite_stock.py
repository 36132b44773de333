"""The stock TFLite operators of a QuantizedNet's ops, with their constants."""

from dataclasses import replace

import numpy as np

from tflm_reds.errors import QuantizationError
from tflm_reds.quantized import QuantizedNet, QuantOp
from tflm_reds.tflite_schema import OperatorSpec, TensorSpec

_PADDINGS = {"SAME": 0, "VALID": 1}
_ACTIVATIONS = {"none": 0, "relu": 1, "relu6": 3}
_WITHOUT_OPTIONS = ("PAD", "RELU", "RELU6", "RESHAPE", "PRELU", "HARD_SWISH")


def stock_operator(
    net: QuantizedNet, op: QuantOp, per_tensor_dense: bool = False
) -> tuple[OperatorSpec, list[TensorSpec]]:
    """The stock operator of `op` and its constant inputs.

    Args:
        per_tensor_dense: gives the weights of a FULLY_CONNECTED one scale, rounded anew.
    """
    if op.kind == "FULLY_CONNECTED" and per_tensor_dense:
        constants = _per_tensor_weights(net, op)
    else:
        constants = _weights(net, op) if op.is_linear else _arguments(net, op)
    inputs = (*op.inputs, *(tensor.name for tensor in constants))
    return OperatorSpec(op.kind, inputs, (op.output,), _options(net, op)), constants


def _weights(net: QuantizedNet, op: QuantOp) -> list[TensorSpec]:
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


def _per_tensor_weights(net: QuantizedNet, op: QuantOp) -> list[TensorSpec]:
    """As `_weights`, of a FULLY_CONNECTED, with the smallest one scale that holds all weights."""
    weights, bias = _weights(net, op)
    old = np.asarray(weights.scales, np.float64)
    real = weights.data * old[:, np.newaxis]
    scale = np.float32(np.abs(real).max() / 127)
    data = np.clip(np.rint(real / scale), -127, 127).astype(np.int8)
    biases = np.rint(bias.data * old / scale).astype(np.int32)
    bias_scale = np.float32(net.source(op).scale) * scale
    return [
        replace(weights, data=data, scales=(scale,)),
        replace(bias, data=biases, scales=(bias_scale,)),
    ]


def _arguments(net: QuantizedNet, op: QuantOp) -> list[TensorSpec]:
    """Constant int32 inputs of ops without weights."""
    if op.kind == "PAD":
        top, bottom, left, right = op.pads
        value = np.array([[0, 0], [top, bottom], [left, right], [0, 0]], np.int32)
        return [constant(op, "paddings", value)]
    if op.kind == "MEAN":
        return [constant(op, "axes", np.array([1, 2], np.int32))]
    if op.kind == "RESHAPE":
        return [constant(op, "shape", np.array((1, *net.target(op).shape), np.int32))]
    if op.kind == "PRELU":
        slopes = op.weights.reshape(-1) if len(net.source(op).shape) == 1 else op.weights
        return [replace(constant(op, "slopes", slopes), scales=(op.alpha,))]
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


def constant(op: QuantOp, name: str, data: np.ndarray) -> TensorSpec:
    return TensorSpec(f"{op.name}/{name}", data.shape, data)
