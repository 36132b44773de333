"""Visual Wake Words (arXiv 1906.05721): person (1) or not (0), from `vww_person_96.npz`.

The thousand MS COCO images of MLPerf Tiny's quality subset, exact, and 906 of Pascal VOC 2007 as
extra training material: those were squashed and compressed, so horizontal detail is poor.
"""

from pathlib import Path

import numpy as np

from tflm_reds.datasets.augmentation import ImageAugmentation
from tflm_reds.datasets.dataset import Dataset
from tflm_reds.datasets.files import read_data_file
from tflm_reds.datasets.images import decode_differences, decode_jpegs, to_unit_range

FILE = "vww_person_96.npz"
TRAIN, VALIDATION, TEST = 0, 1, 2  # values of `mlperf_split`
ARRAYS = {
    "x_mlperf": ("u", (3, 1000, 96, 96)),
    "y_mlperf": ("u", (1000,)),
    "mlperf_split": ("u", (1000,)),
    "voc_jpeg": ("u", (None,)),
    "voc_len": ("u", (906,)),
    "y_voc": ("u", (906,)),
}


def load_visual_wake_words(
    data_dir: str | Path | None = None, *, extra: bool = True, signed: bool = False
) -> Dataset:
    """Colour images (n, 96, 96, 3): 600 of MLPerf's (and 906) to train, 200 and 200 to test.

    The division of the thousand is fixed and stratified. Augmentation: mirroring, turns of at most
    10 degrees, shifts of at most 5 pixels, about as MLPerf Tiny trains.

    Args:
        extra: train on the 906 VOC images as well.
        signed: scale to -1..1 (x / 127.5 - 1, as REDS) instead of 0..1 (as MLPerf Tiny).

    Raises:
        DataError: if the file is missing, truncated or another one.
    """
    path, arrays = read_data_file(FILE, data_dir, ARRAYS)
    x, y = _mlperf(arrays, signed)
    parts = [arrays["mlperf_split"] == part for part in (TRAIN, VALIDATION, TEST)]
    (x_train, *others), (y_train, *other_labels) = ([a[rows] for rows in parts] for a in (x, y))
    if extra:
        voc = _scaled(decode_jpegs(path, arrays["voc_jpeg"], arrays["voc_len"]), signed)
        x_train = np.concatenate([x_train, voc])
        y_train = np.concatenate([y_train, arrays["y_voc"].astype(np.int64)])
    return Dataset(
        name="visual_wake_words",
        x_train=x_train,
        y_train=y_train,
        x_validation=others[0],
        y_validation=other_labels[0],
        x_test=others[1],
        y_test=other_labels[1],
        labels=("none", "person"),
        augment=ImageAugmentation(mirror=True, turn=0.17, shift=5),
    )


def load_visual_wake_words_mlperf(
    data_dir: str | Path | None = None, *, signed: bool = False
) -> tuple[np.ndarray, np.ndarray]:
    """(x, y) of all thousand MLPerf images, for nets that were trained on none of them.

    MLPerf's own net may have seen some: the overlap with its training images is not known.
    """
    return _mlperf(read_data_file(FILE, data_dir, ARRAYS)[1], signed)


def _mlperf(arrays: dict[str, np.ndarray], signed: bool) -> tuple[np.ndarray, np.ndarray]:
    x = _scaled(decode_differences(arrays["x_mlperf"]), signed)
    return x, arrays["y_mlperf"].astype(np.int64)


def _scaled(x: np.ndarray, signed: bool) -> np.ndarray:
    return x.astype(np.float32) / 127.5 - 1 if signed else to_unit_range(x)
