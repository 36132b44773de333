"""Pretrained float weights from `weights_float.npz`: keys `family/net/layer/tensor`.

The file numbers its layers before the name (`02_conv2d`) or, as Keras does, after it
(`conv2d_1`). Either way the n-th convolution of the file is the n-th of the model, and so with
every other kind of layer.
"""

import re
from collections import defaultdict
from pathlib import Path

import numpy as np
from keras import Layer, Model, layers

from tflm_reds.datasets.files import read_arrays
from tflm_reds.errors import DataError

WEIGHTS_FILE = "weights_float.npz"
KERAS_NAMES = {"depthwise_kernel": "kernel"}  # Keras 3 calls both kinds a kernel
LAYER_NAME = re.compile(r"(?P<before>\d+_)?(?P<kind>.+?)(?P<after>_\d+)?")
KINDS = {
    layers.Conv2D: "conv2d",
    layers.DepthwiseConv2D: "depthwise_conv2d",
    layers.Dense: "dense",
    layers.BatchNormalization: "batch_normalization",
}

Tensors = dict[str, np.ndarray]
"""The tensors of one layer, by their names in Keras."""


def load_pretrained(model: Model, path: Path, key: str) -> None:
    """Assign the tensors under `key` in the file to the layers of `model`.

    Raises:
        DataError: if the file is broken, or the tensors are not those of `model`.
    """
    stored = _stored_layers(path, key)
    wanted = _layers_by_kind(model)
    for kind in {*stored, *wanted}:
        if len(stored[kind]) != len(wanted[kind]):
            raise DataError(
                f"{path} holds {len(stored[kind])} layers of kind {kind} under {key!r}; "
                f"{model.name} expects {len(wanted[kind])}. Fetch the file again."
            )
        for layer, tensors in zip(wanted[kind], stored[kind], strict=True):
            layer.set_weights([_tensor(tensors, weight, layer, path) for weight in layer.weights])


def _stored_layers(path: Path, key: str) -> defaultdict[str, list[Tensors]]:
    """The layers under `key` by kind, in order."""
    numbered: dict[tuple[str, int], Tensors] = defaultdict(dict)
    for name, array in read_arrays(path, prefix=f"{key}/").items():
        layer, tensor = name.split("/")[-2:]
        match = LAYER_NAME.fullmatch(layer)
        number = int((match["before"] or match["after"] or "0").strip("_"))
        numbered[match["kind"], number][KERAS_NAMES.get(tensor, tensor)] = array
    by_kind = defaultdict(list)
    for kind, number in sorted(numbered):
        by_kind[kind].append(numbered[kind, number])
    return by_kind


def _layers_by_kind(model: Model) -> defaultdict[str, list[Layer]]:
    by_kind = defaultdict(list)
    for layer in model.layers:
        if layer.weights:
            by_kind[KINDS[type(layer)]].append(layer)
    return by_kind


def _tensor(tensors: Tensors, weight, layer: Layer, path: Path) -> np.ndarray:
    found = tensors.get(weight.name)
    if found is None or found.shape != tuple(weight.shape):
        shape = "nothing" if found is None else f"shape {found.shape}"
        raise DataError(
            f"{path}: {weight.name} of layer {layer.name} should have shape "
            f"{tuple(weight.shape)}, found {shape}. Fetch the file again."
        )
    return found
