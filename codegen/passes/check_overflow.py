"""Refuse a network whose numbers, at their worst, leave what the kernels hold in some subnet."""

import numpy as np

from tflm_reds.codegen.program import Edge, Op, Program
from tflm_reds.errors import QuantizationError

# Room for the output's zero point, which is added after the requantisation.
LIMIT = 2**31 - 256
LARGEST_WEIGHT = 127
SHIFTS = (-31, 30)
# TFLM's sum of exponentials has 12 integer bits.
MOST_CLASSES = 4095


def check_overflow(program: Program) -> Program:
    """The program itself.

    Raises:
        QuantizationError: naming the op or the tensor, the subnet and the number.
    """
    for edge in program.edges.values():
        _check_tensor(edge)
    for op in program.ops:
        _check_weights(op)
        _check_factors(op)
        _check_classes(op, program.edges[op.source])
        for subnet in range(program.subnet_count):
            _check_accumulators(program, op, subnet)
    return program


def _check_tensor(edge: Edge) -> None:
    """Offsets are int32; x - zero point is in [-255, 255]: the packed kernels rely on it."""
    if edge.size >= 2**31:
        raise QuantizationError(
            f"Tensor {edge.name} takes {edge.size} bytes: 32-bit offsets reach 2 GiB. Use smaller "
            "inputs or fewer channels."
        )
    if not -128 <= edge.zero_point <= 127:
        raise QuantizationError(
            f"Tensor {edge.name} has the zero point {edge.zero_point}, which is no int8. Quantise "
            "the network again."
        )


def _check_weights(op: Op) -> None:
    """The packed kernels keep two weights in one int16 and sum 256 products of them in 24 bits."""
    if op.weights is not None and op.weights.size and op.weights.min() < -LARGEST_WEIGHT:
        raise QuantizationError(
            f"{op.kind} {op.name} has {np.count_nonzero(op.weights < -LARGEST_WEIGHT)} weights of "
            f"-128: kernels take -{LARGEST_WEIGHT} .. {LARGEST_WEIGHT}. Quantise symmetrically, "
            "as TensorFlow Lite does, or set these weights to -127."
        )


def _check_factors(op: Op) -> None:
    """Shifts beyond a word, and ADD's factors, which must stay below one."""
    factors = [shift for _, shift in op.multipliers]
    shifts = [*factors, *(int(shift) for table in op.tables for shift in table.shift)]
    low, high = SHIFTS[0], 0 if op.kind == "ADD" else SHIFTS[1]
    wrong = [shift for shift in shifts if not low <= shift <= high]
    if wrong:
        raise QuantizationError(
            f"{op.kind} {op.name} scales by 2^{wrong[0]}: kernels take 2^{low} to 2^{high}. "
            "Calibrate with data that gives its output a wider range."
        )


def _check_classes(op: Op, source: Edge) -> None:
    if op.kind == "SOFTMAX" and source.stride > MOST_CLASSES:
        raise QuantizationError(
            f"SOFTMAX {op.name} has {source.stride} classes: the sum of their exponentials holds "
            f"{MOST_CLASSES}. Leave the softmax out of the network; the largest logit tells the "
            "class as well."
        )


def _check_accumulators(program: Program, op: Op, subnet: int) -> None:
    worst = worst_accumulator(program, op, subnet)
    if worst > LIMIT:
        raise QuantizationError(
            f"{op.kind} {op.name} may reach an accumulator of {worst} in subnet {subnet}, "
            f"shift included; 32 bits hold {LIMIT}. Split the layer, lower its bias, or "
            "calibrate with data that gives its output a wider range."
        )


def worst_accumulator(program: Program, op: Op, subnet: int) -> int:
    """Largest |sum of products + bias| << shift over all int8 inputs and active outputs."""
    source = program.edges[op.source]
    reach = max(127 - source.zero_point, source.zero_point + 128)
    if op.kind == "MEAN":
        return _shifted(source.height * source.width * reach, op.multipliers[0])
    if op.kind == "PRELU":
        identity, slope = op.multipliers
        steepest = int(np.abs(op.weights.astype(int)).max())
        return max(_shifted(reach, identity), _shifted(reach * steepest, slope))
    if op.kind == "AVERAGE_POOL_2D":
        return op.window[0] * op.window[1] * 128
    if not op.tables:
        return 0  # ADD's inputs have 28 bits and its factors are below one
    table = op.tables[subnet]
    sums = _absolute_weights(op, source.channels[subnet], len(table.bias)) * reach
    sums += np.abs(table.bias.astype(np.int64))
    shifts = np.maximum(table.shift.astype(int), 0)
    return max(int(total) << int(shift) for total, shift in zip(sums, shifts, strict=True))


def _shifted(value: int, multiplier: tuple[int, int]) -> int:
    return value << max(multiplier[1], 0)


def _absolute_weights(op: Op, inputs: int, outputs: int) -> np.ndarray:
    """Sum of |weight| over the active inputs of each active output, int64 [outputs]."""
    magnitudes = np.abs(op.weights.astype(np.int64))
    if op.kind == "DEPTHWISE_CONV_2D":
        return magnitudes[:, :outputs].sum(axis=0)
    if op.kind == "FULLY_CONNECTED":
        return magnitudes[:outputs, : inputs // op.weights.shape[2]].sum(axis=(1, 2))
    return magnitudes[:outputs, :, :inputs].sum(axis=(1, 2))
