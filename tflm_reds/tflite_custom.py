"""Our custom operators of a QuantizedNet's ops, with their constants: what codegen/tflm reads."""

from collections.abc import Sequence

import numpy as np

from tflm_reds.channel_order import are_prefixes
from tflm_reds.codegen.packing import pack_rows
from tflm_reds.codegen.passes.select_kernels import is_depthwise_3x3
from tflm_reds.element_wise import (
    TABLES,
    add_multipliers,
    lookup_table,
    prelu_multipliers,
    without_zero,
)
from tflm_reds.quantized import LINEAR_KINDS, QuantizedNet, QuantOp, same_padding
from tflm_reds.reference import mean_multiplier
from tflm_reds.tflite_schema import OperatorSpec, TensorSpec, flexbuffer_map
from tflm_reds.tflite_stock import constant

OPTIONS_VERSION = 5
"""Version of the custom ops' options; codegen/tflm/reds_options.h reads them."""

CUSTOM_KINDS = (
    *LINEAR_KINDS,
    *TABLES,
    "ADD",
    "PRELU",
    "CONCATENATION",
    "MAX_POOL_2D",
    "AVERAGE_POOL_2D",
    "MEAN",
    "PAD",
)
"""Kinds of ops that our custom ops replace; the others stay stock ops between them."""

SUBNET_INPUT = "subnet"
"""Name of the input tensor that selects the subnet."""

_CONVOLUTIONS = ("CONV_2D", "DEPTHWISE_CONV_2D")
_POOLS = ("MAX_POOL_2D", "AVERAGE_POOL_2D")


def custom_operator(
    net: QuantizedNet, op: QuantOp, first: bool, subnet_input: bool, scratch: int
) -> tuple[OperatorSpec, list[TensorSpec]]:
    """Our operator of `op` and its constants.

    Args:
        first: whether it is the first of our ops in the graph.
        subnet_input: whether it reads the subnet from the tensor SUBNET_INPUT.
        scratch: bytes of scratch memory that it may take, if it can do with less than all.
    """
    constants = _constants(net, op)
    inputs = (*op.inputs, *(tensor.name for tensor in constants), *[SUBNET_INPUT] * subnet_input)
    options = {
        "version": OPTIONS_VERSION,
        "first": int(first),
        "subnet_input": int(subnet_input),
        "scratch": scratch,
        **_options(net, op),
    }
    code = "REDS_LOOKUP" if op.kind in TABLES else f"REDS_{op.kind}"
    packed = flexbuffer_map(options)
    return OperatorSpec(code, inputs, (op.output,), custom_options=packed), constants


def _constants(net: QuantizedNet, op: QuantOp) -> list[TensorSpec]:
    """The one weight set, and tables of every subnet's active channels; slopes; a lookup table."""
    if op.kind == "PRELU":
        return [constant(op, "slopes", op.weights)]
    if op.kind in TABLES:
        return [constant(op, "table", lookup_table(net, op))]
    if not op.is_linear:
        return []
    multipliers, shifts = zip(
        *(net.requantisation(op, subnet) for subnet in range(net.subnet_count)), strict=True
    )
    return [
        constant(op, "weights", _weights(net, op)),
        constant(op, "bias", _table(op.biases)),
        constant(op, "multiplier", _table(multipliers)),
        constant(op, "shift", _table(shifts).astype(np.int8)),
    ]


def _weights(net: QuantizedNet, op: QuantOp) -> np.ndarray:
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


def _options(net: QuantizedNet, op: QuantOp) -> dict[str, int | list[int]]:
    sources = [net.tensors[name] for name in op.inputs]
    return {
        "positions": [source.positions for source in sources],
        "kernel": list(_window(op)),
        "stride": list(op.stride),
        "dilation": list(op.dilation),
        "padding": _padding(net, op),
        "activation": list(net.activation_range(op)),
        "inputs": [channels for source in sources for channels in source.channels],
        "outputs": list(net.target(op).channels),
        **_factors(net, op),
    }


def _window(op: QuantOp) -> tuple[int, int]:
    return op.kernel_size if op.kind in _CONVOLUTIONS else op.window


def _padding(net: QuantizedNet, op: QuantOp) -> list[int]:
    """[above, left]."""
    if op.kind == "PAD":
        return [op.pads[0], op.pads[2]]
    if op.padding != "SAME" or op.kind not in (*_CONVOLUTIONS, *_POOLS):
        return [0, 0]
    sizes = zip(net.source(op).shape[:2], _window(op), op.stride, op.dilation, strict=True)
    return [same_padding(*size)[0] for size in sizes]


def _factors(net: QuantizedNet, op: QuantOp) -> dict[str, list[int]]:
    """The fixed-point factors of ADD, PRELU and MEAN, as the kernels take them."""
    if op.kind == "ADD":
        add = add_multipliers(net, op)
        factors = list(map(without_zero, (*add.inputs, add.output)))
    elif op.kind == "PRELU":
        prelu = prelu_multipliers(net, op)
        factors = list(map(without_zero, (prelu.identity, prelu.slope)))
    elif op.kind == "MEAN":
        factors = [mean_multiplier(net, op)]
    else:
        return {}
    return {"factors": [number for factor in factors for number in factor]}


def _table(rows: Sequence[np.ndarray]) -> np.ndarray:
    """int32: the rows of all subnets, one value for each active channel, one after the other.

    The last row alone if it serves all subnets.
    """
    rows = rows[-1:] if are_prefixes(rows) else rows
    return np.concatenate(rows).astype(np.int32)
