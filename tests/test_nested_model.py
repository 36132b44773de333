"""NestedModel: slices equal stand-alone models, per-subnet logs, save and load, callbacks."""

import itertools
import subprocess
import sys

import keras
import numpy as np
import pytest
from keras_models import MODELS, data, make

import tflm_reds as reds
from tflm_reds.errors import DataError, ModelError, PlanError
from tflm_reds.nested_layers import subnet_scope
from tflm_reds.recalibration import recalibrate

NAMES = sorted(MODELS)


@pytest.fixture(scope="module")
def task():
    """A model, its data, and the same data nested (not trained)."""
    model = make("ds_cnn", seed=1)
    x, y = data(model, 300)
    return model, x, y


def nested_model(task, **options):
    model, x, y = task
    nested = reds.nest(model, (x, y), **options)
    nested.compile("adam", "sparse_categorical_crossentropy", metrics=["accuracy"])
    return nested


@pytest.mark.parametrize("name", NAMES)
def test_full_subnet_keeps_the_function(name):
    model = make(name, seed=2, negative_gammas=True)
    x, y = data(model)
    nested = reds.nest(model, (x, y), budgets=(0.4, 0.7))
    expected = model.predict(x, verbose=0)
    actual = nested.predict(x, verbose=0)[-1]
    assert np.abs(actual - expected).max() <= 1e-4 * np.abs(expected).max()


@pytest.mark.parametrize("name", NAMES)
def test_every_subnet_equals_its_sliced_model(name):
    model = make(name, seed=3)
    x, y = data(model)
    nested = reds.nest(model, (x, y), budgets=(0.3, 0.6))
    outputs = nested.predict(x, verbose=0)
    for k, output in enumerate(outputs):
        sliced = nested.subnet(k)
        assert type(sliced) is not type(nested)
        np.testing.assert_allclose(sliced.predict(x, verbose=0), output, rtol=1e-4, atol=1e-5)
    assert nested.subnet(0).count_params() < nested.subnet(2).count_params()


def test_prefix_law_on_the_float_model(task):
    nested = nested_model(task)
    arrays = [nested.subnet_arrays(k) for k in range(nested.subnet_count)]
    for small, large in itertools.pairwise(arrays):
        for key in small:
            if key.endswith("kernel"):
                prefix = tuple(slice(n) for n in small[key].shape)
                np.testing.assert_array_equal(small[key], large[key][prefix])


def test_fit_logs_every_subnet_and_improves(task):
    _, x, y = task
    nested = nested_model(task)
    before = nested.evaluate(x, y, verbose=0, return_dict=True)
    history = nested.fit(x, y, validation_data=(x, y), epochs=6, batch_size=32, verbose=0,
                         callbacks=[reds.callbacks.Distillation(0.5),
                                    reds.callbacks.RecalibrateBatchNorm(x),
                                    reds.callbacks.BestSubnets()])  # fmt: skip
    names = {f"{kind}accuracy_{p}" for kind in ("", "val_") for p in (25, 50, 75, 100)}
    assert names <= set(history.history)
    after = nested.evaluate(x, y, verbose=0, return_dict=True)
    assert after["accuracy_25"] > before["accuracy_25"]
    best = np.mean([history.history[f"val_accuracy_{p}"] for p in (25, 50, 75, 100)], 0).max()
    kept = np.mean([after[f"accuracy_{p}"] for p in (25, 50, 75, 100)])
    assert kept == pytest.approx(best, abs=1e-6)


def test_checkpoint_holds_the_validated_weights(task, tmp_path):
    """evaluate(saved) == logged val_accuracy_25, although batch-norm is recalibrated."""
    _, x, y = task
    nested = nested_model(task)
    path = tmp_path / "epoch{epoch}.keras"
    history = nested.fit(x, y, validation_data=(x, y), epochs=2, batch_size=50, verbose=0,
                         callbacks=[reds.callbacks.RecalibrateBatchNorm(x),
                                    keras.callbacks.ModelCheckpoint(
                                        path, monitor="val_accuracy_25")])  # fmt: skip
    for epoch in (1, 2):
        saved = keras.models.load_model(tmp_path / f"epoch{epoch}.keras")
        logs = saved.evaluate(x, y, verbose=0, return_dict=True)
        assert logs["accuracy_25"] == pytest.approx(history.history["val_accuracy_25"][epoch - 1])


def test_save_and_load_round_trip(task, tmp_path):
    _, x, y = task
    nested = nested_model(task)
    nested.fit(x, y, epochs=1, verbose=0)
    nested.save(tmp_path / "nested.keras")
    loaded = keras.models.load_model(tmp_path / "nested.keras")
    assert loaded.plan == nested.plan and loaded.graph == nested.graph
    for a, b in zip(nested.predict(x, verbose=0), loaded.predict(x, verbose=0), strict=True):
        np.testing.assert_array_equal(a, b)
    loaded.fit(x, y, epochs=1, verbose=0)  # still compiled, optimizer state restored


@pytest.mark.parametrize(
    "code",
    [
        "import keras, tflm_reds, sys; keras.models.load_model(sys.argv[1])",
        "import sys; from tflm_reds.keras_reader import load_model; load_model(sys.argv[1])",
    ],
)
def test_a_fresh_process_loads_a_saved_model(code, task, tmp_path):
    nested_model(task).save(tmp_path / "nested.keras")
    subprocess.run([sys.executable, "-c", code, tmp_path / "nested.keras"], check=True)


def test_csv_logger_sees_every_subnet(task, tmp_path):
    _, x, y = task
    nested = nested_model(task)
    nested.fit(x, y, validation_data=(x, y), epochs=1, verbose=0,
               callbacks=[keras.callbacks.CSVLogger(tmp_path / "log.csv")])  # fmt: skip
    assert "val_accuracy_25" in (tmp_path / "log.csv").read_text().splitlines()[0]


def test_sample_weights_reach_the_loss(task):
    """Weights 0 and 1 leave the loss of the samples kept (Keras divides by the batch size)."""
    _, x, y = task
    nested = nested_model(task)
    weights = np.arange(len(x)) < len(x) // 2
    weighted = nested.evaluate(x, y, 300, sample_weight=weights.astype(np.float32), verbose=0)
    half = nested.evaluate(x[: len(x) // 2], y[: len(x) // 2], 300, verbose=0)
    assert weighted[0] == pytest.approx(half[0] / 2, rel=1e-4)


def test_distillation_changes_the_gradient_and_switches_off(task):
    _, x, y = task
    nested = nested_model(task)
    plain = nested.evaluate(x, y, verbose=0, return_dict=True)["loss"]
    nested.distillation_alpha.assign(1.0)
    distilled = nested.evaluate(x, y, verbose=0, return_dict=True)["loss"]
    assert distilled != pytest.approx(plain)
    nested.fit(x, y, epochs=1, verbose=0, callbacks=[reds.callbacks.Distillation(0.5)])
    assert float(nested.distillation_alpha) == 0.0


def test_sandwich_keeps_the_ends_and_works_in_a_second_fit(task):
    _, x, y = task
    nested = nested_model(task)
    seen = []

    class Spy(keras.callbacks.Callback):
        def on_train_batch_end(self, batch, logs=None):
            seen.append(np.asarray(self.model.subnet_weights) > 0)

    for _ in range(2):
        sampler = reds.callbacks.SubnetSampler("sandwich", seed=1)
        nested.fit(x, y, epochs=1, batch_size=32, verbose=0, callbacks=[sampler, Spy()])
    seen = np.array(seen)
    assert seen[:, [0, -1]].all() and (seen.sum(1) == 3).all() and seen[:, 1].any()
    nested.fit(x, y, epochs=1, verbose=0, callbacks=[reds.callbacks.SubnetSampler()])
    assert np.asarray(nested.subnet_weights).tolist() == [1, 1, 1, 1]


def test_sandwich_refuses_hidden_batches(task):
    _, x, y = task
    nested = reds.nest(task[0], (x, y))
    nested.compile("adam", "sparse_categorical_crossentropy", steps_per_execution=4)
    with pytest.raises(DataError, match="steps_per_execution=4"):
        nested.fit(x, y, verbose=0, callbacks=[reds.callbacks.SubnetSampler("sandwich")])


def test_nan_loss_stops_and_keeps_the_good_weights(task):
    _, x, y = task
    nested = nested_model(task)
    good = nested.get_weights()
    bad = x.copy()
    bad[40] = np.nan
    guard = reds.callbacks.StopOnNaN()
    with pytest.warns(UserWarning, match="loss became nan"):
        nested.fit(bad, y, epochs=3, batch_size=32, verbose=0, callbacks=[guard])
    assert guard.stopped_epoch == 0
    for before, after in zip(good, nested.get_weights(), strict=True):
        np.testing.assert_array_equal(before, after)


def test_recalibration_measures_the_subnet(task):
    """After recalibration the batch-norm input of every subnet has mean 0 and variance 1."""
    _, x, _ = task
    nested = nested_model(task)
    recalibrate(nested, x, batch_size=len(x))
    for k in range(nested.subnet_count):
        probe = nested.subnet(k)
        conv = keras.Model(probe.inputs, probe.get_layer("conv1").output).predict(x, verbose=0)
        norm = nested.backbone.get_layer("bn1").norms[k]
        np.testing.assert_allclose(norm.moving_mean, np.mean(conv, (0, 1, 2)), atol=1e-4)
        np.testing.assert_allclose(norm.moving_variance, np.var(conv, (0, 1, 2)), rtol=1e-3)


def test_recalibration_does_not_mind_sorted_inputs(task):
    """Batches of one class each would lack the variance between the classes."""
    nested, slopes = nested_model(task), np.linspace(0, 9, len(task[1]))
    x = np.sort(task[1] + slopes[:, None, None, None], axis=0)
    shuffled = np.random.default_rng(0).permutation(x)
    variances = []
    for inputs in (x, shuffled):
        recalibrate(nested, inputs, batch_size=40)
        variances.append(np.array(nested.backbone.get_layer("bn1").norms[0].moving_variance))
    np.testing.assert_allclose(*variances, rtol=0.1)


def test_gammas_stay_positive_in_training(task):
    _, x, y = task
    nested = nested_model(task)
    nested.compile(keras.optimizers.SGD(5.0), "sparse_categorical_crossentropy")
    nested.fit(x, y, epochs=2, verbose=0)
    gammas = [w.numpy() for w in nested.weights if w.name == "gamma"]
    assert gammas and all((g >= 1e-3 - 1e-9).all() for g in gammas)


def test_scope_is_restored_after_an_error(task):
    nested = nested_model(task)
    with pytest.raises(RuntimeError), subnet_scope(0):
        raise RuntimeError
    assert nested.backbone(task[1][:2]).shape == (2, 5)


def test_bad_input(task):
    model, x, y = task
    with pytest.raises(DataError, match=r"\(n, 12, 8, 1\)"):
        reds.nest(model, (x[:, :5], y))
    bad = x.copy()
    bad[3, 0, 0, 0] = np.nan
    with pytest.raises(DataError, match="1 of 300 calibration samples hold NaN"):
        reds.nest(model, (bad, y))
    with pytest.raises(DataError, match="300 inputs but 10 labels"):
        reds.nest(model, (x, y[:10]))
    with pytest.raises(PlanError, match="mallest feasible"):
        reds.nest(model, (x, y), budgets=(1e-6,))
    nested = nested_model(task)
    with pytest.raises(ModelError, match="nested already"):
        reds.nest(nested, (x, y))
    with pytest.raises(ModelError, match="Subnet 4 does not exist"):
        nested.subnet(4)
    with pytest.raises(ModelError, match="NestedModel"):
        model.compile("adam", "mse")
        model.fit(x, np.zeros((300, 5)), verbose=0, callbacks=[reds.callbacks.Distillation()])
    with pytest.raises(DataError, match="val_accuracy_25"):
        nested.fit(x, y, epochs=1, verbose=0, callbacks=[reds.callbacks.BestSubnets()])
