"""Fashion-MNIST (H. Xiao and others, arXiv 1708.07747, MIT licence), from `fashion_mnist.npz`."""

from pathlib import Path

import numpy as np

from tflm_reds.datasets.augmentation import ImageAugmentation
from tflm_reds.datasets.dataset import Dataset
from tflm_reds.datasets.files import read_data_file
from tflm_reds.datasets.images import to_unit_range
from tflm_reds.datasets.splits import hold_out

FILE = "fashion_mnist.npz"
VALIDATION = 5000
ARRAYS = {
    "x_train": ("u", (60000, 28, 28)),
    "y_train": ("u", (60000,)),
    "x_test": ("u", (10000, 28, 28)),
    "y_test": ("u", (10000,)),
    "class_names": ("U", (10,)),
}


def load_fashion_mnist(data_dir: str | Path | None = None) -> Dataset:
    """Grey images (n, 28, 28, 1) in 0..1: 55,000 to train, 5,000 to select by, 10,000 to test.

    The validation rows are 500 of each class out of the official training rows. Augmentation as in
    the reference: mirroring, turns of at most 0.2 rad for 3 images in 10, shifts of at most 2.

    Raises:
        DataError: if the file is missing, truncated or another one.
    """
    _, arrays = read_data_file(FILE, data_dir, ARRAYS)
    x, y = to_unit_range(arrays["x_train"])[..., None], arrays["y_train"].astype(np.int64)
    training, validation = hold_out(y, VALIDATION)
    return Dataset(
        name="fashion_mnist",
        x_train=x[training],
        y_train=y[training],
        x_validation=x[validation],
        y_validation=y[validation],
        x_test=to_unit_range(arrays["x_test"])[..., None],
        y_test=arrays["y_test"].astype(np.int64),
        labels=tuple(map(str, arrays["class_names"])),
        augment=ImageAugmentation(mirror=True, turn=0.2, turned=0.3, shift=2),
    )
