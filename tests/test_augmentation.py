"""Random changes of training batches: right, repeatable, and different every epoch."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from scipy import ndimage

from tflm_reds.datasets import ImageAugmentation, training_batches
from tflm_reds.datasets.augmentation import shift_images, turn_images

IMAGES = np.random.default_rng(0).random((200, 9, 8, 2)).astype(np.float32)


def seed(number: int = 0) -> tf.Tensor:
    return tf.constant([number, 7], tf.int64)


def test_mirroring_changes_about_half_of_the_images():
    changed = ImageAugmentation(mirror=True)(IMAGES, seed()).numpy()
    same = (changed == IMAGES).all((1, 2, 3))
    mirrored = (changed == IMAGES[:, :, ::-1]).all((1, 2, 3))
    assert (same ^ mirrored).all()
    assert 60 < mirrored.sum() < 140


def test_shifts_are_windows_of_the_mirrored_border():
    shifted = shift_images(IMAGES, seed(), 2).numpy()
    padded = np.pad(IMAGES, ((0, 0), (2, 2), (2, 2), (0, 0)), mode="symmetric")
    windows = {(i, j): padded[:, i : i + 9, j : j + 8] for i in range(5) for j in range(5)}
    matches = {start: (window == shifted).all((1, 2, 3)).sum() for start, window in windows.items()}
    assert sum(matches.values()) == len(IMAGES)
    assert min(matches.values()) > 0


def test_turns_match_another_implementation():
    image = ndimage.gaussian_filter(np.random.default_rng(1).random((21, 21)), 2)
    image = np.repeat(image[None, ..., None], 400, axis=0).astype(np.float32)
    turned = turn_images(image, seed(), 0.2, 0.3).numpy()
    moved = (turned != image).any((1, 2, 3))
    assert 80 < moved.sum() < 160
    centre = slice(6, 15)
    angles = np.linspace(-0.2, 0.2, 401)
    references = np.stack(
        [
            ndimage.rotate(image[0, ..., 0], np.degrees(angle), reshape=False, order=1)
            for angle in angles
        ]
    )[:, centre, centre]
    for picture in turned[moved][:20, centre, centre, 0]:
        assert np.abs(references - picture).max((1, 2)).min() < 2e-3


@pytest.mark.parametrize("augment", [None, ImageAugmentation(turn=0.2, shift=1)])
def test_epochs_differ_and_runs_repeat(augment):
    y = np.arange(200)

    def epochs():
        keras.utils.set_random_seed(5)
        batches = training_batches(IMAGES, y, 64, augment, seed=3)
        return [
            [np.concatenate(parts) for parts in zip(*batches.as_numpy_iterator(), strict=True)]
            for _ in range(2)
        ]

    (first_x, first_y), (second_x, second_y) = epochs()
    assert sorted(first_y) == sorted(second_y) == y.tolist()
    assert (first_y != second_y).any()
    unchanged = (first_x == IMAGES[first_y]).all((1, 2, 3))
    assert unchanged.all() if augment is None else unchanged.sum() < 30
    if augment is not None:
        assert (first_x[np.argsort(first_y)] != second_x[np.argsort(second_y)]).any()
    for before, after in zip([first_x, second_x], [x for x, _ in epochs()], strict=True):
        np.testing.assert_array_equal(before, after)


def test_shapes_stay_known_to_keras():
    batches = training_batches(IMAGES, np.zeros((200, 3)), 64, ImageAugmentation(shift=2))
    assert batches.element_spec[0].shape.as_list() == [None, 9, 8, 2]
    assert batches.element_spec[1].shape.as_list() == [None, 3]
