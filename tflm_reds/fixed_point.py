"""Integer arithmetic of TensorFlow Lite Micro, vectorised: double rounding everywhere.

Bit-exact with TFLM (gemmlowp's fixed point), not with LiteRT/XNNPACK, which rounds once.
"""

import math

import numpy as np

INT32_MIN = -(2**31)
INT32_MAX = 2**31 - 1


def quantize_multiplier(real: float) -> tuple[int, int]:
    """Write `real` > 0 as `multiplier * 2**(shift - 31)`, multiplier in [2**30, 2**31).

    `real` is a double; it must come from the float32 scales as stored in the model.
    """
    if real == 0.0:
        return 0, 0
    fraction, shift = math.frexp(real)
    multiplier = math.floor(fraction * 2**31 + 0.5)
    if multiplier == 2**31:
        multiplier //= 2
        shift += 1
    if shift < -31:
        return 0, 0
    return multiplier, shift


def quantize_multipliers(reals: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """`quantize_multiplier` for each element: (int32 multipliers, int32 shifts)."""
    pairs = [quantize_multiplier(float(real)) for real in np.asarray(reals, np.float64)]
    multipliers, shifts = zip(*pairs, strict=True) if pairs else ((), ())
    return np.array(multipliers, np.int32), np.array(shifts, np.int32)


def doubling_high_multiply(a: np.ndarray, b: np.ndarray | int) -> np.ndarray:
    """SaturatingRoundingDoublingHighMul: (a * b) / 2**31, rounded half away from zero."""
    product = np.asarray(a, np.int64) * np.asarray(b, np.int64)
    nudged = product + np.where(product >= 0, 1 << 30, 1 - (1 << 30))
    # C division truncates towards zero; numpy's floors.
    quotient = np.where(nudged >= 0, nudged >> 31, -((-nudged) >> 31))
    return np.minimum(quotient, INT32_MAX)


def rounding_divide_by_power_of_two(x: np.ndarray, exponent: np.ndarray | int) -> np.ndarray:
    """RoundingDivideByPOT: x / 2**exponent, rounded half away from zero; int64 in and out."""
    x = np.asarray(x, np.int64)
    mask = (np.int64(1) << np.asarray(exponent, np.int64)) - 1
    threshold = (mask >> 1) + (x < 0)
    return (x >> exponent) + ((x & mask) > threshold)


def multiply_by_quantized_multiplier(
    x: np.ndarray, multiplier: np.ndarray | int, shift: np.ndarray | int
) -> np.ndarray:
    """Requantise int32 accumulators `x`; a positive shift is applied before the multiply."""
    shift = np.asarray(shift, np.int64)
    shifted = np.asarray(x, np.int64) << np.maximum(shift, 0)
    # TFLM keeps the shifted value in 32 bits; the quantiser refuses networks that overflow here.
    high = doubling_high_multiply(shifted.astype(np.int32), multiplier)
    return rounding_divide_by_power_of_two(high, np.maximum(-shift, 0))


def round_half_away(x: np.ndarray) -> np.ndarray:
    """C's round(): half away from zero (numpy's rint rounds half to even)."""
    return np.where(np.asarray(x) >= 0, np.floor(np.abs(x) + 0.5), -np.floor(np.abs(x) + 0.5))
