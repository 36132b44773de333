"""Random changes of training batches: pure functions of a batch and a seed.

The same (batch, seed) gives the same result, so a training run repeats. They are TensorFlow
functions of a whole batch: a few milliseconds for 128 small images on one core.
"""

from collections.abc import Callable
from dataclasses import dataclass

import tensorflow as tf

Augmentation = Callable[[tf.Tensor, tf.Tensor], tf.Tensor]
"""(batch float32 [n, *input shape], seed int64 [2]) -> batch of the same shape."""


@dataclass(frozen=True)
class ImageAugmentation:
    """Changes of images [n, height, width, channels], as the reference makes them.

    Attributes:
        mirror: left and right, every second image.
        turn: largest angle in radians either way; 0 turns nothing. Corners become 0.
        turned: share of the images that are turned.
        shift: largest shift in pixels either way; the border is mirrored into the gap.
    """

    mirror: bool = True
    turn: float = 0.0
    turned: float = 1.0
    shift: int = 0

    def __call__(self, x: tf.Tensor, seed: tf.Tensor) -> tf.Tensor:
        """Change every image of the batch in its own way."""
        if self.mirror:
            x = tf.image.stateless_random_flip_left_right(x, seed)
        if self.turn:
            x = turn_images(x, seed, self.turn, self.turned)
        if self.shift:
            x = shift_images(x, seed, self.shift)
        return x


def turn_images(x: tf.Tensor, seed: tf.Tensor, largest: float, share: float) -> tf.Tensor:
    """Turn a `share` of the images by up to `largest` radians around their centre, bilinear."""
    count, height, width = tf.shape(x)[0], tf.shape(x)[1], tf.shape(x)[2]
    angles = tf.random.stateless_uniform([count], seed + 1, -largest, largest)
    chosen = tf.random.stateless_uniform([count], seed + 2) < share
    angles = tf.where(chosen, angles, 0.0)
    cos, sin, zero = tf.cos(angles), tf.sin(angles), tf.zeros_like(angles)
    middle_x, middle_y = (tf.cast(size - 1, tf.float32) / 2 for size in (width, height))
    offset_x = middle_x - cos * middle_x + sin * middle_y
    offset_y = middle_y - sin * middle_x - cos * middle_y
    rows = [cos, -sin, offset_x, sin, cos, offset_y, zero, zero]
    return tf.raw_ops.ImageProjectiveTransformV3(
        images=x, transforms=tf.stack(rows, axis=1), output_shape=[height, width], fill_value=0.0,
        interpolation="BILINEAR", fill_mode="CONSTANT",
    )  # fmt: skip


def shift_images(x: tf.Tensor, seed: tf.Tensor, largest: int) -> tf.Tensor:
    """Mirror `largest` pixels around each image and crop it at random to its size."""
    count, height, width = tf.shape(x)[0], tf.shape(x)[1], tf.shape(x)[2]
    margin = [largest, largest]
    padded = tf.pad(x, [[0, 0], margin, margin, [0, 0]], mode="SYMMETRIC")
    starts = tf.random.stateless_uniform(
        [2, count, 1], seed + 3, 0, 2 * largest + 1, dtype=tf.int32
    )
    x_rows = tf.gather(padded, starts[0] + tf.range(height), axis=1, batch_dims=1)
    shifted = tf.gather(x_rows, starts[1] + tf.range(width), axis=2, batch_dims=1)
    return tf.ensure_shape(shifted, x.shape)
