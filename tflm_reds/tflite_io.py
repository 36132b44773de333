"""Writes a QuantizedNet as a .tflite file: sliced with stock ops, or nested with our custom ops."""

from dataclasses import replace
from pathlib import Path

import numpy as np

from tflm_reds.channel_order import sort_channels
from tflm_reds.errors import QuantizationError
from tflm_reds.files import write_bytes
from tflm_reds.quantized import QuantizedNet, QuantOp
from tflm_reds.quantized_tensor import QuantTensor
from tflm_reds.tflite_custom import CUSTOM_KINDS, SUBNET_INPUT, custom_operator
from tflm_reds.tflite_schema import ModelSpec, OperatorSpec, TensorSpec, serialize
from tflm_reds.tflite_stock import stock_operator
from tflm_reds.tflm_scratch import convolution_scratch

Part = tuple[OperatorSpec, list[TensorSpec]]
"""An operator and its constants."""


def write_stock_model(net: QuantizedNet, path: str | Path, per_tensor_dense: bool = False) -> Path:
    """Write a net of one subnet as a plain int8 .tflite of batch 1, stock ops only.

    Args:
        net: one subnet alone: `nested.slice(k)`.
        path: the file, written atomically; the same net gives the same bytes.
        per_tensor_dense: one weight scale for each FULLY_CONNECTED instead of one for each output.
            TFLM needs that before September 2024: it computed the other wrongly, without a word,
            until May 2024, and refused it from then on. The weights are rounded anew, so outputs
            differ a little from `net.run`.

    Raises:
        QuantizationError: if `net` holds several subnets, or an op without a stock form.
        OutputError: if the file cannot be written.
    """
    if net.subnet_count != 1:
        raise QuantizationError(
            f"A stock .tflite holds one network, {net.name} has {net.subnet_count} subnets. "
            "Write net.slice(k) for each, or all in one with write_reds_model()."
        )
    return write_bytes(
        path, serialize(_model(net, [stock_operator(net, op, per_tensor_dense) for op in net.ops]))
    )


def write_reds_model(
    net: QuantizedNet, path: str | Path, optimize: str = "speed", subnet_input: bool = False
) -> Path:
    """Write all subnets of `net` as one .tflite: our custom ops, and stock ops between them.

    One weight set, full static shapes, tables with entries for each subnet or some that all share.
    The ops are in codegen/tflm; which subnet runs is chosen at run time (reds_tflm.h).

    Args:
        optimize: "speed" gives convolutions more scratch memory than "ram" (`lower.SLACK`).
        subnet_input: the model gets a second input, int32 [1]: the subnet of each invocation.

    Raises:
        QuantizationError: if an op has no stock form, or mixes channels that a subnet lacks; for
            another `optimize`.
        OutputError: if the file cannot be written.
    """
    net = sort_channels(net)
    scratch = convolution_scratch(net, optimize)
    ours = [op.name for op in net.ops if op.kind in CUSTOM_KINDS]
    parts = [
        custom_operator(net, op, op.name == ours[0], subnet_input, scratch.get(op.name, 0))
        if op.name in ours
        else _stock_between(net, op)
        for op in net.ops
    ]
    parts = _without_flattens(net, parts)
    return write_bytes(path, serialize(_model(net, parts, subnet_input)))


def _without_flattens(net: QuantizedNet, parts: list[Part]) -> list[Part]:
    """Our fully connected op reads the image itself: no copy of it takes time and arena."""
    flattened = {
        op.output: op.inputs[0]
        for op in net.ops
        if op.kind == "RESHAPE" and _readers(net, op.output) == {"FULLY_CONNECTED"}
    }
    return [
        (replace(operator, inputs=tuple(flattened.get(n, n) for n in operator.inputs)), constants)
        for operator, constants in parts
        if operator.outputs[0] not in flattened
    ]


def _readers(net: QuantizedNet, name: str) -> set[str]:
    """Kinds of the ops that read a tensor."""
    return {op.kind for op in net.ops if name in op.inputs}


def _model(net: QuantizedNet, parts: list[Part], subnet_input: bool = False) -> ModelSpec:
    activations = [_activation(tensor) for tensor in net.tensors.values()]
    selectors = [TensorSpec(SUBNET_INPUT, (1,), dtype=np.int32)] * subnet_input
    constants = [tensor for _, tensors in parts for tensor in tensors]
    operators = tuple(operator for operator, _ in parts)
    inputs = (net.input.name, *(tensor.name for tensor in selectors))
    tensors = (*activations, *selectors, *constants)
    return ModelSpec(net.name, tensors, operators, inputs, (net.output.name,))


def _activation(tensor: QuantTensor) -> TensorSpec:
    shape = (1, *tensor.shape)
    return TensorSpec(tensor.name, shape, scales=(tensor.scale,), zero_point=tensor.zero_point)


def _stock_between(net: QuantizedNet, op: QuantOp) -> Part:
    """A stock operator between ours: it sees all channels, the inactive ones at the zero point."""
    channels = net.source(op).channels
    if op.kind == "SOFTMAX" and len(set(channels)) > 1:
        raise QuantizationError(
            f"SOFTMAX {op.name} would sum over the inactive channels of a smaller subnet: its "
            f"input has {channels} channels. Keep the classes of the model uncut."
        )
    return stock_operator(net, op)
