"""tflm_reds: one int8 Keras model that resizes itself at run time on a microcontroller."""

from pathlib import Path

# In a checkout, codegen/, sim/ and boards/ stand beside this package; installed, inside it.
_checkout = Path(__file__).resolve().parent.parent
if (_checkout / "codegen").is_dir() and (_checkout / "pyproject.toml").is_file():
    __path__.append(str(_checkout))
