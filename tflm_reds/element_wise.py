"""Integer constants and tables of TFLM's element-wise int8 ops.

An op of one int8 value is a table of its 256 outputs, made by a bit-exact model of TFLM's kernel;
ADD and PRELU get fixed-point multipliers.
"""

from dataclasses import dataclass

import numpy as np

from tflm_reds.errors import QuantizationError
from tflm_reds.fixed_point import (
    multiply_by_quantized_multiplier,
    quantize_multiplier,
    rounding_divide_by_power_of_two,
)
from tflm_reds.quantized import QuantizedNet, QuantOp, activation_range

TABLES = ("LEAKY_RELU", "RELU", "RELU6", "HARD_SWISH")
"""Ops that `lookup_table` makes a table of."""

Multiplier = tuple[int, int]
"""(multiplier, shift): a real factor multiplier * 2^(shift - 31)."""

ADD_LEFT_SHIFT = 20
"""Bits that TFLM's int8 ADD gives to its inputs before it rescales them."""

_INT16 = -(2**15), 2**15 - 1


@dataclass(frozen=True)
class AddMultipliers:
    """Factors of ADD: of both inputs, shifted left by ADD_LEFT_SHIFT bits, and of their sum."""

    inputs: tuple[Multiplier, Multiplier]
    output: Multiplier


@dataclass(frozen=True)
class PreluMultipliers:
    """Factors of PRELU: of inputs >= 0, and of negative inputs times their int8 slope."""

    identity: Multiplier
    slope: Multiplier


def lookup_table(net: QuantizedNet, op: QuantOp) -> np.ndarray:
    """Output of one of TABLES for each of the 256 int8 inputs -128..127."""
    if op.kind == "LEAKY_RELU":
        return leaky_relu_table(net, op)
    return hard_swish_table(net, op) if op.kind == "HARD_SWISH" else relu_table(net, op)


def leaky_relu_table(net: QuantizedNet, op: QuantOp) -> np.ndarray:
    """Output of LEAKY_RELU for each of the 256 int8 inputs -128..127."""
    source, target = net.source(op), net.target(op)
    scale_in, scale_out = np.float32(source.scale), np.float32(target.scale)
    # TFLM computes both ratios in float32 before it widens them.
    identity = quantize_multiplier(float(scale_in / scale_out))
    slope = quantize_multiplier(float(scale_in * np.float32(op.alpha) / scale_out))
    values = np.arange(-128, 128) - source.zero_point
    scaled = np.where(
        values >= 0,
        multiply_by_quantized_multiplier(values, *identity),
        multiply_by_quantized_multiplier(values, *slope),
    )
    return np.clip(scaled + target.zero_point, -128, 127).astype(np.int8)


def relu_table(net: QuantizedNet, op: QuantOp) -> np.ndarray:
    """Output of a stand-alone RELU or RELU6 for each of the 256 int8 inputs -128..127."""
    source, target = net.source(op), net.target(op)
    if op.kind == "RELU6":
        # TFLM only clamps: input and output of RELU6 share scale and zero point.
        return np.clip(np.arange(-128, 128), *activation_range("relu6", source)).astype(np.int8)
    ratio = float(np.float32(source.scale) / np.float32(target.scale))
    values = np.arange(-128, 128) - source.zero_point
    scaled = multiply_by_quantized_multiplier(values, *quantize_multiplier(ratio))
    low, high = activation_range("relu", target)
    return np.clip(scaled + target.zero_point, low, high).astype(np.int8)


def hard_swish_table(net: QuantizedNet, op: QuantOp) -> np.ndarray:
    """Output of HARD_SWISH for each of the 256 int8 inputs -128..127 (all in 16-bit steps).

    Raises:
        QuantizationError: if the input's scale is 128 times the output's or more.
    """
    source, target = net.source(op), net.target(op)
    fine_scale = np.float32(1 / 128) * np.float32(source.scale)
    output, output_shift = quantize_multiplier(float(fine_scale / np.float32(target.scale)))
    gate, gate_shift = quantize_multiplier(float(fine_scale / np.float32(3 / 32768)))
    if output_shift > 0:
        raise QuantizationError(
            f"HARD_SWISH {op.name} goes from a scale of {source.scale:.3g} to {target.scale:.3g}: "
            "TFLM takes less than 128 times. Calibrate with data that gives it a wider output."
        )
    values = (np.arange(-128, 128) - source.zero_point) * 128
    product = _truncating_high_multiply(
        _hard_sigmoid(values, _to_int16(gate), gate_shift),
        _rounding_high_multiply(values, _to_int16(output)),
    )
    scaled = rounding_divide_by_power_of_two(product, -output_shift)
    return np.clip(scaled + target.zero_point, -128, 127).astype(np.int8)


def add_multipliers(net: QuantizedNet, op: QuantOp) -> AddMultipliers:
    """The fixed-point factors of ADD.

    Raises:
        QuantizationError: if an input's scale is 2^19 times the output's or more.
    """
    scales = [float(np.float32(net.tensors[name].scale)) for name in op.inputs]
    twice_largest = 2 * max(scales)
    output = twice_largest / (2**ADD_LEFT_SHIFT * float(np.float32(net.target(op).scale)))
    if output >= 1:
        raise QuantizationError(
            f"ADD {op.name} goes from a scale of {max(scales):.3g} to {net.target(op).scale:.3g}: "
            "TFLM takes less than 2^19 times. Calibrate with data that gives it a wider output."
        )
    first, second = (quantize_multiplier(scale / twice_largest) for scale in scales)
    return AddMultipliers((first, second), quantize_multiplier(output))


def prelu_multipliers(net: QuantizedNet, op: QuantOp) -> PreluMultipliers:
    """The fixed-point factors of PRELU."""
    scale_in, scale_out = (float(np.float32(t.scale)) for t in (net.source(op), net.target(op)))
    identity = quantize_multiplier(scale_in / scale_out)
    slope = quantize_multiplier(scale_in * float(np.float32(op.alpha)) / scale_out)
    return PreluMultipliers(identity, slope)


def without_zero(factor: Multiplier) -> Multiplier:
    """The same factor with a multiplier in [2^30, 2^31), as our kernels take it.

    TFLM's zero becomes 2^30 * 2^(-31 - 31), which rounds everything below 2^30 to zero as well.
    """
    return factor if factor[0] else (1 << 30, -31)


def _hard_sigmoid(values: np.ndarray, multiplier: int, shift: int) -> np.ndarray:
    """relu6(x + 3) / 6 in Q0.15, for values of 1/128 of the input's step."""
    # All but the last bit of a left shift comes first: saturation there cannot change the result.
    scaled = np.clip(values << max(shift - 1, 0), *_INT16)
    scaled = _rounding_high_multiply(scaled, multiplier)
    if shift > 0:
        scaled = np.clip(scaled << 1, *_INT16)
    else:
        scaled = rounding_divide_by_power_of_two(scaled, -shift)
    return (scaled + 2**15) >> 1


def _to_int16(multiplier: int) -> int:
    """DownScaleInt32ToInt16Multiplier."""
    return min((multiplier + 2**15) >> 16, _INT16[1])


def _rounding_high_multiply(a: np.ndarray, b: int) -> np.ndarray:
    """SaturatingRoundingDoublingHighMul of int16: a * b / 2^15, rounded half away from zero."""
    product = a.astype(np.int64) * b
    magnitude = (np.abs(product) + 2**14 - (product < 0)) >> 15
    return np.sign(product) * magnitude


def _truncating_high_multiply(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """SaturatingDoublingHighMul of int16: a * b / 2^15, towards zero."""
    product = a.astype(np.int64) * b
    return np.sign(product) * (np.abs(product) >> 15)
