"""Data sets: real loaders, and a user's own arrays."""

from collections.abc import Callable
from functools import partial
from pathlib import Path

from tflm_reds.datasets.arrays import from_arrays
from tflm_reds.datasets.augmentation import Augmentation, ImageAugmentation
from tflm_reds.datasets.batches import training_batches
from tflm_reds.datasets.cifar10 import load_cifar10, load_cifar10_test
from tflm_reds.datasets.dataset import Dataset
from tflm_reds.datasets.digits import load_digits
from tflm_reds.datasets.fashion_mnist import load_fashion_mnist
from tflm_reds.datasets.files import data_directory
from tflm_reds.datasets.image_folder import from_image_folder
from tflm_reds.datasets.keyword_spotting import load_kws, load_kws_canonical_test
from tflm_reds.datasets.speech_commands import load_speech_commands, load_speech_commands_from
from tflm_reds.datasets.tf_data import from_tf_data
from tflm_reds.datasets.visual_wake_words import (
    load_visual_wake_words,
    load_visual_wake_words_mlperf,
)
from tflm_reds.errors import DataError

__all__ = [
    "DATASETS",
    "Augmentation",
    "Dataset",
    "ImageAugmentation",
    "data_directory",
    "from_arrays",
    "from_image_folder",
    "from_tf_data",
    "load_cifar10",
    "load_cifar10_test",
    "load_dataset",
    "load_digits",
    "load_fashion_mnist",
    "load_kws",
    "load_kws_canonical_test",
    "load_speech_commands",
    "load_visual_wake_words",
    "load_visual_wake_words_mlperf",
    "training_batches",
]

DATASETS: dict[str, Callable[[str | Path | None], Dataset]] = {
    "cifar10": load_cifar10,
    "cifar10_bytes": partial(load_cifar10, scale="bytes"),
    "cifar10_lossless": partial(load_cifar10, test="lossless"),
    "digits": lambda data_dir: load_digits(),
    "fashion_mnist": load_fashion_mnist,
    "kws": load_kws,
    "kws_25_frames": partial(load_kws, frames="every second"),
    "speech_commands": load_speech_commands_from,
    "speech_commands_25_frames": partial(load_speech_commands_from, frames="every second"),
    "visual_wake_words": load_visual_wake_words,
    "visual_wake_words_signed": partial(load_visual_wake_words, signed=True),
}


def load_dataset(name: str, data_dir: str | Path | None = None) -> Dataset:
    """The data set called `name`, from `data_dir` or the directory in TFLM_REDS_DATA.

    Raises:
        DataError: if there is no such data set, or its file is missing or broken.
    """
    if name not in DATASETS:
        raise DataError(f"There is no data set {name!r}. Choose one of {', '.join(DATASETS)}.")
    return DATASETS[name](data_dir)
