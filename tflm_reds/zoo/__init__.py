"""The reference architectures, with pretrained weights where the data directory has them."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from keras import Model

from tflm_reds.datasets import data_directory, load_dataset
from tflm_reds.errors import ModelError
from tflm_reds.zoo import digits, keyword_spotting, mobilenet, resnet, vision, vision_transformer
from tflm_reds.zoo.pretrained import assign_layers, layers_by_kind, read_float_layers
from tflm_reds.zoo.tflite_weights import read_tflite_layers
from tflm_reds.zoo.unfold import unfold_batch_norm

WEIGHTS_FILE, ARCHIVE = "weights_float.npz", "models_original.zip"
UNFOLDING_SAMPLES = 500


@dataclass(frozen=True)
class ZooEntry:
    """One architecture.

    Attributes:
        name: also the Keras model's name.
        build: makes the untrained model; its outputs are logits.
        dataset: name for `tflm_reds.datasets.load_dataset`.
        pretrained: key in `weights_float.npz`, a `.tflite` file in `models_original.zip`, or None.
    """

    name: str
    build: Callable[[], Model]
    dataset: str
    pretrained: str | None = None


def _kws(size: str, dataset: str, pretrained: str) -> ZooEntry:
    name = f"{size}_kws"
    return ZooEntry(name, getattr(keyword_spotting, name), dataset, f"arm_kws/{pretrained}")


ZOO: dict[str, ZooEntry] = {
    entry.name: entry
    for entry in (
        ZooEntry("digits_ds_cnn", digits.digits_ds_cnn, "digits"),
        _kws("dnn_s", "kws_25_frames", "dnn_s"),
        _kws("dnn_l", "kws_25_frames", "dnn_l_quantized.tflite"),
        _kws("cnn_s", "kws", "cnn_s"),
        _kws("cnn_l", "kws", "cnn_l_quantized.tflite"),
        _kws("ds_cnn_s", "kws", "ds_cnn_s"),
        _kws("ds_cnn_l", "kws", "ds_cnn_l_quantized.tflite"),
        ZooEntry(
            "ds_cnn_s_fashion_mnist",
            vision.ds_cnn_s_fashion_mnist,
            "fashion_mnist",
            "reds_vision/fashion_mnist_ds_cnn_s",
        ),
        ZooEntry(
            "ds_cnn_s_cifar10",
            vision.ds_cnn_s_cifar10,
            "cifar10",
            "reds_vision/cifar10_ds_cnn_s",
        ),
        ZooEntry(
            "resnet8_cifar10",
            resnet.resnet8_cifar10,
            "cifar10_bytes",
            "mlperf_tiny/resnet8_cifar10",
        ),
        ZooEntry(
            "mobilenet_v1_025_vww",
            mobilenet.mobilenet_v1_025_vww,
            "visual_wake_words",
            "mlperf_tiny/mobilenetv1_025_vww96",
        ),
        ZooEntry(
            "mobilenet_v1_100_vww", mobilenet.mobilenet_v1_100_vww, "visual_wake_words_signed"
        ),
        ZooEntry("vit_digits", vision_transformer.vit_digits, "digits"),
        ZooEntry("vit_cifar10", vision_transformer.vit_cifar10, "cifar10"),
    )
}


def load_zoo(name: str, data_dir: str | Path | None = None) -> tuple[Model, bool]:
    """The Keras model called `name`, and whether its weights are pretrained.

    Weights stay random when the net has none, when no data directory is given here or in
    TFLM_REDS_DATA, or when the directory lacks the file that holds them.

    Raises:
        ModelError: if there is no such model.
        DataError: if the data directory or a file in it is broken.
    """
    if name not in ZOO:
        raise ModelError(f"The zoo has no {name!r}. Choose one of {', '.join(ZOO)}.")
    entry, directory = ZOO[name], data_directory(data_dir)
    model = entry.build()
    if entry.pretrained is None or directory is None:
        return model, False
    if entry.pretrained.endswith(".tflite"):
        return model, _load_tflite(model, entry, directory)
    return model, _load_float(model, entry, directory)


def _load_float(model: Model, entry: ZooEntry, directory: Path) -> bool:
    path = directory / WEIGHTS_FILE
    if not path.exists():
        return False
    assign_layers(model, read_float_layers(path, entry.pretrained), path)
    return True


def _load_tflite(model: Model, entry: ZooEntry, directory: Path) -> bool:
    """Dequantised weights; the statistics of batch normalisation come from training data."""
    path = directory / ARCHIVE
    if not path.exists():
        return False
    stored = read_tflite_layers(path, entry.pretrained)
    norms = layers_by_kind(model).get("batch_normalization", [])
    stored["batch_normalization"] = [
        {weight.name: weight.numpy() for weight in layer.weights} for layer in norms
    ]
    assign_layers(model, stored, path)
    if norms:
        x = load_dataset(entry.dataset, directory).x_train
        unfold_batch_norm(model, x[:: max(1, len(x) // UNFOLDING_SAMPLES)])
    return True
