"""The requantisation of the kernels against integers of any size, on this host and a Cortex-M0."""

import struct

import pytest
from host_machine import KERNELS, Host
from hypothesis import given, settings
from hypothesis import strategies as st
from machines import CortexM

LEAST, MOST = -(2**31), 2**31 - 1
POWERS = {sign * 2**bit + step for bit in range(32) for sign in (1, -1) for step in (-1, 0, 1)}
HALVES = {high + low for high in (LEAST, -(2**16), MOST - 0xFFFF) for low in (0, 1, 0x7FFF, 0xFFFF)}
VALUES = sorted(value for value in POWERS | HALVES if LEAST <= value <= MOST)
FACTORS = [value for value in VALUES if value != LEAST]  # as in TFLM, whose product saturates there
SOURCE = """
#include "reds_support.h"
int32_t high_multiply(int32_t value, int32_t factor) { return reds_high_multiply(value, factor); }
int32_t by_halves(int32_t value, int32_t factor) {
  return reds_high_multiply_halves(value, factor);
}
int32_t requantise(int32_t value, int32_t multiplier, int32_t shift) {
  return reds_requantise_channel(value, multiplier, shift);
}
/* For how many pairs of a value and a factor the product by halves is wrong. */
int32_t differences(const int32_t *values, int32_t count, const int32_t *factors, int32_t others) {
  int32_t found = 0;
  for (int32_t i = 0; i < count; ++i) {
    for (int32_t j = 0; j < others; ++j) {
      const int64_t wide = (int64_t)values[i] * factors[j];
      const int32_t expected = (int32_t)((wide + (1 << 30)) >> 31);
      found += reds_high_multiply_halves(values[i], factors[j]) != expected;
    }
  }
  return found;
}
"""


@pytest.fixture(scope="module", params=["host", "cortex-m0", "cortex-m3", "cortex-m4f"])
def machine(request, tmp_path_factory):
    folder = tmp_path_factory.mktemp(request.param)
    source = folder / "requantise.c"
    source.write_text(SOURCE)
    sources = [source, KERNELS / "reds_support.c"]
    if request.param == "host":
        return Host(sources, folder)
    return CortexM(sources, folder, core=request.param)


def signed(word: int) -> int:
    return (word & 0xFFFFFFFF) - ((word & 0x80000000) << 1)


def high_multiply(value: int, factor: int) -> int:
    return (value * factor + 2**30) >> 31


def requantised(value: int, multiplier: int, shift: int) -> int:
    """TFLM's MultiplyByQuantizedMultiplier with double rounding."""
    if shift >= 0:
        return high_multiply(value << shift, multiplier)
    value = high_multiply(value, multiplier)
    magnitude = (abs(value) + (1 << (-shift - 1))) >> -shift
    return magnitude if value >= 0 else -magnitude


def call(machine, name: str, *arguments: int) -> int:
    return signed(machine.call(name, *(argument & 0xFFFFFFFF for argument in arguments)))


def test_product_by_halves_at_the_extremes(machine):
    columns = [struct.pack(f"<{len(c)}i", *c) for c in (VALUES, FACTORS)]
    values, factors = (machine.place(column, constant=True) for column in columns)
    arguments = (values, len(VALUES), factors, len(FACTORS))
    assert machine.call("differences", *arguments) == 0
    machine.free()


int32 = st.integers(LEAST, MOST) | st.sampled_from(VALUES)


@settings(max_examples=300, deadline=None)
@given(value=int32, factor=int32.filter(lambda factor: factor != LEAST))
def test_high_multiply(machine, value, factor):
    expected = high_multiply(value, factor)
    assert call(machine, "by_halves", value, factor) == expected
    assert call(machine, "high_multiply", value, factor) == expected


@settings(max_examples=300, deadline=None)
@given(value=int32, multiplier=st.integers(2**30, MOST), shift=st.integers(-31, 30))
def test_requantise(machine, value, multiplier, shift):
    if shift > 0:
        value >>= shift  # what the code generator guarantees
    assert call(machine, "requantise", value, multiplier, shift) == requantised(
        value, multiplier, shift
    )
