"""Training batches: shuffled and augmented anew every epoch, and the same for the same seed."""

import numpy as np
import tensorflow as tf

from tflm_reds.datasets.augmentation import Augmentation


def training_batches(
    x: np.ndarray,
    y: np.ndarray,
    batch_size: int,
    augment: Augmentation | None = None,
    seed: int = 0,
) -> tf.data.Dataset:
    """Batches (x, y) for `model.fit`; every pass over them is shuffled and augmented anew.

    Args:
        x: float32 inputs [n, *input shape], unchanged where they lie.
        y: targets, one row per input.
        augment: changes the inputs of a batch; None leaves them as they are.
    """
    inputs, targets = tf.constant(x), tf.constant(y)
    rows = tf.data.Dataset.range(len(x)).shuffle(len(x), seed=seed).batch(batch_size)
    seeds = tf.data.Dataset.random(seed=seed, rerandomize_each_iteration=True).batch(2)

    def batch(chosen, random):
        x_batch = tf.gather(inputs, chosen)
        return augment(x_batch, random) if augment else x_batch, tf.gather(targets, chosen)

    batches = tf.data.Dataset.zip((rows, seeds)).map(batch, num_parallel_calls=2)
    return batches.prefetch(2)
