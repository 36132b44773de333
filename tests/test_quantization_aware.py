"""Quantisation-aware training: the rounded float network is the int8 network."""

import keras
import numpy as np
import pytest
from keras_models import data, make

import tflm_reds as reds
from tflm_reds.errors import DataError
from tflm_reds.fake_quantization import FakeQuantization
from tflm_reds.quantization import activation_ranges, rounding_scales


def nested_model(name: str, seed: int = 0):
    model = make(name, seed=seed)
    x, y = data(model, 200)
    nested = reds.nest(model, (x, y), budgets=(0.4,))
    nested.compile("adam", "sparse_categorical_crossentropy", metrics=["accuracy"])
    return nested, x, y


@pytest.mark.parametrize("name", ["ds_cnn", "mlp"])
def test_rounded_network_is_the_int8_network(name):
    """Every output lies on the int8 grid, nearer to the int8 net's own than the float net is."""
    nested, x, _ = nested_model(name)
    floating = nested.predict(x, verbose=0)
    ranges = activation_ranges(nested, x)
    nested.fake_quantization = FakeQuantization(rounding_scales(nested.graph, ranges))
    rounded = nested.predict(x, verbose=0)
    nested.fake_quantization = None
    net = reds.quantize(nested, x, ranges=ranges)
    output = net.tensors[net.ops[-1].output]
    inputs = net.quantize_input(x)
    for k, values in enumerate(rounded):
        steps = values / output.scale + output.zero_point
        int8 = net.run(inputs, k).reshape(steps.shape).astype(float)
        assert np.abs(steps - np.round(steps)).max() < 1e-2
        off = np.abs(floating[k] / output.scale + output.zero_point - int8).mean()
        assert np.abs(steps - int8).max() <= 2
        assert np.abs(steps - int8).mean() < 0.7 * off
    for before, after in zip(floating, nested.predict(x, verbose=0), strict=True):
        np.testing.assert_array_equal(before, after)


def test_ranges_are_trained_with_saved_and_used(tmp_path):
    nested, x, y = nested_model("ds_cnn")
    callback = reds.callbacks.QuantizationAware(x, start_epoch=1)
    nested.fit(x, y, epochs=2, verbose=0, validation_data=(x, y), callbacks=[callback])
    assert nested.fake_quantization is None
    nested.save(tmp_path / "nested.keras")
    loaded = keras.models.load_model(tmp_path / "nested.keras")
    few = x[:3]  # calibration on them alone gives other scales
    ours, theirs = reds.quantize(loaded, few), reds.quantize(nested, x)
    assert scales(ours) == scales(theirs)
    loaded.fit(x, y, epochs=1, verbose=0)
    assert loaded.ranges is None
    assert scales(reds.quantize(loaded, few)) != scales(ours)


def scales(net) -> dict[str, float]:
    return {name: tensor.scale for name, tensor in net.tensors.items()}


def test_only_the_epochs_asked_for_round():
    """At rate 0 an epoch's loss tells whether its steps rounded."""
    nested, x, y = nested_model("mlp")
    nested.compile(keras.optimizers.SGD(0.0), "sparse_categorical_crossentropy")

    def losses(epochs, *callbacks):
        fit = nested.fit(x, y, epochs=epochs, verbose=0, shuffle=False, callbacks=callbacks)
        return fit.history["loss"]

    callback = reds.callbacks.QuantizationAware(x, start_epoch=1)
    floating, rounded = losses(2, callback)
    assert rounded != pytest.approx(floating, rel=1e-5)
    assert losses(1) == pytest.approx([floating], rel=1e-6)
    assert losses(2, callback) == pytest.approx([floating, rounded], rel=1e-6)


def test_gradients_pass_the_rounding():
    """With int8's rounding training still lowers the loss of the rounded network."""
    nested, x, y = nested_model("mlp")
    callback = reds.callbacks.QuantizationAware(x)
    history = nested.fit(x, y, epochs=8, verbose=0, callbacks=[callback]).history["loss"]
    assert history[-1] < 0.9 * history[0]
    again = nested.fit(x, y, epochs=1, verbose=0, callbacks=[callback]).history["loss"]
    assert again[0] < history[1]


def test_bad_input():
    with pytest.raises(DataError, match="start_epoch >= 0"):
        reds.callbacks.QuantizationAware(np.zeros((4, 2)), start_epoch=-1)
    with pytest.raises(DataError, match="0 inputs"):
        reds.callbacks.QuantizationAware(np.zeros((0, 2)))
