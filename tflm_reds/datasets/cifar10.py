"""CIFAR-10 (A. Krizhevsky, "Learning Multiple Layers of Features from Tiny Images", 2009).

`cifar10_jpeg.npz` holds all 60,000 images, but lossy: JPEG changes a pixel by 5.8 grey levels on
average. `cifar10_lossless.npz` holds 1,000 exact images of the official test set. Nets that were
trained on exact pixels lose 4 to 12 points on JPEG: say which test a figure is from.
"""

from pathlib import Path

import numpy as np

from tflm_reds.datasets.augmentation import ImageAugmentation
from tflm_reds.datasets.dataset import Dataset
from tflm_reds.datasets.files import read_data_file
from tflm_reds.datasets.images import decode_differences, decode_jpegs, to_unit_range
from tflm_reds.datasets.splits import hold_out
from tflm_reds.errors import DataError

JPEG_FILE, LOSSLESS_FILE = "cifar10_jpeg.npz", "cifar10_lossless.npz"
VALIDATION = 5000
MEAN, DEVIATION = (0.4914, 0.4822, 0.4465), (0.2470, 0.2435, 0.2616)
END_OF_JPEG = b"\xff\xd9"
TESTS, SCALES = ("jpeg", "lossless"), ("standard", "bytes")
JPEG_ARRAYS = {
    "jpeg_header": ("u", (None,)),
    "train_scan": ("u", (None,)),
    "train_len": ("u", (50000,)),
    "y_train": ("u", (50000,)),
    "test_scan": ("u", (None,)),
    "test_len": ("u", (10000,)),
    "y_test": ("u", (10000,)),
    "class_names": ("U", (10,)),
}
LOSSLESS_ARRAYS = {"x_test": ("u", (3, 1000, 32, 32)), "y_test": ("u", (1000,))}


def load_cifar10(
    data_dir: str | Path | None = None, *, test: str = "jpeg", scale: str = "standard"
) -> Dataset:
    """Colour images (n, 32, 32, 3): 45,000 JPEGs to train, 5,000 to select by, and a test part.

    The validation rows are 500 of each class out of the official training rows. Augmentation as in
    the reference: mirroring, shifts of at most 2 pixels.

    Args:
        test: "jpeg", all 10,000 test images, lossy; or "lossless", the first 1,000, exact.
        scale: "standard", (x / 255 - mean) / deviation of each colour, as the DS-CNN takes it; or
            "bytes", 0..255 as the ResNet takes it.

    Raises:
        DataError: if a file is missing, truncated or another one.
    """
    x_test, y_test = load_cifar10_test(data_dir, test=test, scale=scale)
    path, arrays = read_data_file(JPEG_FILE, data_dir, JPEG_ARRAYS)
    x, y = _scaled(_jpegs(path, arrays, "train"), scale), arrays["y_train"].astype(np.int64)
    training, validation = hold_out(y, VALIDATION)
    return Dataset(
        name="cifar10" if test == "jpeg" else "cifar10_lossless",
        x_train=x[training],
        y_train=y[training],
        x_validation=x[validation],
        y_validation=y[validation],
        x_test=x_test,
        y_test=y_test,
        labels=tuple(map(str, arrays["class_names"])),
        augment=ImageAugmentation(mirror=True, shift=2),
    )


def load_cifar10_test(
    data_dir: str | Path | None = None, *, test: str = "jpeg", scale: str = "standard"
) -> tuple[np.ndarray, np.ndarray]:
    """(x, y) of one test part alone; arguments as in `load_cifar10`."""
    _require(test, TESTS, "test")
    _require(scale, SCALES, "scale")
    if test == "jpeg":
        path, arrays = read_data_file(JPEG_FILE, data_dir, JPEG_ARRAYS)
        x = _jpegs(path, arrays, "test")
    else:
        _, arrays = read_data_file(LOSSLESS_FILE, data_dir, LOSSLESS_ARRAYS)
        x = decode_differences(arrays["x_test"])
    return _scaled(x, scale), arrays["y_test"].astype(np.int64)


def _jpegs(path: Path, arrays: dict[str, np.ndarray], part: str) -> np.ndarray:
    header = arrays["jpeg_header"].tobytes()
    return decode_jpegs(path, arrays[f"{part}_scan"], arrays[f"{part}_len"], header, END_OF_JPEG)


def _scaled(x: np.ndarray, scale: str) -> np.ndarray:
    if scale == "bytes":
        return x.astype(np.float32)
    return (to_unit_range(x) - np.float32(MEAN)) / np.float32(DEVIATION)


def _require(value: str, known: tuple[str, ...], what: str) -> None:
    if value not in known:
        raise DataError(f"Unknown {what} {value!r} of CIFAR-10. Choose one of {', '.join(known)}.")
