"""A user's own images: a folder with a subfolder for each class."""

from pathlib import Path

import keras
import numpy as np
import tensorflow as tf

from tflm_reds.datasets.dataset import Dataset
from tflm_reds.datasets.splits import stratified_parts
from tflm_reds.errors import DataError

COLOURS = {1: "grayscale", 3: "rgb"}
SHARES = (0.8, 0.1, 0.1)
SEED = 0


def from_image_folder(
    folder: str | Path, shape: tuple[int, int, int], pixel_range: tuple[float, float] = (0.0, 1.0)
) -> Dataset:
    """Read `folder/class/image` or `folder/train/class/image` (and `validation`, `test`).

    Without a folder `train` each class is divided 80/10/10 at random, always the same way. With
    it, parts without a folder are empty. Files are bmp, gif, jpeg or png; others are passed over.

    Args:
        shape: (height, width, channels) to resize to, bilinear; 1 channel is grey, 3 are colours.
        pixel_range: what black and white become, as in the model's training.

    Raises:
        DataError: if there are no classes or no images, an image is broken, or parts differ.
    """
    folder = Path(folder)
    if not folder.is_dir():
        raise DataError(f"There is no folder {folder}. Correct the path.")
    if len(shape) != 3 or shape[-1] not in COLOURS:
        raise DataError(f"Images cannot have shape {shape}: give (height, width, 1 or 3).")
    if (folder / "train").is_dir():
        parts, labels = _given_parts(folder, shape)
    else:
        x, y, labels = _read(folder, shape)
        parts = [(x[rows], y[rows]) for rows in stratified_parts(y, SHARES, SEED)]
    low, high = pixel_range
    arrays = [a for x, y in parts for a in (x / np.float32(255) * (high - low) + low, y)]
    return Dataset(folder.name, *arrays, labels)


def _given_parts(folder: Path, shape: tuple[int, int, int]):
    x, y, labels = _read(folder / "train", shape)
    parts = [(x, y)]
    for name in ("validation", "test"):
        part = folder / name
        if not part.is_dir():
            parts.append((x[:0], y[:0]))
            continue
        *arrays, found = _read(part, shape)
        if found != labels:
            raise DataError(
                f"{part} has the classes {', '.join(found)}, but {folder / 'train'} has "
                f"{', '.join(labels)}. Name the folders alike."
            )
        parts.append(tuple(arrays))
    return parts, labels


def _read(folder: Path, shape: tuple[int, int, int]):
    """(pixels float32 [n, *shape] in 0..255, classes int64 [n], class names)."""
    try:
        images = keras.utils.image_dataset_from_directory(
            folder,
            image_size=shape[:2],
            color_mode=COLOURS[shape[-1]],
            shuffle=False,
            verbose=False,
        )
    except ValueError as error:
        raise DataError(
            f"{folder} holds no images in folders named like their classes: {error}"
        ) from error
    try:
        x, y = zip(*images.as_numpy_iterator(), strict=True)
    except tf.errors.InvalidArgumentError as error:
        raise DataError(f"{_first_broken(images.file_paths)} is no intact image.") from error
    return np.concatenate(x), np.concatenate(y).astype(np.int64), tuple(images.class_names)


def _first_broken(paths: list[str]) -> str:
    for path in paths:
        try:
            tf.io.decode_image(tf.io.read_file(path))
        except tf.errors.InvalidArgumentError:
            return path
    return f"One of the {len(paths)} files"
