"""tflm_reds: one int8 Keras model that resizes itself at run time on a microcontroller."""

import importlib
import sys
from pathlib import Path
from typing import Any

# In a checkout, codegen/, sim/ and boards/ stand beside this package; installed, inside it.
_checkout = Path(__file__).resolve().parent.parent
if (_checkout / "codegen").is_dir() and (_checkout / "pyproject.toml").is_file():
    __path__.append(str(_checkout))

_PUBLIC = {
    "Budget": "tflm_reds.budget",
    "LatencyTable": "tflm_reds.latency",
    "nest": "tflm_reds.nesting",
    "NestedModel": "tflm_reds.nested_model",
    "LayerGraph": "tflm_reds.graph",
    "Plan": "tflm_reds.plan",
    "QuantizedNet": "tflm_reds.quantized",
    "quantize": "tflm_reds.quantization",
    "read_model": "tflm_reds.keras_reader",
}

__all__ = ["callbacks", *_PUBLIC]


def __getattr__(name: str) -> Any:
    # Names load on first use: what follows quantisation must not import TensorFlow.
    if name == "callbacks":
        return importlib.import_module("tflm_reds.callbacks")
    if name in _PUBLIC:
        return getattr(importlib.import_module(_PUBLIC[name]), name)
    raise AttributeError(f"module 'tflm_reds' has no attribute {name!r}")


if "keras" in sys.modules:
    # So that keras.models.load_model knows the classes of a nested model that was saved.
    importlib.import_module("tflm_reds.nested_model")
