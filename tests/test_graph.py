"""LayerGraph from Keras: same function, right groups, true MACs, clear refusals."""

import keras
import numpy as np
import pytest
from keras import layers
from keras_models import MODELS, data, make

from tflm_reds.errors import DataError, ModelError
from tflm_reds.graph import LayerGraph, slice_weights
from tflm_reds.keras_reader import load_model, read_model
from tflm_reds.keras_writer import write_model
from tflm_reds.permute import fold_negative_gammas, permute
from tflm_reds.score import Scores, score

NAMES = sorted(MODELS)


def outputs(model, x):
    return model.predict(x, verbose=0)


def assert_same(actual, expected):
    """Contract 1: max |change| <= 1e-4 of max |output|."""
    assert np.abs(actual - expected).max() <= 1e-4 * np.abs(expected).max()


@pytest.mark.parametrize("name", NAMES)
def test_round_trip_keeps_the_function(name):
    model = make(name)
    x, _ = data(model)
    graph, weights = read_model(model)
    assert_same(outputs(write_model(graph, weights), x), outputs(model, x))


@pytest.mark.parametrize("name", NAMES)
def test_random_permutation_keeps_the_function(name):
    model = make(name, seed=1)
    x, _ = data(model)
    graph, weights = read_model(model)
    random = np.random.default_rng(2)
    scores = Scores({g: random.random(n) for g, n in graph.groups.items()}, "random", 0)
    permuted = permute(graph, weights, scores)
    assert any(not np.array_equal(permuted[key], weights[key]) for key in weights)
    assert_same(outputs(write_model(graph, permuted), x), outputs(model, x))


@pytest.mark.parametrize("name", NAMES)
def test_negative_gammas_fold_into_the_kernel(name):
    model = make(name, seed=3, negative_gammas=True)
    x, _ = data(model)
    graph, weights = read_model(model)
    folded = fold_negative_gammas(graph, weights)
    assert all((value > 0).all() for key, value in folded.items() if key.endswith("gamma"))
    assert_same(outputs(write_model(graph, folded), x), outputs(model, x))


@pytest.mark.parametrize("name", NAMES)
def test_cutting_dead_units_keeps_the_function(name):
    """Units whose makers are zero can be cut: every consumer drops exactly their inputs."""
    model = make(name, seed=4)
    x, _ = data(model)
    graph, weights = read_model(model)
    widths = {group: max(1, size // 2) for group, size in graph.groups.items()}
    weights = {key: value.copy() for key, value in weights.items()}
    for group, axes in graph.axes.items():
        for axis in axes:
            reads = not axis.makes and axis.weight.endswith("kernel")
            if reads:  # a consumer that ignores the tail
                rows = np.moveaxis(weights[axis.weight], axis.axis, 0)
                unit = np.arange(len(rows)) % graph.groups[group]
                rows[unit >= widths[group]] = 0
    sliced = write_model(graph.cut(widths), slice_weights(graph, weights, widths))
    assert_same(outputs(sliced, x), outputs(write_model(graph, weights), x))


def test_groups_of_a_ds_cnn():
    graph, _ = read_model(make("ds_cnn"))
    assert graph.groups == {"conv1": 8, "pw1": 12}
    made = {g: [a.weight for a in axes if a.makes] for g, axes in graph.axes.items()}
    assert made == {"conv1": ["conv1/kernel", "dw1/kernel"], "pw1": ["pw1/kernel"]}


def test_flatten_groups_rows_by_channel():
    graph, _ = read_model(make("flattening_cnn"))
    (axis,) = [a for a in graph.axes["conv2"] if a.weight == "fc1/kernel"]
    assert axis.positions == graph["flat"].positions > 1


def test_macs_are_true_macs():
    graph, _ = read_model(make("ds_cnn"))
    conv, depthwise, pointwise, dense = 6 * 4 * 40 * 8, 6 * 4 * 9 * 8, 6 * 4 * 8 * 12, 12 * 5
    assert graph.macs() == conv + depthwise + pointwise + dense
    halves = {"conv1": 4, "pw1": 6}
    assert graph.macs(halves) == conv // 2 + depthwise // 2 + pointwise // 4 + dense // 2
    assert graph.macs(halves) == graph.cut(halves).macs()


def test_graph_file_round_trip(tmp_path):
    graph, _ = read_model(make("everything"))
    assert LayerGraph.load(graph.save(tmp_path / "graph.json")) == graph
    (tmp_path / "bad.json").write_text("[{]")
    with pytest.raises(ModelError, match="not a layer graph"):
        LayerGraph.load(tmp_path / "bad.json")


def test_scores_are_gradient_times_weight():
    """One dense layer and mean squared error: the gradient is known in closed form."""
    model = make("mlp", seed=5)
    x, y = data(model, 300)
    graph, weights = read_model(model)
    scores = score(graph, weights, x, y)
    assert set(scores.values) == set(graph.groups)
    assert all(value.shape == (graph.groups[g],) for g, value in scores.values.items())
    weights["fc1/kernel"] = weights["fc1/kernel"].copy()
    weights["fc1/kernel"][:, 3] = 0
    dead = score(graph, weights, x, y)
    assert dead.values["fc1"][3] == 0 and (np.delete(dead.values["fc1"], 3) > 0).any()


def test_baseline_scores_ignore_the_data():
    model = make("mlp", seed=5)
    x, y = data(model, 30)
    graph, weights = read_model(model)
    magnitude = score(graph, weights, x, y, method="magnitude")
    np.testing.assert_allclose(magnitude.values["fc1"], np.abs(weights["fc1/kernel"]).sum(0))
    orders = [score(graph, weights, x, y, method="random", seed=s).order["fc2"] for s in (0, 0, 1)]
    assert np.array_equal(orders[0], orders[1]) and not np.array_equal(orders[0], orders[2])
    with pytest.raises(DataError, match=r"'taylor' does not exist.*gradient, magnitude"):
        score(graph, weights, x, y, method="taylor")


def test_scores_file_round_trip(tmp_path):
    scores = Scores({"a": np.array([1.0, 3.0, 2.0])}, "test", 7)
    loaded = Scores.load(scores.save(tmp_path / "scores.npz"))
    assert loaded.order["a"].tolist() == [1, 2, 0] and loaded.samples == 7
    with pytest.raises(ModelError):
        Scores.load(tmp_path / "missing.npz")


def chain(*middle, shape=(8, 8, 3)):
    return keras.Sequential([keras.Input(shape), *middle])


def functional(make_outputs, shape=(8, 8, 4)):
    inputs = keras.Input(shape)
    return keras.Model(inputs, make_outputs(inputs))


def two_inputs():
    inputs = [keras.Input((4,)), keras.Input((4,))]
    return keras.Model(inputs, layers.Concatenate()(inputs))


def called_twice():
    conv = layers.Conv2D(4, 3, padding="same", name="conv")
    return functional(lambda x: conv(conv(x)))


def subclassed():
    class Own(keras.Model):
        def call(self, inputs):
            return inputs

    return Own(name="own")


def flattened_branches():
    def outputs(x):
        return layers.Concatenate()([layers.Flatten()(layers.Conv2D(5, 3)(x)) for _ in range(2)])

    return functional(outputs)


@pytest.mark.parametrize(
    ("model", "message"),
    [
        (lambda: chain(layers.Conv2DTranspose(2, 3, name="up")), "'up' .Conv2DTranspose. is not"),
        (lambda: chain(layers.Rescaling(1 / 255, name="scale")), "Move preprocessing"),
        (lambda: chain(layers.Conv2D(6, 3, groups=3, name="grouped")), "groups=3"),
        (lambda: chain(layers.Dense(4, name="fc")), "'fc'.*Put Flatten"),
        (lambda: chain(layers.Conv2D(4, 3, activation="tanh")), "activation 'tanh'"),
        (lambda: chain(layers.ReLU(max_value=4)), "max_value=4"),
        (lambda: chain(layers.Conv2D(4, 3), layers.Reshape((2, 2, 36))), "moves channels"),
        (lambda: chain(layers.Flatten(), layers.BatchNormalization()), "64 positions.*before Fl"),
        (lambda: chain(layers.BatchNormalization(axis=1)), "axis 1.*axis=-1"),
        (lambda: chain(layers.PReLU()), r"192 slopes for 3 channels.*shared_axes=\(1, 2\)"),
        (lambda: chain(layers.Flatten(), layers.PReLU()), "192 slopes for 3 channels"),
        (lambda: functional(lambda x: x + 1.0), "constants do not count.*one shape"),
        (lambda: functional(lambda x: x + layers.MaxPooling2D(8)(x)), r"\(1, 1, 4\).*one shape"),
        (lambda: functional(lambda x: layers.Concatenate(1)([x, x])), "axis 1.*axis=-1"),
        (flattened_branches, "36 positions.*before Flatten"),
        (lambda: functional(lambda x: [x + x, x + x]), "1 inputs and 2 outputs.*Split"),
        (two_inputs, "2 inputs and 1 outputs.*Split"),
        (called_twice, "'conv'.*called 2 times.*its own layer"),
        (
            lambda: functional(lambda x: make("residual")(x), (8, 8, 3)),
            "layers inside.*Rebuild it flat",
        ),
        (subclassed, "'own' is a subclassed Own.*Rebuild"),
        (lambda: keras.Sequential([layers.Dense(2)]), "not built"),
    ],
)
def test_unsupported_models_are_refused_by_name(model, message):
    with pytest.raises(ModelError, match=message):
        read_model(model())


def test_bad_model_files(tmp_path):
    with pytest.raises(ModelError, match="no model file"):
        load_model(tmp_path / "missing.keras")
    (tmp_path / "corrupt.keras").write_bytes(b"PK\x03\x04 not a model")
    with pytest.raises(ModelError, match="cannot read"):
        load_model(tmp_path / "corrupt.keras")


def test_weights_with_nan_are_refused():
    model = make("mlp")
    kernel, bias = model.get_layer("fc2").get_weights()
    kernel[0, 0] = np.nan
    model.get_layer("fc2").set_weights([kernel, bias])
    with pytest.raises(ModelError, match=r"'fc2'.*NaN"):
        read_model(model)
