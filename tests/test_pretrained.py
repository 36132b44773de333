"""Pretrained nets of the zoo: their accuracy on real data, and refusal of broken files."""

import keras
import numpy as np
import pytest
from real_data import (
    DATA,
    needs_arm_models,
    needs_cifar10,
    needs_fashion_mnist,
    needs_speech_commands,
    needs_visual_wake_words,
)

from tflm_reds.datasets import (
    load_cifar10_test,
    load_dataset,
    load_fashion_mnist,
    load_kws_canonical_test,
    load_visual_wake_words,
    load_visual_wake_words_mlperf,
)
from tflm_reds.errors import DataError
from tflm_reds.zoo import ARCHIVE, ZOO, load_zoo
from tflm_reds.zoo.tflite_weights import read_tflite_layers
from tflm_reds.zoo.unfold import unfold_batch_norm

# Percent correct on the canonical test set with zeroed silence, on split_b's test part. The S nets'
# float weights are public; the L nets come from int8 files, which score 86.7, 93.2 and 94.6.
SMALL = {
    "dnn_s_kws": (83.4, 83.6),
    "cnn_s_kws": (92.2, 93.2),
    "ds_cnn_s_kws": (93.8, 93.5),
}
LARGE = {
    "dnn_l_kws": (86.8, 86.2),
    "cnn_l_kws": (93.4, 93.4),
    "ds_cnn_l_kws": (94.9, 95.3),
}


def pretrained(name: str) -> keras.Model:
    model, trained = load_zoo(name, DATA)
    assert trained
    return model


def percent_correct(model: keras.Model, x: np.ndarray, y: np.ndarray) -> float:
    return 100 * float(np.mean(model.predict(x, batch_size=512, verbose=0).argmax(1) == y))


def check_speech_commands(name: str, canonical: float, split_b: float) -> None:
    model = pretrained(name)
    frames = "every second" if name.startswith("dnn") else "all"
    x, y = load_kws_canonical_test(DATA, frames=frames)
    assert percent_correct(model, x, y) == pytest.approx(canonical, abs=0.15)
    data = load_dataset(ZOO[name].dataset, DATA)
    assert percent_correct(model, data.x_test, data.y_test) == pytest.approx(split_b, abs=0.15)


@needs_speech_commands
@pytest.mark.parametrize("name", SMALL)
def test_small_nets_on_speech_commands(name):
    check_speech_commands(name, *SMALL[name])


@pytest.mark.slow
@needs_arm_models
@pytest.mark.parametrize("name", LARGE)
def test_large_nets_from_int8_files_on_speech_commands(name):
    check_speech_commands(name, *LARGE[name])


@needs_fashion_mnist
def test_fashion_mnist_net():
    data = load_fashion_mnist(DATA)
    model = pretrained("ds_cnn_s_fashion_mnist")
    assert percent_correct(model, data.x_test, data.y_test) == pytest.approx(90.60, abs=0.02)


@pytest.mark.slow
@needs_cifar10
@pytest.mark.parametrize("test", ["jpeg", "lossless"])
def test_cifar10_nets(test):
    x, y = load_cifar10_test(DATA, test=test)
    small = {"jpeg": 73.9, "lossless": 79.0}[test]
    assert percent_correct(pretrained("ds_cnn_s_cifar10"), x, y) == pytest.approx(small, abs=0.05)
    x, y = load_cifar10_test(DATA, test=test, scale="bytes")
    resnet = {"jpeg": 75.5, "lossless": 88.1}[test]
    assert percent_correct(pretrained("resnet8_cifar10"), x, y) == pytest.approx(resnet, abs=0.05)


@pytest.mark.slow
@needs_visual_wake_words
def test_visual_wake_words_net():
    model = pretrained("mobilenet_v1_025_vww")
    x, y = load_visual_wake_words_mlperf(DATA)
    assert percent_correct(model, x, y) == pytest.approx(85.3, abs=0.05)
    voc = slice(600, None)
    data = load_visual_wake_words(DATA)
    assert percent_correct(model, data.x_train[voc], data.y_train[voc]) == pytest.approx(80.5, 0.01)


def test_unfolding_changes_nothing_and_gives_the_true_statistics():
    keras.utils.set_random_seed(0)
    model, _ = load_zoo("digits_ds_cnn")
    folded = keras.models.clone_model(model)
    for layer, copy in zip(model.layers, folded.layers, strict=True):
        if layer.weights and not layer.name.endswith("_bn"):
            copy.set_weights([1 + weight.numpy() for weight in layer.weights])
        elif layer.weights:
            ones, zeros = np.ones(layer.gamma.shape), np.zeros(layer.gamma.shape)
            copy.set_weights([ones, zeros, zeros, ones - layer.epsilon])
    x = np.random.default_rng(0).random((300, 8, 8, 1)).astype(np.float32)
    before = folded.predict(x, verbose=0)
    unfold_batch_norm(folded, x)
    np.testing.assert_allclose(folded.predict(x, verbose=0), before, rtol=1e-4)
    norms = [layer for layer in folded.layers if layer.name.endswith("_bn")]
    inputs = keras.Model(folded.inputs, [norms[-1].input]).predict(x, verbose=0)
    np.testing.assert_allclose(norms[-1].moving_mean, inputs.mean((0, 1, 2)), rtol=1e-3)
    assert all(np.all(layer.gamma.numpy() > 0.03) for layer in norms)


@needs_arm_models
def test_dequantised_weights_are_close_to_the_public_ones():
    stored = read_tflite_layers(DATA / ARCHIVE, "arm_kws/dnn_s_quantized.tflite")
    model = pretrained("dnn_s_kws")
    assert list(stored) == ["dense"] and len(stored["dense"]) == 4
    for tensors, name in zip(stored["dense"], ("fc1", "fc2", "fc3", "fc"), strict=True):
        kernel, bias = (weight.numpy() for weight in model.get_layer(name).weights)
        step = np.abs(kernel).max() / 127
        np.testing.assert_allclose(tensors["kernel"], kernel, atol=0.51 * step)
        np.testing.assert_allclose(tensors["bias"], bias, atol=0.01)


@needs_arm_models
def test_broken_archive_is_refused_with_checksums(tmp_path):
    content = (DATA / ARCHIVE).read_bytes()
    (tmp_path / ARCHIVE).write_bytes(content[:100_000])
    with pytest.raises(DataError, match=r"models_original\.zip.*sha256 should be 1423.*found"):
        load_zoo("dnn_l_kws", tmp_path)
    with pytest.raises(DataError, match=r"absent\.tflite cannot be read"):
        read_tflite_layers(DATA / ARCHIVE, "absent.tflite")
    with pytest.raises(DataError, match="no intact"):
        read_tflite_layers(DATA / ARCHIVE, "arm_kws/labels.txt")
