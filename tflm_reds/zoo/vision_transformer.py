"""Vision Transformers like DeiT (Touvron et al. 2021); the units are heads, neurons, dimensions.

Patches by a convolution, a learned position embedding, pre-norm blocks of attention and MLP, and
the average of the tokens in place of a class token (simpler, and one concatenation less). They are
planned and trained nested, in float: there is no int8 for them.
"""

from dataclasses import dataclass

from keras import Input, KerasTensor, Model, layers

from tflm_reds.token_layers import PositionEmbedding

EPSILON = 1e-6


@dataclass(frozen=True)
class TransformerShape:
    """Sizes of a Vision Transformer.

    Attributes:
        image: (height, width, channels).
        patch: side of a square patch.
        embedding: channels of a token.
        heads: of each attention; embedding / heads channels each.
        neurons: of each MLP.
        blocks: attention and MLP, so many times.
        classes: logits.
    """

    image: tuple[int, int, int]
    patch: int
    embedding: int
    heads: int
    neurons: int
    blocks: int
    classes: int = 10

    @property
    def head_dim(self) -> int:
        """Channels of a head."""
        return self.embedding // self.heads

    @property
    def grid(self) -> tuple[int, int]:
        """Patches (high, wide)."""
        return self.image[0] // self.patch, self.image[1] // self.patch

    @property
    def tokens(self) -> int:
        """Patches of an image."""
        return self.grid[0] * self.grid[1]


DEIT_TINY = TransformerShape((224, 224, 3), 16, 192, 3, 768, 12, 1000)
DEIT_BASE = TransformerShape((224, 224, 3), 16, 768, 12, 3072, 12, 1000)


def vision_transformer(shape: TransformerShape, name: str) -> Model:
    """The untrained Keras model."""
    inputs = Input(shape.image, name="image")
    x = layers.Conv2D(shape.embedding, shape.patch, strides=shape.patch, name="patches")(inputs)
    x = layers.Reshape((shape.tokens, shape.embedding), name="tokens")(x)
    x = PositionEmbedding(name="positions")(x)
    for index in range(1, shape.blocks + 1):
        x = _block(x, shape, index)
    x = layers.LayerNormalization(epsilon=EPSILON, name="norm")(x)
    x = layers.GlobalAveragePooling1D(name="pool")(x)
    return Model(inputs, layers.Dense(shape.classes, name="head")(x), name=name)


def _block(x: KerasTensor, shape: TransformerShape, index: int) -> KerasTensor:
    y = layers.LayerNormalization(epsilon=EPSILON, name=f"norm{index}a")(x)
    attention = layers.MultiHeadAttention(shape.heads, shape.head_dim, name=f"attention{index}")
    x = layers.Add(name=f"add{index}a")([x, attention(y, y)])
    y = layers.LayerNormalization(epsilon=EPSILON, name=f"norm{index}b")(x)
    y = layers.Dense(shape.neurons, activation="gelu", name=f"mlp{index}a")(y)
    y = layers.Dense(shape.embedding, name=f"mlp{index}b")(y)
    return layers.Add(name=f"add{index}b")([x, y])


def vit_digits() -> Model:
    """Input (8, 8, 1) in 0..1; 16 tokens."""
    return vision_transformer(TransformerShape((8, 8, 1), 2, 32, 4, 64, 2), "vit_digits")


def vit_cifar10() -> Model:
    """Input (32, 32, 3), standardised; 64 tokens."""
    return vision_transformer(TransformerShape((32, 32, 3), 4, 64, 4, 128, 4), "vit_cifar10")
