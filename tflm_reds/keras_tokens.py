"""How the layers of a Vision Transformer become nodes; their tensors are (tokens, channels).

MultiHeadAttention becomes its four Dense layers and a dot-product attention, whose units are the
heads: a head is a block of head_dim channels of query, key and value.
"""

from collections.abc import Callable

import keras
import numpy as np

from tflm_reds.channels import Part
from tflm_reds.graph_builder import GraphBuilder, refuse
from tflm_reds.token_layers import DotProductAttention, PositionEmbedding


def _read_layer_norm(builder: GraphBuilder, layer: keras.layers.LayerNormalization) -> None:
    shape, positions = builder.last.shape, builder.last.positions
    axes = np.atleast_1d(layer.axis).tolist()
    if axes not in ([-1], [len(shape)]) or positions > 1:
        raise refuse(
            layer,
            f"normalises axes {axes} of {shape}. Normalise the channels of each token "
            "(axis=-1), before Flatten.",
        )
    if layer.get_config().get("rms_scaling"):
        raise refuse(layer, "has rms_scaling=True. Use rms_scaling=False.")
    size = shape[-1]
    builder.store(
        layer.name,
        gamma=np.asarray(layer.gamma) if layer.scale else np.ones(size),
        beta=np.asarray(layer.beta) if layer.center else np.zeros(size),
    )
    builder.append(layer.name, "layer_norm", shape, epsilon=float(layer.epsilon))


def _read_position_embedding(builder: GraphBuilder, layer: PositionEmbedding) -> None:
    _require_tokens(builder, layer)
    builder.store(layer.name, embedding=np.asarray(layer.embedding))
    builder.append(layer.name, "position_embedding", builder.last.shape)


def _read_multi_head_attention(
    builder: GraphBuilder, layer: keras.layers.MultiHeadAttention
) -> None:
    _require_plain_attention(builder, layer)
    source, config = builder.last.name, layer.get_config()
    heads, key_dim, value_dim = config["num_heads"], config["key_dim"], config["value_dim"]
    inner = (
        ("query", layer.query_dense, key_dim),
        ("key", layer.key_dense, key_dim),
        ("value", layer.value_dense, value_dim),
    )
    ends = []
    for role, dense, size in inner:
        builder.start_layer((source,))
        name = builder.free_name(f"{layer.name}_{role}")
        kernel = np.asarray(dense.kernel).reshape(-1, heads * size)
        _append_dense(builder, name, kernel, dense.bias, Part(layer.name, heads, size))
        ends.append(builder.last.name)
    builder.start_layer(tuple(ends))
    _append_attention(builder, layer.name, key_dim, value_dim)
    kernel = np.asarray(layer.output_dense.kernel).reshape(heads * value_dim, -1)
    name = builder.free_name(f"{layer.name}_projection")
    _append_dense(builder, name, kernel, layer.output_dense.bias, Part(name, kernel.shape[1]))


def _append_dense(builder: GraphBuilder, name: str, kernel: np.ndarray, bias, part: Part) -> None:
    has_bias = builder.store_linear(name, kernel, None if bias is None else np.ravel(bias))
    shape = (*builder.last.shape[:-1], part.channels)
    builder.append(name, "dense", shape, parts=(part,), bias=has_bias)


def _append_attention(builder: GraphBuilder, name: str, key_dim: int, value_dim: int) -> None:
    value = builder.inputs[2]
    builder.append(name, "attention", value.shape, parts=value.parts, key_dim=key_dim,
                   value_dim=value_dim)  # fmt: skip


def _read_dot_product_attention(builder: GraphBuilder, layer: DotProductAttention) -> None:
    """Of a subnet that was written by us: the units of the three Dense layers become heads."""
    if [node.op for node in set(builder.inputs)] != ["dense"] * 3:
        raise refuse(layer, "reads no three Dense layers. Use keras.layers.MultiHeadAttention.")
    builder.tie_blocks(layer.name, (layer.key_dim, layer.key_dim, layer.value_dim))
    _append_attention(builder, layer.name, layer.key_dim, layer.value_dim)


def _require_plain_attention(builder: GraphBuilder, layer: keras.layers.MultiHeadAttention) -> None:
    _require_tokens(builder, layer)
    if len({node.name for node in builder.inputs}) > 1:
        raise refuse(layer, "attends to another tensor. Only self-attention is supported.")
    config, call = layer.get_config(), layer._inbound_nodes[0].arguments.kwargs
    wrong = [name for name in ("use_gate", "sliding_window") if config.get(name)]
    wrong += [name for name, value in call.items() if value is not None and name != "training"]
    if wrong or tuple(config["attention_axes"] or (1,)) != (1,):
        raise refuse(
            layer,
            f"has {', '.join(wrong) or 'attention_axes'}. Use plain self-attention over the "
            "tokens, without masks.",
        )


def _read_token_average(builder: GraphBuilder, layer: keras.layers.GlobalAveragePooling1D) -> None:
    _require_tokens(builder, layer)
    if layer.keepdims or layer.data_format != "channels_last":
        raise refuse(layer, "has keepdims=True or is channels_first. Use neither.")
    builder.append(layer.name, "token_mean", builder.last.shape[-1:])


def _require_tokens(builder: GraphBuilder, layer: keras.Layer) -> None:
    if len(builder.last.shape) != 2:
        raise refuse(layer, f"needs (tokens, channels), got {builder.last.shape}. Reshape it.")


TOKEN_HANDLERS: dict[str, Callable[[GraphBuilder, keras.Layer], None]] = {
    "LayerNormalization": _read_layer_norm,
    "PositionEmbedding": _read_position_embedding,
    "MultiHeadAttention": _read_multi_head_attention,
    "DotProductAttention": _read_dot_product_attention,
    "GlobalAveragePooling1D": _read_token_average,
}
