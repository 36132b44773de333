"""Pairs of weight rows, packed for the kernels, against one weight at a time."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tflm_reds.codegen.packing import GROUP_ORDER, pack_pairs, packed_bytes, unpack_pairs
from tflm_reds.errors import QuantizationError

shapes = st.tuples(st.integers(1, 9), st.integers(1, 7), st.integers(1, 19))
seeds = st.integers(0, 2**32 - 1)


def draw(shape: tuple[int, int, int], seed: int) -> np.ndarray:
    """Weights of which half are extreme."""
    random = np.random.default_rng(seed)
    ends = random.choice(np.array([-127, 127], np.int8), shape)
    return np.where(random.random(shape) < 0.5, ends, random.integers(-127, 128, shape, np.int8))


@given(shapes, seeds)
def test_unpack_is_the_inverse(shape, seed):
    weights = draw(shape, seed)
    packed = pack_pairs(weights)
    assert packed.dtype == np.int8 and packed.shape == (packed_bytes(*shape),)
    unpacked = unpack_pairs(packed, *shape)
    assert unpacked.dtype == np.int8
    np.testing.assert_array_equal(unpacked, weights)


@given(shapes, seeds, st.data())
def test_place_of_one_weight(shape, seed, data):
    """The mix of a weight and its partner, where reds_block.h says that it is."""
    weights = draw(shape, seed)
    rows, segments, inputs = shape
    row, segment, i = (data.draw(st.integers(0, size - 1)) for size in shape)
    groups = -(-inputs // 4)
    pair, group = (row // 2 * segments + segment) * groups, i // 4
    place = 4 * (pair + group) + GROUP_ORDER.index(i % 4)
    even = int(weights[row & ~1, segment, i])
    odd = int(weights[row | 1, segment, i]) if (row | 1) < rows else 0
    assert pack_pairs(weights).view("<i2")[place] == 256 * odd + even


@given(shapes, seeds)
def test_what_fills_up_is_zero(shape, seed):
    """Packing what was unpacked at the filled-up shape adds nothing."""
    rows, segments, inputs = shape
    packed = pack_pairs(draw(shape, seed))
    filled = unpack_pairs(packed, rows + rows % 2, segments, inputs + -inputs % 4)
    assert not filled[rows:].any() and not filled[..., inputs:].any()
    np.testing.assert_array_equal(pack_pairs(filled), packed)


@given(shapes, seeds, st.data())
def test_least_int8_is_refused(shape, seed, data):
    weights = draw(shape, seed)
    weights[tuple(data.draw(st.integers(0, size - 1)) for size in shape)] = -128
    with pytest.raises(QuantizationError, match="weights are -128"):
        pack_pairs(weights)
