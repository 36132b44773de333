"""The order in which kernels read weights: as many bytes as int8, packed offline.

A pair of rows 2r, 2r + 1 stands together: the mix 256 * w[2r + 1] + w[2r] of two weights is one
int16. The inputs of a row stand in groups of four, in the order 0 2 1 3; see reds_block.h.
"""

import numpy as np

from tflm_reds.errors import QuantizationError

GROUP = 4
GROUP_ORDER = [0, 2, 1, 3]


def pack_pairs(weights: np.ndarray) -> np.ndarray:
    """Weights int8 [rows, segments, inputs] in [-127, 127] as int8 [row pairs * bytes of a pair].

    Rows are filled up to an even number, and the inputs of a segment to a multiple of four, with
    zeros.

    Raises:
        QuantizationError: if a weight is -128, whose mix may not fit an int16.
    """
    if count := int((weights == -128).sum()):
        raise QuantizationError(
            f"{count} of {weights.size} weights are -128: kernels take -127 .. 127. Quantise "
            "symmetrically."
        )
    rows, segments, inputs = weights.shape
    padding = ((0, rows % 2), (0, 0), (0, -inputs % GROUP))
    grouped = np.pad(weights.astype(np.int16), padding)
    grouped = grouped.reshape(-1, 2, segments, groups(inputs), GROUP)
    mixes = (256 * grouped[:, 1] + grouped[:, 0])[..., GROUP_ORDER]
    return np.ascontiguousarray(mixes, "<i2").reshape(-1).view(np.int8)


def pack_rows(
    weights: np.ndarray, window: tuple[int, int], inputs: int, is_cut: bool
) -> np.ndarray:
    """Rows of `window` taps of `inputs` weights as int8 [row pairs, bytes of a pair]."""
    rows = len(weights)
    packed = pack_pairs(weights.reshape(rows, *segments_of(window, inputs, is_cut)))
    return packed.reshape((rows + 1) // 2, -1)


def unpack_pairs(packed: np.ndarray, rows: int, segments: int, inputs: int) -> np.ndarray:
    """The weights int8 [rows, segments, inputs] that `pack_pairs` was given."""
    mixes = packed.view("<i2").reshape(-1, segments, groups(inputs), GROUP)[..., GROUP_ORDER]
    low = mixes.astype(np.int8)
    high = ((mixes - low) >> 8).astype(np.int8)
    pairs = np.stack([low, high], axis=1).reshape(-1, segments, groups(inputs) * GROUP)
    return np.ascontiguousarray(pairs[:rows, :, :inputs])


def packed_bytes(rows: int, segments: int, inputs: int) -> int:
    """Size of what `pack_pairs` returns for weights of this shape."""
    return (rows + rows % 2) * segments * groups(inputs) * GROUP


def groups(inputs: int) -> int:
    """Groups that hold the inputs of a segment."""
    return -(-inputs // GROUP)


def segments_of(window: tuple[int, int], inputs: int, is_cut: bool) -> tuple[int, int]:
    """(segments, inputs of one) of a row of `window` taps with `inputs` each.

    A subnet that uses fewer inputs reads a prefix of each tap, so each is a segment of its own.
    Only taps of a few inputs, which filling up would make much longer, are one segment together.
    """
    taps = window[0] * window[1]
    return (taps, inputs) if is_cut or inputs > GROUP else (1, taps * inputs)


def halves(inputs: int) -> int:
    """Halves of groups that hold the inputs of a segment."""
    return inputs // GROUP * 2 + min(inputs % GROUP, 2)


def filter_stride(window: tuple[int, int], inputs: int, is_cut: bool) -> int:
    """Inputs from tap to tap: whole groups where a tap is a segment."""
    segments, _ = segments_of(window, inputs, is_cut)
    return groups(inputs) * GROUP if segments > 1 else inputs
