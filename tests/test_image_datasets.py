"""Loaders of image data sets: decoding and divisions."""

import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given
from hypothesis import strategies as st
from real_data import DATA, needs_cifar10, needs_fashion_mnist, needs_visual_wake_words

from tflm_reds.datasets import (
    Dataset,
    load_cifar10,
    load_cifar10_test,
    load_dataset,
    load_visual_wake_words,
    load_visual_wake_words_mlperf,
)
from tflm_reds.datasets.images import decode_differences, decode_jpegs
from tflm_reds.datasets.splits import hold_out, stratified_parts
from tflm_reds.errors import DataError


def lengths(data: Dataset) -> list[int]:
    return [len(x) for x in (data.x_train, data.x_validation, data.x_test)]


def test_differences_are_undone():
    images = np.random.default_rng(0).integers(0, 256, (3, 5, 4, 3), np.uint8)
    mixed = images.copy()
    mixed[..., 0] -= images[..., 1]
    mixed[..., 2] -= images[..., 1]
    planes = np.moveaxis(mixed, -1, 0).astype(int)
    packed = np.diff(np.diff(planes, axis=2, prepend=0), axis=3, prepend=0).astype(np.uint8)
    np.testing.assert_array_equal(decode_differences(packed), images)


def test_jpegs_share_a_header_and_broken_ones_are_refused(tmp_path):
    pixels = np.random.default_rng(0).integers(0, 256, (3, 8, 8, 3), np.uint8)
    files = [tf.io.encode_jpeg(image).numpy() for image in pixels]
    header, end = files[0][:20], files[0][-2:]
    assert all(file.startswith(header) and file.endswith(end) for file in files)
    scans = b"".join(file[20:-2] for file in files)
    arguments = np.frombuffer(scans, np.uint8), np.array([len(file) - 22 for file in files])
    decoded = decode_jpegs(tmp_path / "jpegs.npz", *arguments, header, end)
    expected = [tf.io.decode_jpeg(f, dct_method="INTEGER_ACCURATE").numpy() for f in files]
    np.testing.assert_array_equal(decoded, expected)
    with pytest.raises(DataError, match=r"jpegs\.npz: it holds a broken JPEG"):
        decode_jpegs(tmp_path / "jpegs.npz", *arguments, b"no header", end)


@given(st.lists(st.integers(0, 3), min_size=8, max_size=200), st.integers(0, 9))
def test_parts_are_disjoint_complete_and_stratified(labels, seed):
    y = np.array(labels)
    parts = stratified_parts(y, (0.5, 0.25, 0.25), seed)
    assert sorted(np.concatenate(parts)) == list(range(len(y)))
    for label in set(labels):
        assert np.sum(y[parts[0]] == label) == pytest.approx(np.sum(y == label) / 2, abs=0.5)
    again = stratified_parts(y, (0.5, 0.25, 0.25), seed)
    assert all(np.array_equal(one, other) for one, other in zip(parts, again, strict=True))


def test_as_many_rows_are_held_out_as_asked():
    y = np.repeat(np.arange(10), 600)
    training, validation = hold_out(y, 500)
    assert np.bincount(y[validation]).tolist() == [50] * 10
    assert len(training) + len(validation) == len(y) and not set(training) & set(validation)


@needs_fashion_mnist
def test_fashion_mnist_parts():
    data = load_dataset("fashion_mnist", DATA)
    assert lengths(data) == [55000, 5000, 10000]
    assert np.bincount(data.y_validation).tolist() == [500] * 10
    assert (data.x_test.min(), data.x_test.max(), data.x_test.dtype) == (0, 1, np.float32)
    assert data.labels[9] == "Ankle boot"


@needs_cifar10
@pytest.mark.slow
def test_cifar10_parts():
    data = load_dataset("cifar10_lossless", DATA)
    assert lengths(data) == [45000, 5000, 1000]
    assert np.bincount(data.y_validation).tolist() == [500] * 10
    np.testing.assert_allclose(data.x_train.mean((0, 1, 2)), 0, atol=0.03)
    np.testing.assert_allclose(data.x_train.std((0, 1, 2)), 1, atol=0.1)
    assert data.labels[:2] == ("airplane", "automobile")


@needs_visual_wake_words
def test_visual_wake_words_parts():
    data = load_dataset("visual_wake_words", DATA)
    assert lengths(data) == [600 + 906, 200, 200]
    assert np.bincount(data.y_test).tolist() == np.bincount(data.y_validation).tolist() == [100] * 2
    x, y = load_visual_wake_words_mlperf(DATA)
    assert (x.shape, np.bincount(y).tolist()) == ((1000, 96, 96, 3), [500, 500])
    assert (x.min(), x.max()) == (0, 1)
    plain = load_visual_wake_words(DATA, extra=False, signed=True)
    np.testing.assert_allclose(plain.x_train, 2 * data.x_train[:600] - 1, atol=1e-6)


@needs_cifar10
def test_both_cifar10_tests_begin_with_the_same_images():
    exact, y_exact = load_cifar10_test(DATA, test="lossless", scale="bytes")
    lossy, y_lossy = load_cifar10_test(DATA, test="jpeg", scale="bytes")
    assert (lossy.min(), lossy.max()) == (0, 255)
    np.testing.assert_array_equal(y_exact, y_lossy[:1000])
    assert 5 < np.abs(exact - lossy[:1000]).mean() < 7


def test_unknown_cifar10_options_are_refused():
    with pytest.raises(DataError, match="jpeg, lossless"):
        load_cifar10(DATA, test="png")
    with pytest.raises(DataError, match="standard, bytes"):
        load_cifar10_test(DATA, scale="unit")
