"""Branches: which channels are tied, what a layer behind a Concatenate costs, save and load."""

import keras
import numpy as np
import pytest
from graph_checks import assert_same, check_graph
from keras import layers
from keras_models import BRANCHING, data, make

import tflm_reds as reds
from tflm_reds.channels import Part
from tflm_reds.errors import ModelError
from tflm_reds.graph import LayerGraph
from tflm_reds.keras_reader import read_model
from tflm_reds.solvers.problem import MacTerm


def groups_of(make_outputs, shape=(8, 8, 4)):
    inputs = keras.Input(shape)
    x = layers.GlobalAveragePooling2D()(make_outputs(inputs))
    return read_model(keras.Model(inputs, layers.Dense(2)(x)))[0].groups


def conv(filters, name):
    return layers.Conv2D(filters, 3, padding="same", name=name)


def test_add_ties_its_branches():
    graph, _ = read_model(make("residual"))
    assert graph.groups == {"stem": 6, "inner": 10, "down": 8}
    made = {g: [a.weight for a in axes if a.makes] for g, axes in graph.axes.items()}
    assert made["stem"] == ["stem/kernel", "outer/kernel"]
    assert made["down"] == ["down/kernel", "shortcut/kernel", "bn_odd_depthwise/kernel"]


def test_both_parts_of_a_separable_convolution_of_one_channel_are_cut():
    """The depthwise part, a convolution there, makes fewer channels than the layer puts out."""
    inputs = keras.Input((6, 5, 1))
    x = layers.SeparableConv2D(5, 3, depth_multiplier=2, name="sep")(inputs)
    model = keras.Model(inputs, layers.Dense(3, name="fc")(layers.Flatten()(x)))
    graph, weights = read_model(model)
    assert graph.groups == {"sep_depthwise": 2, "sep_pointwise": 5}
    assert weights["sep_depthwise/kernel"].shape[-1] == graph["sep_depthwise"].shape[-1] == 2
    check_graph(model, seed=0)


def test_add_of_three_ties_all():
    assert groups_of(lambda x: layers.Add()([conv(6, name)(x) for name in "abc"])) == {"a": 6}


def test_add_to_the_input_is_never_cut():
    assert groups_of(lambda x: conv(4, "b")(conv(5, "a")(x)) + x) == {"a": 5}


def test_add_of_concatenations_ties_part_by_part():
    def outputs(x):
        first = layers.Concatenate()([conv(3, "a")(x), conv(5, "b")(x), x])
        return first + layers.Concatenate()([conv(3, "c")(x), conv(5, "d")(x), conv(4, "e")(x)])

    assert groups_of(outputs) == {"a": 3, "b": 5}


def test_add_of_flattened_and_plain_features_is_never_cut():
    def outputs(x):
        flat = layers.Flatten()(conv(2, "a")(x))
        added = layers.Add()([flat, layers.Dense(128, name="b")(flat)])
        return layers.Reshape((1, 1, 128))(added)

    assert groups_of(outputs) == {}


def test_add_of_differently_divided_channels_is_never_cut():
    def outputs(x):
        joined = layers.Concatenate()([conv(3, "a")(x), conv(5, "b")(x)])
        return conv(6, "d")(joined + conv(8, "c")(x))

    assert groups_of(outputs) == {"d": 6}


def test_units_of_multiplied_channels_are_blocks():
    """6 channels that are two for each of 3 units, added to 6 filters: units of 2 filters."""

    def outputs(x):
        doubled = layers.DepthwiseConv2D(1, depth_multiplier=2)(conv(3, "a")(x))
        return doubled + conv(6, "b")(x)

    assert groups_of(outputs) == {"a": 3}


def test_depthwise_on_one_channel_is_a_convolution():
    graph, _ = read_model(make("concatenating"))
    assert graph["multiplied"].op == "conv2d" and graph.groups["multiplied"] == 4
    assert graph["doubled"].parts == (Part("multiplied", 4, 2),)
    assert graph["abca"].parts == (
        Part("multiplied", 4), Part("multiplied", 4, 2), Part("c", 5), Part("multiplied", 4),
    )  # fmt: skip


def test_macs_behind_a_concatenation_are_a_term_for_each_part():
    graph, _ = read_model(make("concatenating"))
    terms = [term for term in graph.mac_terms() if term.layer == "c"]
    taps = 4 * 4 * 9
    assert terms == [
        MacTerm("c", taps, ("multiplied", "c")), MacTerm("c", 2 * taps, ("multiplied", "c")),
    ]  # fmt: skip
    assert graph.macs() == 16 * 9 * 4 + 16 * 9 * 8 + 16 * 9 * 12 * 5 + 16 * 21 + 16 * 21 * 12 + 48


def test_a_tied_layer_costs_the_square_of_its_width():
    inputs = keras.Input((4, 4, 2))
    x = conv(3, "a")(inputs)
    x = layers.GlobalAveragePooling2D()(layers.Add()([conv(3, "b")(x), x]))
    graph, _ = read_model(keras.Model(inputs, layers.Dense(2)(x)))
    assert MacTerm("b", 16 * 9, ("a", "a")) in graph.mac_terms()


def test_batch_norm_of_an_output_that_others_read_stays_apart():
    inputs = keras.Input((4, 4, 2))
    x = conv(3, "a")(inputs)
    x = layers.Concatenate()([layers.BatchNormalization(name="bn")(x), layers.Dropout(0.1)(x)])
    graph, _ = read_model(keras.Model(inputs, layers.Dense(2)(layers.Flatten()(x))))
    assert graph.source(graph["bn"]).name == "bn_depthwise"


@pytest.mark.parametrize("name", sorted(BRANCHING))
def test_nest_train_save_load(name, tmp_path):
    model = make(name, seed=2, negative_gammas=True)
    x, y = data(model, 100)
    nested = reds.nest(model, (x, y), budgets=(0.4,))
    assert nested.plan.fractions[0] <= 0.4
    assert_same(nested(x)[-1], model(x))
    nested.compile("adam", "sparse_categorical_crossentropy", metrics=["accuracy"])
    losses = nested.fit(x, y, epochs=3, batch_size=25, verbose=0).history["loss"]
    assert losses[-1] < losses[0]
    nested.save(tmp_path / "nested.keras")
    loaded = keras.models.load_model(tmp_path / "nested.keras")
    assert loaded.graph == nested.graph and loaded.plan == nested.plan
    for k, output in enumerate(nested(x)):
        np.testing.assert_array_equal(loaded(x)[k], output)
        assert_same(loaded.subnet(k)(x), output)


def test_graphs_saved_before_there_were_parts_still_load():
    graph, _ = read_model(make("ds_cnn"))
    old = [
        {key: value for key, value in node.items() if key not in ("parts", "multiplier")}
        | {"group": graph[node["name"]].group}
        for node in graph.to_dict()
    ]
    assert LayerGraph.from_dict(old) == graph


def test_a_plan_of_another_network_is_refused():
    model = make("residual")
    x, y = data(model, 20)
    plan = reds.nest(model, (x, y), budgets=(0.5,)).plan
    other = make("ds_cnn")
    with pytest.raises(ModelError, match=r"plan.*'down'.*'conv1'"):
        reds.nest(other, data(other, 20), plan=plan)
