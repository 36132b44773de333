"""Lower a QuantizedNet to a Program: explicit padding, packed weights, tables, then the passes."""

from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np

from tflm_reds.channel_order import sort_channels
from tflm_reds.codegen.passes.check_overflow import check_overflow
from tflm_reds.codegen.passes.fuse_lookup import fuse_lookup
from tflm_reds.codegen.passes.fuse_pad import fuse_pad
from tflm_reds.codegen.passes.pack_weights import pack_weights
from tflm_reds.codegen.passes.plan_arena import least_bytes, plan_arena
from tflm_reds.codegen.passes.resolve_reshapes import resolve_reshapes
from tflm_reds.codegen.passes.save_scratch import save_scratch
from tflm_reds.codegen.passes.select_kernels import Candidate, select_kernels
from tflm_reds.codegen.program import Edge, Op, OutputTable, Program
from tflm_reds.element_wise import (
    TABLES,
    Multiplier,
    add_multipliers,
    lookup_table,
    prelu_multipliers,
    without_zero,
)
from tflm_reds.errors import QuantizationError
from tflm_reds.quantized import QuantizedNet, QuantOp, same_padding
from tflm_reds.quantized_tensor import QuantTensor
from tflm_reds.reference import mean_multiplier
from tflm_reds.softmax import softmax_exponentials

PASSES = (check_overflow, fuse_pad, fuse_lookup, resolve_reshapes)

SLACK = {"speed": 1.20, "ram": 1.05}
"""What `optimize` means: how far scratch memory may raise the arena above the live tensors."""


def lower(
    net: QuantizedNet,
    optimize: str = "speed",
    ram: Sequence[int | None] | None = None,
    chosen: Mapping[str, Candidate] | None = None,
) -> Program:
    """The program of `net`, complete: kernels chosen, one arena offset for each tensor.

    Args:
        optimize: "speed" gives kernels more scratch memory than "ram"; see SLACK.
        ram: bytes that scratch may not raise the arena of an image cut to subnets 0..k above; one
            for each subnet, None for no limit. Tensors take what they need all the same.
        chosen: measured choices of kernels, as `tuning.tune` makes them; by shape where left out.

    Raises:
        QuantizationError: if an accumulator may overflow, the input or output is cut, or a
            flattened tensor is used where its channel-major order would be wrong; for another
            `optimize`.
    """
    if optimize not in SLACK:
        raise QuantizationError(f"optimize={optimize!r} is none of {', '.join(map(repr, SLACK))}.")
    limits = [None] * net.subnet_count if ram is None else list(ram)
    images = [_lower_image(net, optimize, limits[-1], chosen)]
    for k in reversed(range(net.subnet_count - 1)):
        # Scratch must not make a smaller image's arena larger than that of the next one.
        next_size = images[0].arena_sizes[-1]
        limit = next_size if limits[k] is None else min(limits[k], next_size)
        images.insert(0, _lower_image(net.keep(range(k + 1)), optimize, limit, chosen))
    return replace(
        images[-1],
        arena_sizes=tuple(image.arena_sizes[-1] for image in images),
        live_sizes=tuple(image.live_sizes[-1] for image in images),
    )


def _lower_image(
    net: QuantizedNet,
    optimize: str,
    ram: int | None,
    chosen: Mapping[str, Candidate] | None,
) -> Program:
    """Like `lower`, but the sizes are those of this program alone."""
    program = select_kernels(prepare(net), chosen)
    live = least_bytes(program)
    if optimize == "ram":
        limit = int(SLACK[optimize] * live)
        program = save_scratch(program, limit if ram is None else min(limit, ram))
    return plan_arena(pack_weights(program), SLACK[optimize], ram, live)


def prepare(net: QuantizedNet) -> Program:
    """The ops in their final form, but for kernels, the order of weights, and memory."""
    program = translate(sort_channels(net))
    for step in PASSES:
        program = step(program)
    return program


def translate(net: QuantizedNet) -> Program:
    """One op for each op of a net of sorted channels; nothing fused, chosen or placed yet."""
    for tensor in (net.input, net.output):
        if any(channels != tensor.full_channels for channels in tensor.channels):
            raise QuantizationError(
                f"Tensor {tensor.name} is an input or output of {net.name} and has widths "
                f"{tensor.channels}: it must keep all {tensor.full_channels} channels in each "
                "subnet. Leave the group of this layer out of the plan."
            )
    return Program(
        name=net.name,
        edges={name: _edge(tensor) for name, tensor in net.tensors.items()},
        ops=tuple(_op(net, op) for op in net.ops),
        input=net.input.name,
        output=net.output.name,
        budgets=net.budgets,
        labels=net.labels,
    )


def _edge(tensor: QuantTensor) -> Edge:
    height, width = (1, 1, *tensor.shape)[-3:-1]
    features = tuple(channels * tensor.positions for channels in tensor.channels)
    shape = (height, width, features, tensor.shape[-1])
    return Edge(tensor.name, *shape, tensor.scale, tensor.zero_point)


def _op(net: QuantizedNet, op: QuantOp) -> Op:
    lowered = Op(
        kind=op.kind,
        name=op.name,
        sources=op.inputs,
        target=op.output,
        stride=op.stride,
        dilation=op.dilation,
        macs=tuple(net.op_macs(op, k) for k in range(net.subnet_count)),
    )
    if op.is_linear:
        return _linear(net, op, lowered)
    if op.kind in ("MAX_POOL_2D", "AVERAGE_POOL_2D"):
        padding = _padding(net, op, op.window)
        activation = net.activation_range(op)
        return replace(lowered, window=op.window, padding=padding, activation=activation)
    if op.kind == "PAD":
        return replace(lowered, padding=(op.pads[0], op.pads[2]))
    if op.kind == "PRELU":
        slopes = op.weights.reshape(-1, op.weights.shape[2])
        return replace(lowered, weights=slopes, multipliers=_multipliers(net, op))
    if op.kind in ("MEAN", "ADD"):
        activation = net.activation_range(op)
        return replace(lowered, activation=activation, multipliers=_multipliers(net, op))
    return replace(lowered, lookup=_lookup(net, op))


def _multipliers(net: QuantizedNet, op: QuantOp) -> tuple[Multiplier, ...]:
    if op.kind == "MEAN":
        return (mean_multiplier(net, op),)
    if op.kind == "PRELU":
        prelu = prelu_multipliers(net, op)
        return without_zero(prelu.identity), without_zero(prelu.slope)
    add = add_multipliers(net, op)
    return tuple(map(without_zero, (*add.inputs, add.output)))


def _linear(net: QuantizedNet, op: QuantOp, lowered: Op) -> Op:
    window = (1, 1) if op.kind == "FULLY_CONNECTED" else op.kernel_size
    padding = (0, 0) if op.kind == "FULLY_CONNECTED" else _padding(net, op, window)
    return replace(
        lowered,
        window=window,
        padding=padding,
        activation=net.activation_range(op),
        zero_point=net.target(op).zero_point,
        weights=_pack(op),
        tables=tuple(output_table(net, op, k) for k in range(net.subnet_count)),
    )


def _pack(op: QuantOp) -> np.ndarray:
    """[outputs, taps, inputs], or [taps, channels]; a fully connected layer: [.., positions]."""
    if op.kind == "CONV_2D":
        return op.weights.reshape(len(op.weights), -1, op.weights.shape[-1])
    if op.kind == "DEPTHWISE_CONV_2D":
        return op.weights.reshape(-1, op.weights.shape[-1])
    return op.weights


def output_table(net: QuantizedNet, op: QuantOp, subnet: int) -> OutputTable:
    """Bias, multiplier and shift of each active output, as the kernels take them."""
    multiplier, shift = net.requantisation(op, subnet)
    # The kernels take multipliers in [2^30, 2^31): zero becomes 2^30 * 2^(-31 - 31), which rounds
    # every accumulator that check_overflow lets through to zero as well.
    zero = multiplier == 0
    multiplier, shift = np.where(zero, 1 << 30, multiplier), np.where(zero, -31, shift)
    shift = np.clip(shift, -128, 127)  # check_overflow refuses what is far beyond
    return OutputTable(op.biases[subnet], multiplier.astype(np.int32), shift.astype(np.int8))


def _lookup(net: QuantizedNet, op: QuantOp) -> np.ndarray | None:
    if op.kind in TABLES:
        return lookup_table(net, op)
    return softmax_exponentials(net.source(op).scale) if op.kind == "SOFTMAX" else None


def _padding(net: QuantizedNet, op: QuantOp, kernel: tuple[int, int]) -> tuple[int, int]:
    """(top, left)."""
    if op.padding == "VALID":
        return 0, 0
    axes = zip(net.source(op).shape[:2], kernel, op.stride, op.dilation, strict=True)
    top, left = (same_padding(*axis)[0] for axis in axes)
    return top, left
