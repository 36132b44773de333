"""Read a Keras model into a LayerGraph and its weights. The only way in from Keras.

Fused activations and separable convolutions become nodes of their own; Dropout disappears.
"""

import os
from dataclasses import replace
from pathlib import Path

import keras
import numpy as np

from tflm_reds.errors import ModelError
from tflm_reds.graph import LayerGraph
from tflm_reds.keras_layers import ChainReader, refuse


def load_model(path: str | os.PathLike) -> keras.Model:
    """Load a `.keras` or `.h5` file.

    Raises:
        ModelError: if it is missing, corrupt or holds unknown layers.
    """
    if not Path(path).is_file():
        raise ModelError(f"There is no model file {path}. Save one with model.save('name.keras').")
    try:
        return keras.models.load_model(path)
    except Exception as error:  # Keras raises whatever its zip and HDF5 readers do.
        raise ModelError(
            f"Keras {keras.__version__} cannot read {path}: {_first_line(error)} "
            "Save the model again with model.save('name.keras') under Keras 3."
        ) from error


def read_model(model: keras.Model) -> tuple[LayerGraph, dict[str, np.ndarray]]:
    """Turn a built Sequential or functional chain into (graph, float32 weights by name).

    Raises:
        ModelError: for an unsupported layer (named, with what to do), branches, an unbuilt model.
    """
    reader = ChainReader()
    for layer in _chain(model):
        reader.read(layer)
    return _release_output_group(LayerGraph(tuple(reader.nodes))), reader.weights


def _chain(model: keras.Model) -> list[keras.Layer]:
    if type(model).__name__ == "NestedModel":
        raise ModelError(
            f"Model {model.name!r} is nested already. Take nested.subnet(k) to nest it anew."
        )
    if not model.built or not model.inputs:
        raise ModelError(f"Model {model.name!r} is not built. Add keras.Input(shape) in front.")
    if len(model.inputs) != 1 or len(model.outputs) != 1:
        raise ModelError(
            f"Model {model.name!r} has {len(model.inputs)} inputs and {len(model.outputs)} "
            "outputs; one of each is supported. Split it into models of one input and one output."
        )
    # A clone has exactly one call of each layer, whatever other models share the original's.
    clone = _clone(model)
    clone.set_weights(model.get_weights())
    layers = list(clone.layers)
    if not isinstance(layers[0], keras.layers.InputLayer):
        layers.insert(0, keras.layers.InputLayer(batch_shape=clone.inputs[0].shape))
    _require_chain(clone, layers)
    return layers


def _clone(model: keras.Model) -> keras.Model:
    try:
        return keras.models.clone_model(model)
    except ValueError as error:
        raise ModelError(
            f"Model {model.name!r} is a subclassed {type(model).__name__}; its layers cannot be "
            "read. Rebuild it as a Sequential or functional model."
        ) from error


def _require_chain(model: keras.Model, layers: list[keras.Layer]) -> None:
    previous = model.inputs[0]
    for layer in layers[1:]:
        try:
            source = layer.input
        except (AttributeError, ValueError) as error:
            raise refuse(
                layer, "is called more than once. Give each call its own layer."
            ) from error
        if source is not previous:
            raise refuse(
                layer,
                "joins or branches; only chains are supported so far. Remove the branch, or nest "
                "the part of the model before it.",
            )
        previous = layer.output


def _release_output_group(graph: LayerGraph) -> LayerGraph:
    """The channels that reach the output are the classes: they are never cut."""
    output = graph.nodes[-1].group
    return LayerGraph(
        tuple(replace(node, group=None) if node.group == output else node for node in graph.nodes)
    )


def _first_line(error: Exception) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0].rstrip(".") + "."
