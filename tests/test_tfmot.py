"""The bridge from tensorflow-model-optimization, and HDF5 files of Keras 2.

CI installs the extra: pip install 'tflm-reds[tfmot]'.
"""

import importlib.util
import os
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import h5py
import keras
import numpy as np
import pytest

import tflm_reds as reds
from tests.real_data import DATA, needs
from tflm_reds.datasets import load_fashion_mnist
from tflm_reds.errors import ModelError, OutputError, ToolchainError
from tflm_reds.keras_reader import load_model, read_model
from tflm_reds.tfmot_bridge import convert, main

ORIGINALS = ("fashion_mnist_ds_cnn_sizeS", "cifar10_ds_cnn_sizeS", "mnist_ds_cnn_sizeS")
HAS_TFMOT = importlib.util.find_spec("tensorflow_model_optimization") is not None
needs_tfmot = pytest.mark.skipif(
    not HAS_TFMOT,
    reason="tensorflow-model-optimization is not installed: pip install 'tflm-reds[tfmot]'",
)

# Runs in a process of its own: tfmot switches Keras. Writes the model as saved by its user, and
# the outputs that the plain float network must give.
MAKE = """
import sys
import numpy as np, tf_keras as k, tensorflow_model_optimization as tfmot
kind, file = sys.argv[1:]
k.utils.set_random_seed(0)
base = k.Sequential([
    k.Input((12, 8, 1)),
    k.layers.Conv2D(8, 3, strides=2, padding="same", name="conv"),
    k.layers.BatchNormalization(name="bn"),
    k.layers.ReLU(name="relu"),
    k.layers.DepthwiseConv2D(3, padding="same", name="dw"),
    k.layers.BatchNormalization(name="bn_dw"),
    k.layers.ReLU(name="relu_dw"),
    k.layers.GlobalAveragePooling2D(name="pool"),
    k.layers.Dense(16, activation="relu", name="hidden"),
    k.layers.Dense(4, name="fc"),
])
random = np.random.default_rng(0)
x = random.normal(size=(256, 12, 8, 1)).astype("float32")
y = np.arange(256) % 4
x += 3 * random.normal(size=(4, 12, 8, 1)).astype("float32")[y]
loss = k.losses.SparseCategoricalCrossentropy(from_logits=True)
base.compile(k.optimizers.Adam(0.01), loss)
base.fit(x, y, epochs=15, verbose=0)  # so that the logits fill the ranges that QAT starts from
if kind == "plain":
    model = base
elif kind == "qat":
    model = tfmot.quantization.keras.quantize_model(base)
elif kind == "pruned":
    model = tfmot.sparsity.keras.prune_low_magnitude(base, pruning_schedule=
        tfmot.sparsity.keras.ConstantSparsity(0.5, 0, frequency=1))
elif kind == "clustered":
    model = tfmot.clustering.keras.cluster_weights(base, number_of_clusters=4,
        cluster_centroids_init=tfmot.clustering.keras.CentroidInitialization.LINEAR)
callbacks = [tfmot.sparsity.keras.UpdatePruningStep()] if kind == "pruned" else []
model.compile("adam", loss)
if kind != "plain":
    model.fit(x, y, epochs=1, verbose=0, callbacks=callbacks)
model.save(file)
np.savez(file + ".npz", x=x, y=y, outputs=model.predict(x, verbose=0))
"""


@pytest.fixture
def made(tmp_path):
    """A function that makes `kind` with tf_keras: (path of the model file, its data)."""

    def make(kind: str, name: str = "model.h5") -> tuple[Path, dict]:
        path = tmp_path / name
        environment = {**os.environ, "TF_USE_LEGACY_KERAS": "1", "TF_CPP_MIN_LOG_LEVEL": "3"}
        script = [sys.executable, "-c", MAKE, kind, str(path)]
        subprocess.run(script, check=True, env=environment)
        return path, dict(np.load(f"{path}.npz"))

    return make


@needs_tfmot
@pytest.mark.slow
@pytest.mark.parametrize(
    ("kind", "name", "tolerance"),
    [
        ("qat", "model.h5", 0.05),
        ("pruned", "model.h5", 1e-4),
        ("pruned", "model.keras", 1e-4),
        ("clustered", "model.h5", 1e-4),
    ],
)
def test_bridge(made, tmp_path, kind, name, tolerance):
    """The plain network puts out what the wrapped one did; QAT's own rounding apart."""
    path, data = made(kind, name)
    with pytest.raises(ModelError, match="tfmot_bridge"):
        load_model(path)
    target = tmp_path / "plain.keras"
    assert main([str(path), str(target)]) == 0
    model = load_model(target)
    outputs, expected = model.predict(data["x"], verbose=0), data["outputs"]
    assert np.linalg.norm(outputs - expected) <= tolerance * np.linalg.norm(expected)
    if kind == "qat":
        with h5py.File(path) as file:
            trained = file["model_weights/quant_hidden/hidden/kernel:0"][:]
        np.testing.assert_array_equal(model.get_layer("hidden").get_weights()[0], trained)
    if kind == "pruned":
        kernel = model.get_layer("hidden").get_weights()[0]
        assert np.mean(kernel == 0) == pytest.approx(0.5, abs=0.02)
    if kind == "clustered":
        assert len(np.unique(model.get_layer("hidden").get_weights()[0])) <= 4
    nested = reds.nest(model, (data["x"], data["y"]), budgets=(0.5,))
    full = nested.predict(data["x"], verbose=0)[-1]
    assert np.abs(full - outputs).max() <= 1e-4 * np.abs(outputs).max()


@needs_tfmot
@pytest.mark.slow
def test_old_file_under_either_name(made, tmp_path):
    path, data = made("plain")
    renamed = shutil.copy(path, tmp_path / "old.keras")
    for file in (path, renamed):
        model = load_model(file)
        np.testing.assert_allclose(
            model.predict(data["x"], verbose=0), data["outputs"], rtol=1e-3, atol=1e-5
        )
    model.save(tmp_path / "new.keras")  # no class of ours in it
    assert type(keras.models.load_model(tmp_path / "new.keras").get_layer("dw")) is (
        keras.layers.DepthwiseConv2D
    )


@needs("models_original.zip", "fashion_mnist.npz")
def test_original_models_of_the_paper(tmp_path):
    """The published vision nets, HDF5 of Keras 2: read, and as accurate as published."""
    with zipfile.ZipFile(DATA / "models_original.zip") as archive:
        paths = [Path(archive.extract(f"reds_vision/{name}.h5", tmp_path)) for name in ORIGINALS]
    models = [load_model(path) for path in paths]
    assert all("depthwise_conv2d" in {n.op for n in read_model(m)[0].nodes} for m in models)
    data = load_fashion_mnist(DATA)
    outputs = models[0].predict(data.x_test, batch_size=500, verbose=0)
    assert np.mean(outputs.argmax(-1) == data.y_test) == pytest.approx(0.906, abs=2e-4)


@pytest.mark.skipif(HAS_TFMOT, reason="tensorflow-model-optimization is installed")
def test_missing_extra_is_told(tmp_path):
    (tmp_path / "in.h5").write_bytes(b"")
    with pytest.raises(ToolchainError, match=r"pip install 'tflm-reds\[tfmot\]'"):
        convert(tmp_path / "in.h5", tmp_path / "out.keras")


@needs_tfmot
@pytest.mark.slow
def test_file_that_tf_keras_cannot_read_is_told(tmp_path):
    (tmp_path / "in.h5").write_bytes(b"nothing")
    with pytest.raises(ModelError, match=r"cannot read .*in\.h5"):
        convert(tmp_path / "in.h5", tmp_path / "out.keras")
    assert not (tmp_path / "out.keras").exists()


def test_bad_input(tmp_path):
    with pytest.raises(ModelError, match="no model file"):
        convert(tmp_path / "none.h5", tmp_path / "out.keras")
    with pytest.raises(OutputError, match="not called so"):
        convert(tmp_path / "none.h5", tmp_path / "out.h5")
    broken = tmp_path / "broken.keras"
    broken.write_bytes(b"\x89HDF\r\n\x1a\n" + bytes(100))
    with pytest.raises(ModelError, match="cannot read"):
        load_model(broken)
    assert not (tmp_path / "out.keras").exists()
