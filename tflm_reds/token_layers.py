"""Keras layers of a Vision Transformer that Keras has not as layers of their own."""

import keras
from keras import layers, ops


@keras.saving.register_keras_serializable("tflm_reds")
class PositionEmbedding(layers.Layer):
    """Adds a learned vector to each token: [n, tokens, channels] to the same."""

    def build(self, input_shape) -> None:
        self.embedding = self.add_weight(
            shape=tuple(input_shape[1:]),
            initializer=keras.initializers.TruncatedNormal(stddev=0.02),
            name="embedding",
        )

    def call(self, inputs):
        return inputs + self.embedding


@keras.saving.register_keras_serializable("tflm_reds")
class DotProductAttention(layers.Layer):
    """softmax(q k^T / sqrt(d)) v of each head (Vaswani et al. 2017, eq. 1), heads side by side.

    Takes [q, k, v], each [n, tokens, heads * its own head_dim] with the heads as blocks of
    neighbouring channels, however many; gives [n, tokens, heads * value_dim]. With its three Dense
    layers before and one after, it is keras.layers.MultiHeadAttention, taken apart.

    Args:
        key_dim: channels of each head in q and k.
        value_dim: channels of each head in v.
    """

    def __init__(self, key_dim: int, value_dim: int, **kwargs) -> None:
        super().__init__(**kwargs)
        self.key_dim, self.value_dim = key_dim, value_dim

    def call(self, inputs):
        dims = (self.key_dim, self.key_dim, self.value_dim)
        query, key, value = (_heads(x, dim) for x, dim in zip(inputs, dims, strict=True))
        scores = ops.einsum("nqhd,nkhd->nhqk", query, key) / self.key_dim**0.5
        mixed = ops.einsum("nhqk,nkhd->nqhd", ops.softmax(scores), value)
        return ops.reshape(mixed, (-1, *inputs[2].shape[1:]))

    def compute_output_shape(self, input_shape):
        return input_shape[2]

    def get_config(self) -> dict:
        return super().get_config() | {"key_dim": self.key_dim, "value_dim": self.value_dim}


def _heads(x, dim: int):
    """[n, tokens, heads * dim] to [n, tokens, heads, dim]."""
    tokens, channels = x.shape[1:]
    return ops.reshape(x, (-1, tokens, channels // dim, dim))
