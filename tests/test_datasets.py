"""Loaders: right divisions of real data, and clear refusals of wrong files."""

import sys

import numpy as np
import pytest
from real_data import DATA, needs_speech_commands

from tflm_reds.datasets import (
    DATASETS,
    Dataset,
    from_arrays,
    load_dataset,
    load_kws,
    load_kws_canonical_test,
)
from tflm_reds.datasets.keyword_spotting import FILE
from tflm_reds.errors import DataError

X, Y = np.zeros((6, 4, 4, 1)), np.array([0, 1, 2, 0, 1, 2])


@pytest.fixture(autouse=True)
def no_data_directory(monkeypatch):
    monkeypatch.delenv("TFLM_REDS_DATA", raising=False)


def parts(data: Dataset):
    return [(data.x_train, data.y_train), (data.x_validation, data.y_validation),
            (data.x_test, data.y_test)]  # fmt: skip


def test_digits_are_divided_by_class_and_always_alike():
    data = load_dataset("digits")
    assert [len(x) for x, _ in parts(data)] == pytest.approx([1078, 360, 359], abs=3)
    assert sum(len(y) for _, y in parts(data)) == 1797
    for x, y in parts(data):
        assert x.shape[1:] == (8, 8, 1) and x.dtype == np.float32
        assert (x.min(), x.max()) == (0, 1)
        counts = np.bincount(y, minlength=10)
        assert counts.max() - counts.min() <= 0.06 * len(y)
    again = load_dataset("digits")
    np.testing.assert_array_equal(data.x_test, again.x_test)


def test_missing_scikit_learn_names_the_command(monkeypatch):
    monkeypatch.setitem(sys.modules, "sklearn", None)
    with pytest.raises(DataError, match="pip install scikit-learn"):
        load_dataset("digits")


def test_unknown_data_set_names_the_known_ones():
    with pytest.raises(DataError, match=", ".join(DATASETS)):
        load_dataset("mnist")


@needs_speech_commands
def test_speech_commands_division():
    data = load_dataset("kws", DATA)
    assert [len(x) for x, _ in parts(data)] == [2728 * 4, 860, 894]
    assert data.x_unlabelled.shape == (8583 + 14967 + 800, 49, 10, 1)
    assert data.labels[:3] == ("_silence_", "_unknown_", "yes")
    for x, y in parts(data):
        assert x.shape[1:] == (49, 10, 1)
        assert sorted(set(y)) == list(range(1, 12))
    plain = load_kws(DATA, augmented=False)
    np.testing.assert_array_equal(plain.x_train, data.x_train[:2728])
    np.testing.assert_array_equal(plain.x_unlabelled, data.x_unlabelled[:8583])
    np.testing.assert_array_equal(np.bincount(data.y_train[2728:]), 3 * np.bincount(plain.y_train))


@needs_speech_commands
def test_no_speaker_is_in_two_parts_and_no_clip_in_two_places():
    stored = np.load(DATA / FILE)
    speakers = stored["speaker_idx"]
    official, split = stored["official_split"] == 0, stored["split_b"]
    parts_of = [official, *(split == part for part in (0, 1, 2))]
    groups = [set(speakers[rows & (stored["label12"] > 0)]) for rows in parts_of]
    assert sum(map(len, groups)) == len(set().union(*groups))
    data = load_kws(DATA, augmented=False)
    clips = [clip.tobytes() for x in (data.x_train, data.x_test, data.x_validation) for clip in x]
    assert not set(clips) & {clip.tobytes() for clip in data.x_unlabelled}


def test_labels_of_unlabelled_inputs_are_zero():
    data = Dataset("d", X, Y, X[:0], Y[:0], X[:0], Y[:0], ("a", "b", "c"), x_unlabelled=X[:2] + 1)
    x, labels = data.labelled_and_not()
    np.testing.assert_array_equal(x, np.concatenate([X, X[:2] + 1]))
    np.testing.assert_array_equal(labels, [*np.eye(3)[Y], [0, 0, 0], [0, 0, 0]])
    x, labels = Dataset("d", X, Y, X[:0], Y[:0], X, Y, ("a", "b", "c")).labelled_and_not()
    assert len(x) == len(labels) == 6


@needs_speech_commands
def test_dense_net_gets_every_second_frame():
    whole, half = load_dataset("kws", DATA), load_dataset("kws_25_frames", DATA)
    assert half.x_test.shape[1:] == (250,)
    np.testing.assert_array_equal(half.x_test[7, 10:20], whole.x_test[7, 2, :, 0])
    with pytest.raises(DataError, match="every second"):
        load_kws(DATA, frames="odd")


@needs_speech_commands
def test_canonical_test_set_has_zeroed_silence(monkeypatch):
    monkeypatch.setenv("TFLM_REDS_DATA", str(DATA))
    x, y = load_kws_canonical_test()
    assert x.shape == (4890, 49, 10, 1)
    assert np.bincount(y).tolist() == [408, 408, 419, 405, 425, 406, 412, 396, 396, 402, 411, 402]
    assert np.ptp(x[y == 0], axis=0).max() == 0


def test_missing_data_is_refused(tmp_path):
    with pytest.raises(DataError, match="TFLM_REDS_DATA"):
        load_dataset("kws")
    with pytest.raises(DataError, match="does not exist"):
        load_dataset("kws", tmp_path / "absent")
    with pytest.raises(DataError, match=f"holds no {FILE}"):
        load_dataset("kws", tmp_path)


@needs_speech_commands
def test_truncated_file_is_refused(tmp_path):
    (tmp_path / FILE).write_bytes((DATA / FILE).read_bytes()[:100_000])
    with pytest.raises(
        DataError, match=rf"{FILE}: this is no intact.*100,000 bytes.*c999ab.*found"
    ):
        load_dataset("kws", tmp_path)


def test_wrong_file_is_refused_with_expected_and_found(tmp_path):
    np.savez(tmp_path / FILE, x=X)
    with pytest.raises(DataError, match=rf"{FILE}: it lacks the array 'mfcc_hi' and holds x"):
        load_dataset("kws", tmp_path)
    np.savez(tmp_path / FILE, mfcc_hi=np.zeros((5, 49, 10), np.uint8))
    with pytest.raises(
        DataError, match=r"should have shape \(15019, 49, 10\).*found \(5, 49, 10\)"
    ):
        load_dataset("kws", tmp_path)


def test_own_arrays(tmp_path):
    path = tmp_path / "own.npz"
    np.savez(path, x=X.astype(np.uint8), y=Y, x_test=X[:2], y_test=Y[:2])
    data = from_arrays(path)
    assert (data.name, data.labels) == ("own", ("0", "1", "2"))
    assert data.x_train.dtype == np.float32 and data.y_train.dtype == np.int64
    assert [len(x) for x, _ in parts(data)] == [6, 0, 2]
    assert data.x_unlabelled.shape == (0, 4, 4, 1)
    np.savez(path, x=X, y=Y, x_unlabelled=X[:3].astype(np.int8))
    assert from_arrays(path).x_unlabelled.shape == (3, 4, 4, 1)
    np.savez(path, x=X, y=Y, labels=np.array(["a", "b", "c", "d"]))
    assert from_arrays(path).labels == ("a", "b", "c", "d")


@pytest.mark.parametrize(
    ("arrays", "message"),
    [
        ({"x": X}, "lacks the array 'y'"),
        ({"x": X, "y": Y[:5]}, r"inputs \(6, 4, 4, 1\) and classes \(5,\)"),
        ({"x": np.where(np.arange(6)[:, None] == 2, np.nan, np.zeros((6, 3))), "y": Y}, "3 input"),
        ({"x": X[:0], "y": Y[:0]}, "no samples"),
        ({"x": Y, "y": Y}, "'x' must hold real numbers"),
        ({"x": X.astype(str), "y": Y}, "'x' must hold real numbers"),
        ({"x": X, "y": np.eye(6)}, "argmax"),
        ({"x": X, "y": Y - 1}, "classes -1 to 1"),
        ({"x": X, "y": Y, "labels": np.array(["a"])}, "classes 0 to 2, but there are 1"),
        ({"x": X, "y": Y, "x_unlabelled": X[:, 1:]}, "unlabelled part"),
        ({"x": X, "y": Y, "x_unlabelled": X * np.nan}, "unlabelled part.*96 input"),
        ({"x": X, "y": Y, "x_test": X}, "lacks the array 'y_test'"),
        ({"x": X, "y": Y, "x_test": X[:, 1:], "y_test": Y}, "test part"),
        ({"x": X, "y": Y, "x_test": X, "y_test": Y + 1}, "classes 1 to 3"),
    ],
)
def test_unfit_own_arrays_are_refused(tmp_path, arrays, message):
    np.savez(tmp_path / "own.npz", **arrays)
    with pytest.raises(DataError, match=message):
        from_arrays(tmp_path / "own.npz")


def test_files_that_are_no_npz_are_refused(tmp_path):
    with pytest.raises(DataError, match="no file"):
        from_arrays(tmp_path / "absent.npz")
    (tmp_path / "text.npz").write_text("x, y")
    np.save(tmp_path / "single.npy", X)
    np.savez(tmp_path / "objects.npz", x=np.array([object()]), y=Y)
    for name in ("text.npz", "single.npy", "objects.npz", "."):
        with pytest.raises(DataError, match="no intact"):
            from_arrays(tmp_path / name)
