"""Packed images become uint8 arrays [n, height, width, channels]."""

from pathlib import Path

import numpy as np
import tensorflow as tf

from tflm_reds.datasets.checksums import broken_file


def decode_differences(packed: np.ndarray) -> np.ndarray:
    """Undo lossless 2-D differences: uint8 [channels, n, height, width], modulo 256.

    Of three channels, red and blue are stored as differences to green.
    """
    x = np.cumsum(np.cumsum(packed, axis=2, dtype=np.uint8), axis=3, dtype=np.uint8)
    x = np.moveaxis(x, 0, -1).copy()
    if x.shape[-1] == 3:
        x[..., 0] += x[..., 1]
        x[..., 2] += x[..., 1]
    return x


def decode_jpegs(
    path: Path, scans: np.ndarray, lengths: np.ndarray, header: bytes = b"", end: bytes = b""
) -> np.ndarray:
    """Decode colour JPEGs that lie one after the other.

    Args:
        path: of the file they come from, for messages.
        scans: uint8, all files without what they have in common.
        lengths: of each in bytes.
        header, end: what every file begins and ends with.

    Raises:
        DataError: if an image is broken.
    """
    stops, buffer = np.cumsum(lengths.astype(np.int64)), scans.tobytes()
    files = [header + buffer[stop - n : stop] + end for stop, n in zip(stops, lengths, strict=True)]
    images = tf.data.Dataset.from_tensor_slices(files).map(
        _decode, num_parallel_calls=tf.data.AUTOTUNE
    )
    try:
        return np.concatenate(list(images.batch(1024).as_numpy_iterator()))
    except tf.errors.InvalidArgumentError as error:
        raise broken_file(path, "it holds a broken JPEG") from error


def _decode(file: tf.Tensor) -> tf.Tensor:
    # The accurate transform gives the pixels that other decoders give.
    return tf.io.decode_jpeg(file, channels=3, dct_method="INTEGER_ACCURATE")


def to_unit_range(x: np.ndarray) -> np.ndarray:
    """uint8 0..255 as float32 0..1."""
    return x.astype(np.float32) / 255
