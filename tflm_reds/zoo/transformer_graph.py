"""The LayerGraph of a Vision Transformer without weights: what the planner needs of DeiT-B."""

from tflm_reds.channels import Part, uncut
from tflm_reds.graph import LayerGraph
from tflm_reds.graph_builder import GraphBuilder
from tflm_reds.zoo.vision_transformer import EPSILON, TransformerShape


def transformer_graph(shape: TransformerShape) -> LayerGraph:
    """The graph that `read_model(vision_transformer(shape))` gives, without its 86 M weights."""
    builder = GraphBuilder()
    tokens = (shape.tokens, shape.embedding)
    builder.append("image", "input", shape.image, parts=uncut(shape.image[-1]))
    patch = (shape.patch, shape.patch)
    builder.append("patches", "conv2d", (*shape.grid, shape.embedding), bias=True, kernel=patch,
                   stride=patch, parts=(Part("patches", shape.embedding),))  # fmt: skip
    builder.append("tokens", "reshape", tokens)
    builder.append("positions", "position_embedding", tokens)
    for index in range(1, shape.blocks + 1):
        _append_attention(builder, shape, index)
        _append_mlp(builder, shape, index)
    builder.append("norm", "layer_norm", tokens, epsilon=EPSILON)
    builder.append("pool", "token_mean", (shape.embedding,))
    _append_dense(builder, "head", shape.classes)
    builder.release("head")
    return builder.build()


def _append_attention(builder: GraphBuilder, shape: TransformerShape, index: int) -> None:
    stream, name = builder.last.name, f"attention{index}"
    builder.append(f"norm{index}a", "layer_norm", builder.last.shape, epsilon=EPSILON)
    normed, ends = builder.last.name, []
    for role in ("query", "key", "value"):
        builder.start_layer((normed,))
        _append_dense(builder, f"{name}_{role}", Part(name, shape.heads, shape.head_dim))
        ends.append(builder.last.name)
    builder.start_layer(tuple(ends))
    builder.append(name, "attention", builder.last.shape, key_dim=shape.head_dim,
                   value_dim=shape.head_dim)  # fmt: skip
    _append_dense(builder, f"{name}_projection", shape.embedding)
    _append_add(builder, f"add{index}a", stream)


def _append_mlp(builder: GraphBuilder, shape: TransformerShape, index: int) -> None:
    stream = builder.last.name
    builder.append(f"norm{index}b", "layer_norm", builder.last.shape, epsilon=EPSILON)
    _append_dense(builder, f"mlp{index}a", shape.neurons)
    builder.append(f"mlp{index}a_gelu", "gelu", builder.last.shape)
    _append_dense(builder, f"mlp{index}b", shape.embedding)
    _append_add(builder, f"add{index}b", stream)


def _append_dense(builder: GraphBuilder, name: str, units: int | Part) -> None:
    part = units if isinstance(units, Part) else Part(name, units)
    shape = (*builder.last.shape[:-1], part.channels)
    builder.append(name, "dense", shape, parts=(part,), bias=True)


def _append_add(builder: GraphBuilder, name: str, stream: str) -> None:
    builder.start_layer((stream, builder.last.name))
    builder.tie_inputs()
    builder.append(name, "add", builder.last.shape)
