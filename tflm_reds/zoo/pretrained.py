"""Assigning pretrained weights: the n-th layer of a kind in a file is the model's n-th."""

import re
from collections import defaultdict
from pathlib import Path

import numpy as np
from keras import Layer, Model, layers

from tflm_reds.datasets.checksums import broken_file
from tflm_reds.datasets.files import read_arrays

KINDS = {
    layers.Conv2D: "conv2d",
    layers.DepthwiseConv2D: "depthwise_conv2d",
    layers.Dense: "dense",
    layers.BatchNormalization: "batch_normalization",
}
KERAS_NAMES = {"depthwise_kernel": "kernel"}  # Keras 3 calls both kinds a kernel
LAYER_NAME = re.compile(r"(?P<before>\d+_)?(?P<kind>.+?)(?P<after>_\d+)?")

Tensors = dict[str, np.ndarray]
"""The tensors of one layer, by their names in Keras."""
LayersByKind = dict[str, list[Tensors]]
"""The layers of a net by kind (a value of KINDS), in the order of the net."""


def read_float_layers(path: Path, key: str) -> LayersByKind:
    """The layers under `key` in an `.npz` file with arrays `key/layer/tensor`.

    Their names are numbered in front (`02_conv2d`) or, as Keras does, behind (`conv2d_1`).

    Raises:
        DataError: if the file is broken.
    """
    numbered: dict[tuple[str, int], Tensors] = defaultdict(dict)
    for name, array in read_arrays(path, prefix=f"{key}/").items():
        layer, tensor = name.split("/")[-2:]
        match = LAYER_NAME.fullmatch(layer)
        number = int((match["before"] or match["after"] or "0").strip("_"))
        numbered[match["kind"], number][KERAS_NAMES.get(tensor, tensor)] = array
    by_kind: LayersByKind = defaultdict(list)
    for kind, number in sorted(numbered):
        by_kind[kind].append(numbered[kind, number])
    return by_kind


def assign_layers(model: Model, stored: LayersByKind, path: Path) -> None:
    """Give the layers of `model` the tensors `stored`, which come from `path`.

    Raises:
        DataError: if they are not those of `model`.
    """
    wanted = layers_by_kind(model)
    for kind in sorted({*stored, *wanted}):
        found, expected = stored.get(kind, []), wanted.get(kind, [])
        if len(found) != len(expected):
            raise broken_file(
                path,
                f"it holds {len(found)} layers of kind {kind} for {model.name}, which has "
                f"{len(expected)}",
            )
        for layer, tensors in zip(expected, found, strict=True):
            layer.set_weights([_tensor(tensors, weight, layer, path) for weight in layer.weights])


def layers_by_kind(model: Model) -> dict[str, list[Layer]]:
    """The layers of `model` that have weights."""
    by_kind = defaultdict(list)
    for layer in model.layers:
        if layer.weights:
            by_kind[KINDS[type(layer)]].append(layer)
    return by_kind


def _tensor(tensors: Tensors, weight, layer: Layer, path: Path) -> np.ndarray:
    found = tensors.get(weight.name)
    if found is None or found.shape != tuple(weight.shape):
        shape = "nothing" if found is None else f"shape {found.shape}"
        raise broken_file(
            path,
            f"{weight.name} of layer {layer.name} should have shape {tuple(weight.shape)}, found "
            f"{shape}",
        )
    return found
