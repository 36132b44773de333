"""Vision Transformers: heads, neurons and embedding dimensions as units; float only."""

import keras
import pytest
from graph_checks import assert_same, check_graph, inputs
from keras import layers
from keras_models import data, shake

import tflm_reds as reds
from tflm_reds.channels import Part
from tflm_reds.errors import ModelError, QuantizationError
from tflm_reds.graph import slice_weights
from tflm_reds.keras_reader import read_model
from tflm_reds.keras_writer import write_model
from tflm_reds.quantization import quantize
from tflm_reds.zoo.transformer_graph import transformer_graph
from tflm_reds.zoo.vision_transformer import (
    DEIT_BASE,
    DEIT_TINY,
    TransformerShape,
    vision_transformer,
)

SMALL = TransformerShape((6, 4, 2), 2, 12, 3, 10, 2, 4)


def small(seed: int = 0) -> keras.Model:
    return shake(vision_transformer(SMALL, "small_vit"), seed)


def test_units_are_heads_neurons_and_embedding_dimensions():
    graph, _ = read_model(small())
    assert graph.groups == {
        "patches": 12, "attention1": 3, "mlp1a": 10, "attention2": 3, "mlp2a": 10,
    }  # fmt: skip
    assert graph["attention1_query"].parts == (Part("attention1", 3, 4),)
    embedding = {axis.weight for axis in graph.axes["patches"]}
    assert {"positions/embedding", "norm2b/gamma", "mlp2b/kernel", "head/kernel"} <= embedding
    heads = {axis.weight.split("/")[0] for axis in graph.axes["attention2"]}
    roles = ("query", "key", "value", "projection")
    assert heads == {f"attention2_{role}" for role in roles}


@pytest.mark.parametrize("seed", range(2))
def test_permutation_is_free_and_subnets_are_slices(seed):
    check_graph(small(seed), seed)


def test_a_head_that_nobody_listens_to_can_be_removed():
    """The head's rows of the projection are those of its block, whatever our indices say."""
    model = small()
    kernel, bias = model.get_layer("attention1").output_dense.get_weights()
    kernel[2] = 0  # [heads, head_dim, embedding]
    model.get_layer("attention1").output_dense.set_weights([kernel, bias])
    graph, weights = read_model(model)
    widths = graph.groups | {"attention1": 2}
    cut = write_model(graph.cut(widths), slice_weights(graph, weights, widths))
    assert_same(cut(inputs(model)), model(inputs(model)))


def test_macs_count_projections_and_attention():
    graph, _ = read_model(small())
    tokens, width, neurons = 6, 12, 10
    block = 4 * tokens * width**2 + 2 * tokens**2 * width + 2 * tokens * width * neurons
    full = tokens * 8 * width + 2 * block + width * 4
    assert graph.macs() == full
    one_head = graph.groups | {"attention1": 1}
    assert full - graph.macs(one_head) == 2 * (4 * tokens * width * 4 + 2 * tokens**2 * 4)


@pytest.mark.parametrize(("shape", "published"), [(DEIT_TINY, 1.26e9), (DEIT_BASE, 17.58e9)])
def test_macs_of_deit(shape, published):
    """Within 2 % of the papers', which have a class token more."""
    assert transformer_graph(shape).macs() == pytest.approx(published, rel=0.02)


def test_graph_without_weights_is_the_models():
    assert transformer_graph(SMALL) == read_model(small())[0]


def test_nest_train_save_load_and_read_again(tmp_path):
    model = small(1)
    x, y = data(model, 60)
    nested = reds.nest(model, (x, y), budgets=(0.4,))
    assert nested.plan.fractions[0] <= 0.4
    assert_same(nested(x)[-1], model(x))
    nested.compile(keras.optimizers.Adam(0.01), "sparse_categorical_crossentropy")
    losses = nested.fit(x, y, epochs=4, batch_size=20, verbose=0).history["loss"]
    assert losses[-1] < losses[0]
    nested.save(tmp_path / "nested.keras")
    loaded = keras.models.load_model(tmp_path / "nested.keras")
    for k, output in enumerate(nested(x)):
        assert_same(loaded.subnet(k)(x), output)
    loaded.subnet(0).save(tmp_path / "subnet.keras")
    subnet = keras.models.load_model(tmp_path / "subnet.keras")
    graph, weights = read_model(subnet)
    assert graph.groups == nested.plan.widths[0]
    assert_same(write_model(graph, weights)(x), subnet(x))
    with pytest.raises(QuantizationError, match=r"'positions'.*stay float.*subnet"):
        quantize(nested, x)


def tokens_model(make_output):
    inputs = keras.Input((5, 8))
    return keras.Model(inputs, make_output(inputs))


def attention(**options):
    return layers.MultiHeadAttention(2, 4, name="attention", **options)


@pytest.mark.parametrize(
    ("make_output", "message"),
    [
        (lambda x: attention()(x, x, use_causal_mask=True), "use_causal_mask.*without masks"),
        (lambda x: attention()(x, layers.ReLU()(x)), "another tensor.*self-attention"),
        (lambda x: layers.LayerNormalization(axis=1)(x), r"axes \[1\].*axis=-1"),
        (lambda x: layers.GlobalAveragePooling1D(keepdims=True)(x), "keepdims"),
        (lambda x: attention()(*[layers.Reshape((5, 4, 2))(x)] * 2), r"needs \(tokens, channels\)"),
    ],
)
def test_other_attention_is_refused(make_output, message):
    with pytest.raises(ModelError, match=message):
        read_model(tokens_model(make_output))
