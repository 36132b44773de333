"""HDF5 model files of Keras 2, also those called `.keras`, read by Keras 3."""

import shutil
import tempfile
from pathlib import Path

import h5py
import keras

from tflm_reds.errors import ModelError

_WRAPPERS = ("QuantizeWrapper", "QuantizeLayer", "PruneLowMagnitude", "ClusterWeights")


class _LegacyDepthwiseConv2D(keras.layers.DepthwiseConv2D):
    """Keras 2 wrote a `groups` that Keras 3 refuses; 1 is the only value it ever took."""

    def __init__(self, *args, groups: int = 1, **kwargs) -> None:
        super().__init__(*args, **kwargs)


def is_legacy(path: Path) -> bool:
    """Whether the file is HDF5, whatever its name."""
    return h5py.is_hdf5(path)


def load_legacy(path: Path) -> keras.Model:
    """Load an HDF5 model, not compiled, as a model of stock Keras 3 layers.

    Raises:
        ModelError: if tensorflow-model-optimization's wrappers are in it.
    """
    _refuse_wrappers(path)
    with tempfile.TemporaryDirectory() as folder:
        # Keras 3 chooses its reader by the name.
        copy = shutil.copy(path, Path(folder) / "model.h5")
        custom = {"DepthwiseConv2D": _LegacyDepthwiseConv2D}
        loaded = keras.models.load_model(copy, compile=False, custom_objects=custom)
    model = keras.models.clone_model(loaded, clone_function=_stock)
    model.set_weights(loaded.get_weights())
    return model


def _stock(layer: keras.Layer) -> keras.Layer:
    kind = type(layer)
    plain = keras.layers.DepthwiseConv2D if kind is _LegacyDepthwiseConv2D else kind
    return plain.from_config(layer.get_config())


def _refuse_wrappers(path: Path) -> None:
    with h5py.File(path) as file:
        config = str(file.attrs.get("model_config"))
    found = [name for name in _WRAPPERS if name in config]
    if found:
        raise ModelError(
            f"{path} holds {found[0]} layers of tensorflow-model-optimization. Convert it first: "
            f"pip install 'tflm-reds[tfmot]', then python -m tflm_reds.tfmot_bridge {path} "
            "out.keras"
        )
