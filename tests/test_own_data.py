"""A user's image folders and tf.data sets: read whole, divided right, refused when unfit."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from tflm_reds.datasets import from_image_folder, from_tf_data
from tflm_reds.errors import DataError, ModelError
from tflm_reds.nesting import nest
from tflm_reds.options import BuildOptions, load_task
from tflm_reds.zoo import load_zoo

SHAPE = (8, 6, 3)


def write_images(folder, counts, size=(8, 6), value=None):
    """PNG files of one colour each, `counts` of them for each class."""
    for label, (name, count) in enumerate(counts.items()):
        (folder / name).mkdir(parents=True, exist_ok=True)
        for index in range(count):
            pixels = np.full((*size, 3), 50 * label if value is None else value, np.uint8)
            pixels[..., 1] = index
            path = folder / name / f"{index:03}.png"
            path.write_bytes(tf.io.encode_png(pixels).numpy())


def test_classes_are_divided_80_10_10(tmp_path):
    write_images(tmp_path, {"cat": 20, "dog": 10})
    (tmp_path / "cat" / "notes.txt").write_text("passed over")
    data = from_image_folder(tmp_path, SHAPE)
    assert data.labels == ("cat", "dog")
    assert [np.bincount(y).tolist() for y in (data.y_train, data.y_validation, data.y_test)] == [
        [16, 8], [2, 1], [2, 1]
    ]  # fmt: skip
    assert data.x_train.shape == (24, *SHAPE) and data.x_train.dtype == np.float32
    np.testing.assert_allclose(data.x_train[:, 0, 0, 0], data.y_train * 50 / 255, rtol=1e-6)
    greens = np.concatenate([data.x_train, data.x_validation, data.x_test])[..., 0, 0, 1]
    assert sorted(np.round(greens * 255)) == sorted([*range(20), *range(10)])
    again = from_image_folder(tmp_path, SHAPE)
    np.testing.assert_array_equal(again.x_test, data.x_test)


def test_given_parts_are_kept_resized_and_scaled(tmp_path):
    write_images(tmp_path / "train", {"a": 3, "b": 2}, size=(16, 12), value=255)
    write_images(tmp_path / "test", {"a": 1, "b": 1}, size=(4, 3), value=0)
    data = from_image_folder(tmp_path, (8, 6, 1), (-1, 1))
    assert data.x_train.shape == (5, 8, 6, 1) and len(data.x_validation) == 0
    assert data.y_test.tolist() == [0, 1]
    assert data.x_test[0].max() == pytest.approx(-1, abs=0.02)


def test_unfit_folders_are_refused(tmp_path):
    with pytest.raises(DataError, match="no folder"):
        from_image_folder(tmp_path / "absent", SHAPE)
    with pytest.raises(DataError, match="no images"):
        from_image_folder(tmp_path, SHAPE)
    with pytest.raises(DataError, match=r"shape \(250,\)"):
        from_image_folder(tmp_path, (250,))
    write_images(tmp_path / "train", {"a": 3, "b": 2})
    write_images(tmp_path / "test", {"a": 3, "c": 2})
    with pytest.raises(DataError, match=r"test has the classes a, c, but .*train has a, b"):
        from_image_folder(tmp_path, SHAPE)
    broken = tmp_path / "train" / "b" / "001.png"
    broken.write_bytes(broken.read_bytes()[:40])
    with pytest.raises(DataError, match=r"b/001\.png is no intact image"):
        from_image_folder(tmp_path, SHAPE)


def test_build_takes_an_image_folder_in_the_models_shape(tmp_path):
    write_images(tmp_path / "photos", {"a": 10, "b": 10}, size=(20, 20))
    inputs = keras.Input(SHAPE)
    model = keras.Model(inputs, keras.layers.Dense(2)(keras.layers.Flatten()(inputs)))
    model.save(tmp_path / "own.keras")
    options = BuildOptions(
        model=tmp_path / "own.keras", calibration=tmp_path / "photos", pixel_range=(0, 2)
    )
    task = load_task(options)
    assert task.trained and task.dataset.input_shape == SHAPE
    assert task.dataset.x_train[..., 0].max() == pytest.approx(100 / 255)


def test_data_set_of_another_name_and_contradictions(tmp_path):
    assert load_task(BuildOptions(dataset="digits")).dataset.name == "digits"
    with pytest.raises(DataError, match="no data set 'mnist'"):
        load_task(BuildOptions(dataset="mnist"))
    with pytest.raises(DataError, match=r"either --calibration x\.npz or --dataset digits"):
        load_task(BuildOptions(dataset="digits", calibration="x.npz"))
    with pytest.raises(ModelError, match="not both"):
        load_task(BuildOptions(model=tmp_path / "a.keras", zoo="dnn_s_kws"))


def test_more_classes_than_outputs_are_refused():
    model, _ = load_zoo("digits_ds_cnn")
    x = np.zeros((4, 8, 8, 1), np.float32)
    with pytest.raises(DataError, match="classes up to 11, but the model puts out 10"):
        nest(model, (x, np.array([0, 1, 2, 11])))


def pairs(count, classes=3):
    x = np.arange(count * 4, dtype=np.float64).reshape(count, 4)
    return tf.data.Dataset.from_tensor_slices((x, np.arange(count, dtype=np.int32) % classes))


def test_tf_data_is_read_whole_batched_or_not():
    single = from_tf_data(pairs(700), pairs(5), labels=("a", "b", "c"))
    batched = from_tf_data(pairs(700).batch(32), test=pairs(6).batch(4))
    for data in (single, batched):
        assert data.x_train.shape == (700, 4) and data.x_train.dtype == np.float32
        np.testing.assert_array_equal(data.y_train, np.arange(700) % 3)
    assert (len(single.x_validation), len(single.x_test)) == (5, 0)
    assert (len(batched.x_validation), len(batched.x_test)) == (0, 6)
    assert batched.labels == ("0", "1", "2")


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (pairs(5).repeat(), "no end"),
        (pairs(0), "train data set has no samples"),
        (pairs(5).map(lambda x, y: x), "pairs of an input and an integer class"),
        (pairs(5).map(lambda x, y: (x, tf.one_hot(y, 3))), "argmax"),
        (pairs(5).map(lambda x, y: (x / 0, y)), "20 input values that are NaN or infinite"),
        (pairs(5).map(lambda x, y: (x, y - 1)), "classes -1 to 1"),
    ],
)
def test_unfit_tf_data_is_refused(data, message):
    with pytest.raises(DataError, match=message):
        from_tf_data(data)
