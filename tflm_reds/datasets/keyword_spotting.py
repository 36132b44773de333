"""Speech Commands as MFCC features, from `kws_speech_commands_mfcc.npz`.

P. Warden, "Speech Commands", arXiv 1804.03209, CC BY 4.0; 10 MFCCs of 49 frames of 40 ms every
20 ms; 12 classes in the order of the pretrained nets. Silence is zeroed audio, as the reference
tests it: rows of background noise are replaced by the features of digital silence.
"""

from pathlib import Path

import numpy as np

from tflm_reds.datasets.dataset import Dataset
from tflm_reds.datasets.files import read_data_file
from tflm_reds.errors import DataError

FILE = "kws_speech_commands_mfcc.npz"
SILENCE = 0  # class
TRAIN, VALIDATION, TEST = 0, 1, 2  # values of `split_b`
FRAMES = ("all", "every second")
ROWS, AUGMENTED_ROWS, FEATURES = 15019, 23951, (49, 10)
ARRAYS = {
    "mfcc_hi": ("u", (ROWS, *FEATURES)),
    "mfcc_lo": ("u", (ROWS, *FEATURES)),
    "label12": ("u", (ROWS,)),
    "labels12": ("U", (12,)),
    "canonical_test": ("b", (ROWS,)),
    "official_split": ("u", (ROWS,)),
    "split_b": ("u", (ROWS,)),
    "mfcc_zero_audio": ("f", FEATURES),
    "aug_u8": ("u", (AUGMENTED_ROWS, *FEATURES)),
    "aug_scale": ("f", (10,)),
    "aug_offset": ("f", (10,)),
    "aug_src": ("i", (AUGMENTED_ROWS,)),
    "aug_label12": ("u", (AUGMENTED_ROWS,)),
}


def load_kws(
    data_dir: str | Path | None = None, *, frames: str = "all", augmented: bool = True
) -> Dataset:
    """All 12 classes by the speaker-disjoint `split_b` of the canonical test set.

    Rows of silence are left out (no speaker, so they may leak). Accuracies on this test part are
    not comparable with published ones; for those see `load_kws_canonical_test`.

    The unlabelled part are the clips of the data set's own training partition that are here: 12 of
    its 36 words, by other speakers than any test; to learn a pretrained net's outputs from.

    Args:
        frames: "all", inputs (49, 10, 1); or "every second", inputs (250,) for the DNN.
        augmented: append three shifted, noisy variants of every training row of `split_b`; and to
            the unlabelled part those of its clips, and background noise.

    Raises:
        DataError: if the file is missing, truncated or another one.
    """
    _, arrays = read_data_file(FILE, data_dir, ARRAYS)
    x, y, split = _features(arrays), arrays["label12"].astype(np.int64), arrays["split_b"]
    train, validation, test = ((split == k) & (y != SILENCE) for k in (TRAIN, VALIDATION, TEST))
    official = arrays["official_split"] == TRAIN
    x_train, y_train, x_unlabelled = x[train], y[train], x[official]
    if augmented:
        source = arrays["aug_src"]
        noise, of_clip = source < 0, np.maximum(source, 0)
        more_x, more_y = _augmented(arrays, ~noise & train[of_clip])
        x_train, y_train = np.concatenate([x_train, more_x]), np.concatenate([y_train, more_y])
        more_x, _ = _augmented(arrays, noise | official[of_clip])
        x_unlabelled = np.concatenate([x_unlabelled, more_x])
    return Dataset(
        name="kws",
        x_train=shaped(x_train, frames),
        y_train=y_train,
        x_validation=shaped(x[validation], frames),
        y_validation=y[validation],
        x_test=shaped(x[test], frames),
        y_test=y[test],
        labels=tuple(map(str, arrays["labels12"])),
        x_unlabelled=shaped(x_unlabelled, frames),
    )


def load_kws_canonical_test(
    data_dir: str | Path | None = None, *, frames: str = "all"
) -> tuple[np.ndarray, np.ndarray]:
    """(x, y) of the 4,890 rows of the canonical test set, version 0.02, with zeroed silence.

    Use it for nets that were trained on nothing of `split_b`. `frames` as in `load_kws`.
    """
    _, arrays = read_data_file(FILE, data_dir, ARRAYS)
    rows = arrays["canonical_test"]
    x, y = _features(arrays)[rows], arrays["label12"][rows].astype(np.int64)
    x[y == SILENCE] = arrays["mfcc_zero_audio"]
    return shaped(x, frames), y


def _features(arrays: dict[str, np.ndarray]) -> np.ndarray:
    """MFCCs, float32 [n, 49, 10], stored as 16 bits in steps of 1/32."""
    stored = (arrays["mfcc_hi"].astype(np.int32) << 8) | arrays["mfcc_lo"]
    return (stored - 32768).astype(np.float32) / 32


def _augmented(arrays: dict[str, np.ndarray], rows: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """(x, y) of some of the augmented rows, chosen by a mask."""
    x = arrays["aug_u8"][rows] * arrays["aug_scale"] + arrays["aug_offset"]
    return x.astype(np.float32), arrays["aug_label12"][rows].astype(np.int64)


def shaped(x: np.ndarray, frames: str) -> np.ndarray:
    """[n, 49, 10] as the nets take it."""
    if frames not in FRAMES:
        raise DataError(f"Unknown frames {frames!r}. Choose one of {', '.join(FRAMES)}.")
    return x[..., None] if frames == "all" else x[:, ::2].reshape(len(x), 250)
