"""Joint training: labels and teachers in a batch, and a run that was killed goes on."""

from dataclasses import replace

import keras
import numpy as np
import pytest

from tests.keras_models import ds_cnn, shake
from tflm_reds.callbacks import BestSubnets
from tflm_reds.datasets import Dataset
from tflm_reds.nesting import nest
from tflm_reds.training import fine_tune, lessons, train_float


def dataset(unlabelled: int = 0) -> Dataset:
    random = np.random.default_rng(0)
    y = random.integers(0, 5, 96)
    x = random.normal(0, 1, (96, 12, 8, 1)).astype(np.float32) + y[:, None, None, None]
    x = x.astype(np.float32)
    more = random.normal(0, 1, (unlabelled, 12, 8, 1)).astype(np.float32)
    parts = x[:64], y[:64], x[64:80], y[64:80], x[80:], y[80:]
    return Dataset("five", *parts, tuple("abcde"), x_unlabelled=more)


def rows(batches) -> tuple[np.ndarray, np.ndarray]:
    x, y = zip(*batches, strict=True)
    return np.concatenate(x), np.concatenate(y)


def softmax(values: np.ndarray) -> np.ndarray:
    powers = np.exp(values - values.max(-1, keepdims=True))
    return powers / powers.sum(-1, keepdims=True)


def test_without_a_teacher_the_labels_are_the_classes():
    data = dataset(unlabelled=10)
    x, labels = rows(lessons(data, 16))
    assert len(x) == 64
    order = [int(np.flatnonzero((data.x_train == row).all((1, 2, 3)))[0]) for row in x]
    np.testing.assert_array_equal(labels, np.eye(5)[data.y_train[order]])


def test_a_teacher_gives_its_share_and_all_of_a_missing_label():
    data, teacher = dataset(unlabelled=10), shake(ds_cnn())
    x, labels = rows(lessons(data, 16, teacher, trust=0.7))
    assert len(x) == 74
    taught = softmax(teacher.predict(x, verbose=0))
    order = {row.tobytes(): y for row, y in zip(data.x_train, data.y_train, strict=True)}
    for row, label, teaching in zip(x, labels, taught, strict=True):
        known = order.get(row.tobytes())
        expected = teaching if known is None else 0.3 * np.eye(5)[known] + 0.7 * teaching
        np.testing.assert_allclose(label, expected, atol=1e-5)


def test_statistics_are_those_of_all_inputs_that_the_training_sees():
    data, model = dataset(unlabelled=200), shake(ds_cnn())
    data = replace(data, x_unlabelled=5 * data.x_unlabelled)
    nested = nest(model, (data.x_train, data.y_train), (0.4,))
    fine_tune(nested, data, epochs=1, teacher=model)
    probe = nested.subnet(1)
    conv = keras.Model(probe.inputs, probe.get_layer("conv1").output)
    outputs = conv.predict(data.inputs, verbose=0)
    variance = nested.subnet_arrays(1)["bn1/variance"]
    np.testing.assert_allclose(variance, outputs.var((0, 1, 2)), rtol=0.1)


def test_mixing_blends_inputs_and_labels_alike():
    data = dataset()
    x, labels = rows(lessons(data, 64, mixing=0.4))
    np.testing.assert_allclose(labels.sum(-1), 1, atol=1e-6)
    kept = labels.max(-1)
    assert kept.min() >= 0.6 - 1e-6 and len(np.unique(np.round(kept, 4))) > 10
    # What a sample keeps of its own label it keeps of its input: undo the blend with its partner.
    share = np.where(labels.max(-1) < 1, 1 - labels.max(-1), 0)
    different = np.flatnonzero(labels.max(-1) < 1)
    first = different[0]
    partner = len(x) - 1 - first
    blend = np.array([[1 - share[first], share[first]], [share[partner], 1 - share[partner]]])
    own = np.linalg.solve(blend, x[[first, partner]].reshape(2, -1))
    known = data.x_train.reshape(64, -1)
    assert np.abs(known - own[0]).max(1).min() < 1e-3


class KilledError(Exception):
    pass


class Kill(keras.callbacks.Callback):
    def on_epoch_begin(self, epoch, logs=None):
        if epoch == 2:
            raise KilledError


class Epochs(keras.callbacks.Callback):
    def on_train_begin(self, logs=None):
        self.seen = []

    def on_epoch_begin(self, epoch, logs=None):
        self.seen.append((epoch, int(self.model.optimizer.iterations)))


def test_a_killed_training_goes_on_after_its_last_epoch(tmp_path):
    data = dataset()

    def new():
        keras.utils.set_random_seed(0)
        return nest(shake(ds_cnn()), (data.x_train, data.y_train), (0.5,))

    with pytest.raises(KilledError):
        fine_tune(new(), data, 4, 16, callbacks=(Kill(),), checkpoints=tmp_path)
    epochs, nested = Epochs(), new()
    fine_tune(nested, data, 4, 16, callbacks=(epochs,), checkpoints=tmp_path)
    # Four steps an epoch: the optimizer, and so the learning rate's schedule, went on too.
    assert epochs.seen == [(2, 8), (3, 12)]


def test_best_subnets_knows_the_best_epoch_of_an_earlier_call(tmp_path):
    data = dataset()
    nested = nest(shake(ds_cnn()), (data.x_train, data.y_train), (0.5,))
    nested.compile("sgd", "sparse_categorical_crossentropy", metrics=["accuracy"])
    best = BestSubnets(path=tmp_path / "best.npz")
    best.set_model(nested)
    best.on_train_begin()
    best.on_epoch_end(5, {"val_accuracy_50": 0.9, "val_accuracy_100": 0.9})
    kept = nested.backbone.get_weights()
    nested.backbone.set_weights([weight + 1 for weight in kept])

    again = BestSubnets(path=tmp_path / "best.npz")
    again.set_model(nested)
    again.on_train_begin()
    again.on_epoch_end(6, {"val_accuracy_50": 0.5, "val_accuracy_100": 0.5})
    again.on_train_end()
    assert again.best_epoch == 5
    for now, then in zip(nested.backbone.get_weights(), kept, strict=True):
        np.testing.assert_array_equal(now, then)


class Poison(keras.callbacks.Callback):
    """Makes one weight NaN, as an update that overflowed does, and notes the weights before."""

    def __init__(self, epoch: int, when: str) -> None:
        super().__init__()
        self.epoch, self.when, self.before = epoch, when, None

    def on_epoch_begin(self, epoch, logs=None):
        if epoch == self.epoch:
            self.before = self.model.backbone.get_weights()
            if self.when == "start":
                self.strike()

    def on_train_batch_end(self, batch, logs=None):
        if self.when == "last update" and self.before is not None and batch == 3:
            self.strike()

    def strike(self):
        kernel = self.model.trainable_variables[0]
        kernel.assign(kernel * np.nan)


@pytest.mark.parametrize("when", ["start", "last update"])
@pytest.mark.parametrize("epoch", [0, 2])
def test_nan_keeps_the_best_of_the_good_epochs(tmp_path, when, epoch):
    """The first epoch's NaN leaves the weights as they came; a later one the best epoch's."""
    data = dataset()
    # All labels 0: a network that puts out NaN would count as perfect.
    data = replace(data, y_validation=np.zeros_like(data.y_validation))
    nested = nest(shake(ds_cnn()), (data.x_train, data.y_train), (0.5,))
    poison = Poison(epoch, when)
    options = {"callbacks": (poison,), "checkpoints": tmp_path}
    with pytest.warns(UserWarning, match=rf"became .* epoch {epoch + 1}.*last good epoch"):
        history = fine_tune(nested, data, 4, 16, **options)
    assert len(history.epoch) == epoch + 1
    assert all(np.isfinite(weight).all() for weight in nested.backbone.get_weights())
    if epoch == 0:
        found, expected = nested.backbone.get_weights(), poison.before
        assert not (tmp_path / "best.npz").exists()
    else:
        means = np.mean([history.history[f"val_accuracy_{n}"] for n in (50, 100)], axis=0)
        with np.load(tmp_path / "best.npz") as file:
            assert int(file["epoch"]) == np.argmax(means[:epoch])
            expected = [file[f"weight{i}"] for i in range(len(file.files) - 2)]
        found = nested.backbone.get_weights()
    for now, then in zip(found, expected, strict=True):
        np.testing.assert_array_equal(now, then)


def test_nan_without_validation_keeps_the_last_good_epoch():
    data = dataset()
    data = replace(data, x_validation=data.x_validation[:0], y_validation=data.y_validation[:0])
    nested = nest(shake(ds_cnn()), (data.x_train, data.y_train), (0.5,))
    poison = Poison(1, "start")
    with pytest.warns(UserWarning, match="loss became nan in epoch 2, batch 1"):
        fine_tune(nested, data, 4, 16, callbacks=(poison,))
    for now, then in zip(nested.backbone.get_weights(), poison.before, strict=True):
        np.testing.assert_array_equal(now, then)


def test_nan_in_float_training_is_told():
    data = dataset()
    model = shake(ds_cnn())
    before = model.get_weights()
    data.x_train[3] = np.nan
    with pytest.warns(UserWarning, match="look for NaN in the data"):
        train_float(model, data, 2)
    for now, then in zip(model.get_weights(), before, strict=True):
        np.testing.assert_array_equal(now, then)


def test_best_subnets_leaves_the_settings_of_other_callbacks():
    """A second fit without Distillation learns from labels alone."""
    data = dataset()
    nested = nest(shake(ds_cnn()), (data.x_train, data.y_train), (0.5,))
    fine_tune(nested, data, 1, 32, alpha=0.5)
    assert float(nested.distillation_alpha) == 0
