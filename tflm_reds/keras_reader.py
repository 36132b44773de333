"""Read a Keras model into a LayerGraph and its weights. The only way in from Keras.

Fused activations and separable convolutions become nodes of their own; Dropout disappears.
"""

import importlib
import os
from collections import Counter
from pathlib import Path

import keras
import numpy as np

from tflm_reds.errors import ModelError
from tflm_reds.graph import LayerGraph
from tflm_reds.graph_builder import GraphBuilder, refuse
from tflm_reds.keras_layers import read_layer
from tflm_reds.legacy_files import is_legacy, load_legacy


def load_model(path: str | os.PathLike) -> keras.Model:
    """Load a `.keras` or `.h5` file, also one of Keras 2 under either name.

    Raises:
        ModelError: if it is missing, corrupt or holds unknown layers.
    """
    if not Path(path).is_file():
        raise ModelError(f"There is no model file {path}. Save one with model.save('name.keras').")
    # Keras must know the classes of a nested model; that module needs this one.
    importlib.import_module("tflm_reds.nested_model")
    try:
        return load_legacy(Path(path)) if is_legacy(Path(path)) else keras.models.load_model(path)
    except ModelError:
        raise
    except Exception as error:  # Keras raises whatever its zip and HDF5 readers do.
        raise ModelError(
            f"Keras {keras.__version__} cannot read {path}: {_first_line(error)} "
            "Save the model again with model.save('name.keras') under Keras 3; one of tf_keras or "
            f"tensorflow-model-optimization: python -m tflm_reds.tfmot_bridge {path} out.keras."
        ) from error


def read_model(model: keras.Model) -> tuple[LayerGraph, dict[str, np.ndarray]]:
    """Turn a built Sequential or functional model into (graph, float32 weights by name).

    Raises:
        ModelError: for an unsupported layer (named, with what to do), several inputs or outputs,
            a layer that is called twice, a model in the model, an unbuilt or subclassed model.
    """
    layers = _in_order(_copy(model))
    builder = GraphBuilder(layer.name for layer in layers)
    readers = Counter(id(tensor) for layer in layers for tensor in _inputs(layer))
    nodes: dict[int, str] = {}
    for layer in layers:
        builder.start_layer(tuple(nodes[id(tensor)] for tensor in _inputs(layer)))
        read_layer(builder, layer)
        nodes[id(layer.output)] = builder.last.name
        if readers[id(layer.output)] > 1:
            builder.shared.add(builder.last.name)
    # The channels that reach the output are the classes.
    builder.release(builder.last.name)
    return builder.build(), builder.weights


def _copy(model: keras.Model) -> keras.Model:
    """A functional model with exactly one call of each layer, whatever else calls the original's.

    Raises:
        ModelError: if the model is nested already, not built, or has several inputs or outputs.
    """
    if type(model).__name__ == "NestedModel":
        raise ModelError(
            f"Model {model.name!r} is nested already. Take nested.subnet(k) to nest it anew."
        )
    if not isinstance(model, keras.Sequential) and not hasattr(model, "operations"):
        raise ModelError(
            f"Model {model.name!r} is a subclassed {type(model).__name__}; its layers cannot be "
            "read. Rebuild it as a Sequential or functional model."
        )
    if not model.built or not model.inputs:
        raise ModelError(f"Model {model.name!r} is not built. Add keras.Input(shape) in front.")
    if len(model.inputs) != 1 or len(model.outputs) != 1:
        raise ModelError(
            f"Model {model.name!r} has {len(model.inputs)} inputs and {len(model.outputs)} "
            "outputs; one of each is supported. Split it into models of one input and one output."
        )
    clone = keras.models.clone_model(model)
    clone.set_weights(model.get_weights())
    return keras.Model(clone.inputs, clone.outputs)


def _in_order(model: keras.Model) -> list[keras.Operation]:
    """The layers in depth-first order: a branch is followed to its end before the next begins."""
    makers = {id(_only_output(layer)): layer for layer in model.operations}
    ordered: dict[str, keras.Operation] = {}

    def visit(layer: keras.Operation) -> None:
        for tensor in _inputs(layer):
            if makers[id(tensor)].name not in ordered:
                visit(makers[id(tensor)])
        ordered[layer.name] = layer

    visit(makers[id(model.outputs[0])])
    return list(ordered.values())


def _inputs(layer: keras.Operation) -> list[keras.KerasTensor]:
    return keras.tree.flatten(layer.input)


def _only_output(layer: keras.Operation) -> keras.KerasTensor:
    if isinstance(layer, keras.Model):
        raise refuse(
            layer, f"is a model of {len(layer.layers)} layers inside the model. Rebuild it flat."
        )
    calls = len(layer._inbound_nodes)
    if calls != 1:
        raise refuse(
            layer,
            f"is called {calls} times; weights shared between calls are not supported. "
            "Give each call its own layer.",
        )
    return layer.output


def _first_line(error: Exception) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0].rstrip(".") + "."
