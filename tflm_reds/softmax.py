"""TFLM's int8 softmax in gemmlowp fixed point: output scale 1/256, zero point -128.

The exponentials depend only on (max - x) in 0..255, so they are one table of 256 entries that
the generated C carries; only the reciprocal of their sum is computed at run time.
"""

import math

import numpy as np

from tflm_reds.fixed_point import (
    INT32_MAX,
    doubling_high_multiply,
    quantize_multiplier,
    rounding_divide_by_power_of_two,
)

_DIFF_INTEGER_BITS = 5
_SUM_INTEGER_BITS = 12
_EXP_CONSTANTS = (  # (power of two, exp(-2**power) in Q0.31)
    (-2, 1672461947),
    (-1, 1302514674),
    (0, 790015084),
    (1, 290630308),
    (2, 39332535),
    (3, 720401),
    (4, 242),
)


def softmax_exponentials(input_scale: float, beta: float = 1.0) -> np.ndarray:
    """Table [256] int32, Q0.31: exp(-d * scale) for d = max - x; 0 where TFLM underflows."""
    real = min(
        beta * float(np.float32(input_scale)) * (1 << (31 - _DIFF_INTEGER_BITS)),
        float(INT32_MAX),
    )
    multiplier, shift = quantize_multiplier(real)
    largest = (1 << _DIFF_INTEGER_BITS) - 1
    radius = math.floor(largest * (1 << (31 - _DIFF_INTEGER_BITS)) / 2**shift)
    differences = -np.arange(256, dtype=np.int64)
    used = differences >= -radius
    rescaled = doubling_high_multiply(np.where(used, differences, 0) << shift, multiplier)
    return np.where(used, _exp_on_negative(rescaled), 0).astype(np.int32)


def softmax_int8(x: np.ndarray, input_scale: float) -> np.ndarray:
    """int8 softmax over the last axis."""
    differences = x.max(axis=-1, keepdims=True).astype(np.int64) - x
    exponentials = softmax_exponentials(input_scale).astype(np.int64)[differences]
    sums = rounding_divide_by_power_of_two(exponentials, _SUM_INTEGER_BITS).sum(-1, keepdims=True)
    reciprocal, bits_over_unit = _reciprocal(sums)
    product = doubling_high_multiply(reciprocal, exponentials)
    outputs = rounding_divide_by_power_of_two(product, bits_over_unit + 31 - 8) - 128
    return np.where(exponentials > 0, np.clip(outputs, -128, 127), -128).astype(np.int8)


def _exp_on_negative(a: np.ndarray) -> np.ndarray:
    """gemmlowp exp_on_negative_values: Q5.26 argument <= 0 to Q0.31."""
    fraction_bits = 31 - _DIFF_INTEGER_BITS
    quarter = 1 << (fraction_bits - 2)
    mod = (a & (quarter - 1)) - quarter
    result = _exp_between_minus_quarter_and_zero(mod << _DIFF_INTEGER_BITS)
    remainder = mod - a
    for power, constant in _EXP_CONSTANTS:
        if power < _DIFF_INTEGER_BITS:
            bit = 1 << (fraction_bits + power)
            result = np.where(remainder & bit, doubling_high_multiply(result, constant), result)
    return np.where(a == 0, INT32_MAX, result)


def _exp_between_minus_quarter_and_zero(a: np.ndarray) -> np.ndarray:
    """Taylor series around -1/8, Q0.31."""
    x = a + (1 << 28)
    x2 = doubling_high_multiply(x, x)
    x3 = doubling_high_multiply(x2, x)
    x4 = doubling_high_multiply(x2, x2)
    x4_over_4 = rounding_divide_by_power_of_two(x4, 2)
    third = doubling_high_multiply(x4_over_4 + x3, 715827883)
    series = rounding_divide_by_power_of_two(third + x2, 1)
    return 1895147668 + doubling_high_multiply(np.int64(1895147668), x + series)


def _reciprocal(sums: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """GetReciprocal: (Q0.31 of 1 / sum scaled to [1, 2), bits of the sum above one)."""
    leading_zeros = 31 - np.floor(np.log2(sums)).astype(np.int64)
    shifted = ((sums.astype(np.int64) << leading_zeros) - (1 << 31)).astype(np.int64)
    return _one_over_one_plus_x(shifted), _SUM_INTEGER_BITS - leading_zeros


def _one_over_one_plus_x(a: np.ndarray) -> np.ndarray:
    """gemmlowp one_over_one_plus_x_for_x_in_0_1: three Newton-Raphson steps in Q2.29."""
    half_denominator = (a + INT32_MAX + 1) >> 1
    x = 1515870810 + doubling_high_multiply(half_denominator, -1010580540)
    for _ in range(3):
        one_minus = (1 << 29) - doubling_high_multiply(half_denominator, x)
        # Q2.29 x Q2.29 = Q4.27; rescaling to Q2.29 is a saturating shift by two.
        x = x + np.clip(doubling_high_multiply(x, one_minus) << 2, -(2**31), INT32_MAX)
    return np.clip(x << 1, -(2**31), INT32_MAX)
