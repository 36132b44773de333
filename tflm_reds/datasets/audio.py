"""Audio clips become features: reading, shifting, background noise, MFCCs.

All as the reference trains its keyword nets (its code for Speech Commands): one second at 16 kHz,
windows of 40 ms every 20 ms, 10 coefficients of 40 mel bands from 20 to 4,000 Hz, not normalised.
"""

from pathlib import Path

import numpy as np
import tensorflow as tf

from tflm_reds.errors import DataError

RATE, CLIP = 16_000, 16_000  # samples per second and per clip
WINDOW, STRIDE = 640, 320
COEFFICIENTS, BANDS, LOWEST, HIGHEST = 10, 40, 20, 4000
LARGEST_SHIFT = 1600
NOISE_PROBABILITY, LOUDEST_NOISE = 0.8, 0.1


def read_wav(path: Path, samples: int = -1) -> np.ndarray:
    """Mono 16-bit samples in -1..1, float32, padded with zeros or cut to `samples` (-1: all).

    Raises:
        DataError: if the file is missing, broken, or has another rate or format.
    """
    try:
        audio, rate = tf.audio.decode_wav(path.read_bytes(), 1, samples)
    except (OSError, tf.errors.InvalidArgumentError) as error:
        reason = str(getattr(error, "message", error)).split("[Op")[0].strip()
        raise DataError(
            f"{path} is no intact 16-bit PCM wav file: {reason} Fetch it again or convert it."
        ) from error
    if rate != RATE:
        raise DataError(f"{path} has {rate} samples per second; {RATE} are needed. Resample it.")
    return audio.numpy()[:, 0]


@tf.function(input_signature=[tf.TensorSpec([None, CLIP], tf.float32)])
def mfcc(clips: tf.Tensor) -> tf.Tensor:
    """MFCCs [n, 49 frames, 10] of one-second clips [n, 16000] in -1..1."""
    spectrograms = tf.raw_ops.AudioSpectrogram(
        input=tf.transpose(clips), window_size=WINDOW, stride=STRIDE, magnitude_squared=True
    )
    return tf.raw_ops.Mfcc(
        spectrogram=spectrograms,
        sample_rate=RATE,
        lower_frequency_limit=LOWEST,
        upper_frequency_limit=HIGHEST,
        filterbank_channel_count=BANDS,
        dct_coefficient_count=COEFFICIENTS,
    )


def vary(clips: np.ndarray, noises: list[np.ndarray], random: np.random.Generator) -> np.ndarray:
    """Shift each clip [n, 16000] by up to 100 ms either way and mostly add background noise.

    Args:
        noises: recordings of more than a clip's length; none adds no noise.
    """
    shifts = random.integers(-LARGEST_SHIFT, LARGEST_SHIFT, len(clips))
    varied = np.stack([_shifted(clip, shift) for clip, shift in zip(clips, shifts, strict=True)])
    for clip in varied if noises else ():
        if random.random() < NOISE_PROBABILITY:
            noise = noises[random.integers(len(noises))]
            start = random.integers(len(noise) - CLIP)
            clip += random.uniform(0, LOUDEST_NOISE) * noise[start : start + CLIP]
    return np.clip(varied, -1, 1)


def _shifted(clip: np.ndarray, by: int) -> np.ndarray:
    """The clip `by` samples later, zeros in the gap."""
    moved = np.zeros_like(clip)
    if by >= 0:
        moved[by:] = clip[: len(clip) - by]
    else:
        moved[:by] = clip[-by:]
    return moved
