"""Pretrained float weights from `weights_float.npz`: keys `family/net/NN_layer/tensor`."""

from itertools import groupby
from pathlib import Path

import numpy as np
from keras import Model

from tflm_reds.datasets.files import read_arrays
from tflm_reds.errors import DataError

WEIGHTS_FILE = "weights_float.npz"
KERAS_NAMES = {"depthwise_kernel": "kernel"}  # Keras 3 calls both kinds a kernel


def load_pretrained(model: Model, path: Path, key: str) -> None:
    """Assign the tensors under `key` in the file to the layers of `model`, in order.

    Raises:
        DataError: if the file is broken, or the tensors are not those of `model`.
    """
    tensors = read_arrays(path, prefix=f"{key}/")
    by_layer = groupby(sorted(tensors), key=lambda name: name.rsplit("/", 1)[0])
    stored = [list(group) for _, group in by_layer]
    wanted = [layer for layer in model.layers if layer.weights]
    if len(stored) != len(wanted):
        raise DataError(
            f"{path} holds {len(stored)} layers with weights under {key!r}; {model.name} expects "
            f"{len(wanted)}. Fetch the file again."
        )
    for layer, group in zip(wanted, stored, strict=True):
        values = {_keras_name(name): tensors[name] for name in group}
        layer.set_weights([_tensor(values, weight, layer.name, path) for weight in layer.weights])


def _keras_name(name: str) -> str:
    tensor = name.rsplit("/", 1)[1]
    return KERAS_NAMES.get(tensor, tensor)


def _tensor(values: dict[str, np.ndarray], weight, layer: str, path: Path) -> np.ndarray:
    found = values.get(weight.name)
    if found is None or found.shape != tuple(weight.shape):
        shape = "nothing" if found is None else f"shape {found.shape}"
        raise DataError(
            f"{path}: {weight.name} of layer {layer} should have shape {tuple(weight.shape)}, "
            f"found {shape}. Fetch the file again."
        )
    return found
