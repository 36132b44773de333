"""Plain .tflite files of the subnets in LiteRT: outputs, sizes, and every kind of bad input."""

import json
from dataclasses import replace

import keras
import keras_models
import numpy as np
import pytest
import real_data

from tflm_reds import build, litert, litert_runner
from tflm_reds.datasets import from_arrays, load_dataset
from tflm_reds.errors import DataError, OutputError, ToolchainError
from tflm_reds.litert import FORMS, nested_bytes, write_float_model, write_litert
from tflm_reds.nesting import nest
from tflm_reds.quantization import quantize
from tflm_reds.tflite_io import write_stock_model
from tflm_reds.training import accuracy
from tflm_reds.zoo import load_zoo

pytest.importorskip("ai_edge_litert", reason="pip install 'tflm-reds[litert]'")
STEPS = 4  # of int8 that XNNPACK may differ by from TFLM


def make_nets(name: str, budgets=(0.5,)):
    """(nested model, its int8 network, inputs, classes)."""
    model = keras_models.make(name, seed=2)
    x, y = keras_models.data(model, 120)
    nested = nest(model, (x, y), budgets=budgets)
    return nested, quantize(nested, x, name), x, y


@pytest.fixture(scope="module")
def written(tmp_path_factory):
    """Two subnets, both forms: (folder, report, nested model, int8 network, inputs)."""
    folder = tmp_path_factory.mktemp("litert")
    nested, net, x, y = make_nets("ds_cnn")
    np.savez(folder / "data.npz", x=x, y=y, x_test=x, y_test=y)
    dataset = from_arrays(folder / "data.npz")
    references = {
        "float32": [accuracy(output, y) for output in nested.predict(x, verbose=0)],
        "int8": [accuracy(net.run(net.quantize_input(x), k), y) for k in range(2)],
    }
    return folder, write_litert(nested, net, dataset, references, folder), nested, net, x


def test_float_outputs_equal_keras(written):
    folder, report, nested, _, x = written
    for k, expected in enumerate(nested.predict(x, verbose=0)):
        outputs = litert_runner.LitertRunner(folder / report.models[2 * k].file).run(x)
        np.testing.assert_allclose(outputs, expected, rtol=0, atol=1e-4 * np.abs(expected).max())


@pytest.mark.parametrize("name", ["everything", "residual", "concatenating"])
def test_int8_outputs_are_within_a_few_steps(name, tmp_path):
    _, net, x, _ = make_nets(name)
    x = net.quantize_input(x)
    for k in range(net.subnet_count):
        path = write_stock_model(net.slice(k), tmp_path / f"{k}.tflite")
        outputs = litert_runner.LitertRunner(path).run(x)
        steps = np.abs(outputs.astype(int) - net.run(x, k).reshape(outputs.shape))
        assert steps.max() <= STEPS and steps.mean() < 1, steps


def test_report_tells_files_sizes_and_accuracies(written):
    folder, report, _, net, x = written
    assert [(m.subnet, m.form) for m in report.models] == [(k, f) for k in (0, 1) for f in FORMS]
    for model in report.models:
        assert model.bytes == (folder / model.file).stat().st_size
        assert abs(model.accuracy - model.reference) <= (0 if model.form == "float32" else 0.05)
        assert model.host_ms > 0
    assert report.total_bytes("int8") == report.models[1].bytes + report.models[3].bytes
    assert report.nested_bytes == nested_bytes(net) < report.total_bytes("int8")
    assert report.samples == len(x) and report.runtime.startswith("ai-edge-litert ")
    report.save(folder)
    content = json.loads((folder / "litert.json").read_text())
    assert content["total_bytes"]["float32"] == report.total_bytes("float32")
    assert len(content["models"]) == 4 and content["schema"] == 1
    page = (folder / "litert.md").read_text()
    assert "not on a phone" in page and f"{report.nested_bytes:,} B" in page
    unknown = replace(report.models[0], accuracy=None, reference=None)
    assert "| - | - |" in litert.render_litert(replace(report, models=(unknown,)))


def test_missing_package_is_told_before_training(tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(litert_runner, "find_spec", lambda name: None)
    arguments = ["--target", "litert", "--out", str(tmp_path / "out")]
    assert build.main(arguments) == ToolchainError.exit_code
    error = capsys.readouterr().err
    assert "pip install 'tflm-reds[litert]'" in error and "[ 1/9]" not in error
    assert not (tmp_path / "out").exists()


def test_a_keras_that_cannot_export_is_named(tmp_path, monkeypatch):
    def refuse(*_, **__):
        raise ValueError("Unrecognized format=litert.")

    monkeypatch.setattr(keras.Model, "export", refuse)
    with pytest.raises(ToolchainError, match=rf"Keras {keras.__version__} .*3\.13\.1"):
        write_float_model(keras_models.make("mlp"), tmp_path / "a.tflite")
    assert not list(tmp_path.iterdir())


def test_bad_files_and_inputs(written, tmp_path):
    folder, report, *_ = written
    (tmp_path / "bad.tflite").write_bytes(b"no model")
    with pytest.raises(DataError, match=r"cannot run .*bad\.tflite"):
        litert_runner.LitertRunner(tmp_path / "bad.tflite")
    runner = litert_runner.LitertRunner(folder / report.models[0].file)
    for x in (np.zeros((1, 12, 8, 1), np.int8), np.zeros((1, 11, 8, 1), np.float32)):
        with pytest.raises(DataError, match=r"takes float32 inputs of shape \(1, 12, 8, 1\)"):
            runner.run(x)
    assert runner.run(np.zeros((0, 12, 8, 1), np.float32)).shape == (0, 5)


def test_unwritable_folder(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(OutputError, match="writable folder"):
        write_float_model(keras_models.make("mlp"), tmp_path / "file" / "a.tflite")


@pytest.mark.slow
def test_build_for_litert(tmp_path):
    model = keras_models.make("ds_cnn", seed=1)
    x, y = keras_models.data(model, 200)
    model.save(tmp_path / "net.keras")
    np.savez(tmp_path / "net.npz", x=x, y=y, x_test=x, y_test=y)
    out = tmp_path / "out"
    arguments = [str(tmp_path / "net.keras"), "--calibration", str(tmp_path / "net.npz"), "--out",
                 str(out), "--epochs", "0", "--budgets", "0.5", "--no-tflm", "--no-tuning",
                 "--compare", "10", "--target", "litert", "--quiet"]  # fmt: skip
    assert build.main(arguments) == 0
    report = json.loads((out / "report.json").read_text())
    models = json.loads((out / "litert" / "litert.json").read_text())["models"]
    assert [m["reference"] for m in models[::2]] == [s["accuracy_float"] for s in report["subnets"]]
    assert [m["reference"] for m in models[1::2]] == [s["accuracy_int8"] for s in report["subnets"]]
    assert {m["file"] for m in models} < {path.name for path in (out / "litert").iterdir()}


@pytest.mark.slow
@real_data.needs_fashion_mnist
def test_accuracy_on_real_images(tmp_path):
    """The pretrained network, 10,000 test images.

    float32 is within 0.2 points of Keras. int8 is at most as far below numpy; it may lie above, as
    XNNPACK rounds LeakyReLU otherwise, but not more than 0.2 points above float32.
    """
    model, pretrained = load_zoo("ds_cnn_s_fashion_mnist", real_data.DATA)
    assert pretrained
    dataset = load_dataset("fashion_mnist", real_data.DATA)
    nested = nest(model, (dataset.x_train[:2000], dataset.y_train[:2000]), budgets=())
    net = quantize(nested, dataset.x_train[:2000], "fashion")
    x = net.quantize_input(dataset.x_test)
    references = {
        "float32": [accuracy(nested.predict(dataset.x_test, verbose=0)[0], dataset.y_test)],
        "int8": [accuracy(net.run(x, 0), dataset.y_test)],
    }
    report = write_litert(nested, net, dataset, references, tmp_path)
    floating, int8 = report.models
    assert abs(floating.accuracy - floating.reference) <= 0.002 and floating.accuracy > 0.85
    assert int8.reference - 0.002 <= int8.accuracy <= floating.accuracy + 0.002
