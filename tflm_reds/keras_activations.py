"""How Keras activations, as layers or built into one, become nodes."""

from collections.abc import Callable

import keras
import numpy as np

from tflm_reds.graph_builder import GraphBuilder, refuse

_ACTIVATIONS = {
    "relu": "relu",
    "relu6": "relu6",
    "leaky_relu": "leaky_relu",
    "hard_silu": "hard_swish",  # Keras's two names of one function
    "gelu": "gelu",  # float only
    "softmax": "softmax",
}


def _read_relu(builder: GraphBuilder, layer: keras.layers.ReLU) -> None:
    if layer.threshold or (layer.max_value is not None and layer.negative_slope):
        raise refuse(layer, "has a threshold, or a slope and a maximum. Use plain ReLU or ReLU6.")
    if layer.max_value is None:
        slope = float(np.asarray(layer.negative_slope))
        op = "leaky_relu" if slope else "relu"
        builder.append(layer.name, op, builder.last.shape, slope=slope)
    elif float(layer.max_value) == 6.0:
        builder.append(layer.name, "relu6", builder.last.shape)
    else:
        raise refuse(layer, f"has max_value={layer.max_value}; TFLM has ReLU and ReLU6. Use 6.")


def _read_leaky_relu(builder: GraphBuilder, layer: keras.layers.LeakyReLU) -> None:
    slope = float(np.asarray(layer.negative_slope))
    builder.append(layer.name, "leaky_relu", builder.last.shape, slope=slope)


def _read_activation(builder: GraphBuilder, layer: keras.layers.Activation) -> None:
    append_activation(builder, layer, name=layer.name)


def append_activation(builder: GraphBuilder, layer: keras.Layer, name: str | None = None) -> None:
    """Append a node for the activation built into `layer` (none if linear)."""
    function = getattr(layer.activation, "__name__", str(layer.activation))
    if function == "linear":
        return
    if function not in _ACTIVATIONS:
        raise refuse(
            layer,
            f"has activation {function!r}. Use relu, relu6, leaky_relu, hard_swish, softmax, "
            "linear, or gelu (float only).",
        )
    # keras.activations.leaky_relu without arguments has slope 0.2.
    slope = 0.2 if function == "leaky_relu" else 0.0
    op = _ACTIVATIONS[function]
    name = name or builder.free_name(f"{layer.name}_{op}")
    builder.append(name, op, builder.last.shape, slope=slope)


def _read_prelu(builder: GraphBuilder, layer: keras.layers.PReLU) -> None:
    alpha, channels = np.asarray(layer.alpha), builder.last.channels
    if builder.last.positions > 1 or max(alpha.shape[:-1], default=1) > 1:
        raise refuse(
            layer,
            f"has {alpha.size} slopes for {channels} channels. One slope for each channel is "
            "supported: PReLU(shared_axes=(1, 2)), before Flatten.",
        )
    builder.store(layer.name, alpha=np.broadcast_to(alpha.ravel(), channels))
    builder.append(layer.name, "prelu", builder.last.shape)


def _read_softmax(builder: GraphBuilder, layer: keras.layers.Softmax) -> None:
    if layer.axis not in (-1, len(builder.last.shape)):
        raise refuse(layer, f"works on axis {layer.axis}. Use the last axis (-1).")
    builder.append(layer.name, "softmax", builder.last.shape)


ACTIVATION_HANDLERS: dict[str, Callable[[GraphBuilder, keras.Layer], None]] = {
    "Activation": _read_activation,
    "ReLU": _read_relu,
    "LeakyReLU": _read_leaky_relu,
    "PReLU": _read_prelu,
    "Softmax": _read_softmax,
}
