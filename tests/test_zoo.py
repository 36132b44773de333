"""The reference architectures: published sizes, trainability, and refusal of wrong weights."""

import keras
import numpy as np
import pytest

from tflm_reds.datasets import load_dataset
from tflm_reds.errors import DataError, ModelError
from tflm_reds.zoo import ZOO, load_zoo

# Parameters and MACs: IEEE TMC 25(1):451 and its code, arXiv 2106.07597; None where not given.
PUBLISHED = {
    "dnn_s_kws": (79_644, 79_200),
    "dnn_l_kws": (495_744, 494_424),
    "cnn_s_kws": (69_982, 2_498_304),
    "cnn_l_kws": (None, 12_636_672),
    "ds_cnn_s_kws": (24_908, 2_656_768),
    "ds_cnn_l_kws": (422_844, 28_327_812),
    "ds_cnn_s_fashion_mnist": (None, 3_788_544),
    "ds_cnn_s_cifar10": (None, 5_234_176),
    "resnet8_cifar10": (78_666, 12_501_632),
    "mobilenet_v1_025_vww": (221_794, 7_489_664),
    "mobilenet_v1_100_vww": (3_230_914, 104_276_480),
}


@pytest.fixture(autouse=True)
def no_data_directory(monkeypatch):
    monkeypatch.delenv("TFLM_REDS_DATA", raising=False)


def count_macs(model: keras.Model) -> int:
    """Kernel size times positions of every layer with a kernel."""
    kernels = [(layer, layer.kernel) for layer in model.layers if hasattr(layer, "kernel")]
    return sum(
        int(np.prod(kernel.shape) * np.prod(layer.output.shape[1:-1])) for layer, kernel in kernels
    )


def percent_correct(model: keras.Model, x: np.ndarray, y: np.ndarray) -> float:
    return 100 * float(np.mean(model.predict(x, batch_size=512, verbose=0).argmax(1) == y))


@pytest.mark.parametrize("name", PUBLISHED)
def test_published_parameters_and_macs(name):
    model, pretrained = load_zoo(name)
    parameters, macs = PUBLISHED[name]
    assert not pretrained
    assert model.name == name
    assert count_macs(model) == macs
    assert parameters in (None, model.count_params())


def test_digits_network_trains_in_seconds():
    keras.utils.set_random_seed(0)
    data, (model, _) = load_dataset("digits"), load_zoo("digits_ds_cnn")
    epochs, batch = 12, 32
    steps = epochs * -(-len(data.x_train) // batch)
    model.compile(
        keras.optimizers.Adam(keras.optimizers.schedules.CosineDecay(5e-3, steps)),
        keras.losses.SparseCategoricalCrossentropy(from_logits=True),
    )
    model.fit(data.x_train, data.y_train, batch_size=batch, epochs=epochs, verbose=0)
    assert percent_correct(model, data.x_test, data.y_test) >= 97


def test_every_entry_names_a_data_set_of_its_input_shape():
    shapes = {
        "digits": (8, 8, 1), "kws": (49, 10, 1), "kws_25_frames": (250,),
        "fashion_mnist": (28, 28, 1), "cifar10": (32, 32, 3), "cifar10_bytes": (32, 32, 3),
        "visual_wake_words": (96, 96, 3), "visual_wake_words_signed": (96, 96, 3),
    }  # fmt: skip
    for name, entry in ZOO.items():
        assert entry.name == name
        assert entry.build().input_shape[1:] == shapes[entry.dataset]


def test_unknown_model_names_the_known_ones():
    with pytest.raises(ModelError, match="ds_cnn_s_kws"):
        load_zoo("resnet50")


def test_weights_stay_random_without_a_weights_file(tmp_path):
    assert not load_zoo("dnn_s_kws", tmp_path)[1]
    with pytest.raises(DataError, match="does not exist"):
        load_zoo("dnn_s_kws", tmp_path / "absent")


def dnn_weights(units: int, layers: int = 4) -> dict[str, np.ndarray]:
    widths = [250, *[units] * (layers - 1), 12]
    arrays = {}
    for i in range(layers):
        arrays[f"arm_kws/dnn_s/{i:02}_dense/kernel"] = np.full(widths[i : i + 2], i, np.float32)
        arrays[f"arm_kws/dnn_s/{i:02}_dense/bias"] = np.zeros(widths[i + 1], np.float32)
    return arrays


def test_weights_go_to_the_layers_in_order(tmp_path):
    np.savez(tmp_path / "weights_float.npz", **dnn_weights(144))
    model, pretrained = load_zoo("dnn_s_kws", tmp_path)
    assert pretrained
    kernels = [model.get_layer(name).get_weights()[0] for name in ("fc1", "fc2", "fc3", "fc")]
    assert [float(kernel.min()) for kernel in kernels] == [0, 1, 2, 3]


@pytest.mark.parametrize(
    ("arrays", "message"),
    [
        (dnn_weights(100), r"layer fc1 should have shape \(250, 144\), found shape \(250, 100\)"),
        (dnn_weights(144, layers=3), "holds 3 layers of kind dense for dnn_s_kws, which has 4"),
        ({"x": np.zeros(3)}, "holds 0 layers of kind dense for dnn_s_kws, which has 4"),
    ],
)
def test_wrong_weights_are_refused(tmp_path, arrays, message):
    np.savez(tmp_path / "weights_float.npz", **arrays)
    with pytest.raises(DataError, match=message):
        load_zoo("dnn_s_kws", tmp_path)


def test_corrupt_weights_file_is_refused(tmp_path):
    (tmp_path / "weights_float.npz").write_bytes(b"PK\x03\x04 truncated")
    with pytest.raises(DataError, match=r"weights_float\.npz"):
        load_zoo("dnn_s_kws", tmp_path)
