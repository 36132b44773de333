"""Batch normalisation for nets whose file has it folded into the convolutions."""

import keras
import numpy as np


def unfold_batch_norm(model: keras.Model, x: np.ndarray) -> None:
    """Give every batch normalisation its inputs' statistics over `x`, and change nothing.

    With gamma = sqrt(variance + epsilon) and beta = mean a normalisation is the identity. As with
    trained ones, subnets can then take statistics of their own, and gamma is positive.

    Args:
        model: its convolutions hold everything; its batch normalisations are overwritten.
        x: inputs [n, *input shape], a few hundred or more.
    """
    norms = [layer for layer in model.layers if isinstance(layer, keras.layers.BatchNormalization)]
    for layer in norms:
        ones, zeros = np.ones(layer.gamma.shape), np.zeros(layer.gamma.shape)
        layer.set_weights([ones, zeros, zeros, ones - layer.epsilon])
    probe = keras.Model(model.inputs, [layer.input for layer in norms])
    outputs = probe.predict(x, batch_size=256, verbose=0)
    for layer, output in zip(norms, outputs, strict=True):
        axes = tuple(range(output.ndim - 1))
        mean, variance = output.mean(axes), output.var(axes, dtype=np.float64)
        gamma = np.sqrt(variance + layer.epsilon)
        layer.set_weights([gamma, mean, mean, variance])
