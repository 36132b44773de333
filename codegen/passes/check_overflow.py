"""Refuse a network whose accumulators, at their worst, leave 32 bits in some subnet."""

import numpy as np

from tflm_reds.codegen.program import Op, Program
from tflm_reds.errors import QuantizationError

# Room for the output's zero point, which is added after the requantisation.
LIMIT = 2**31 - 256


def check_overflow(program: Program) -> Program:
    """The program itself.

    Raises:
        QuantizationError: naming the op, the subnet and the number.
    """
    for op in program.ops:
        for subnet in range(program.subnet_count):
            worst = worst_accumulator(program, op, subnet)
            if worst > LIMIT:
                raise QuantizationError(
                    f"{op.kind} {op.name} may reach an accumulator of {worst} in subnet {subnet}, "
                    f"shift included; 32 bits hold {LIMIT}. Split the layer, lower its bias, or "
                    "calibrate with data that gives its output a wider range."
                )
    return program


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
    if not op.tables:
        return 0  # ADD cannot overflow: its factors are below one
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
