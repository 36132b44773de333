"""The reference architectures, with pretrained weights where the data directory has them."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from keras import Model

from tflm_reds.datasets import data_directory
from tflm_reds.errors import ModelError
from tflm_reds.zoo import digits, keyword_spotting, vision
from tflm_reds.zoo.pretrained import WEIGHTS_FILE, load_pretrained


@dataclass(frozen=True)
class ZooEntry:
    """One architecture.

    Attributes:
        name: also the Keras model's name.
        build: makes the untrained model; its outputs are logits.
        dataset: name for `tflm_reds.datasets.load_dataset`.
        pretrained: key in `weights_float.npz`, or None.
    """

    name: str
    build: Callable[[], Model]
    dataset: str
    pretrained: str | None = None


ZOO: dict[str, ZooEntry] = {
    entry.name: entry
    for entry in (
        ZooEntry("digits_ds_cnn", digits.digits_ds_cnn, "digits"),
        ZooEntry("dnn_s_kws", keyword_spotting.dnn_s_kws, "kws_25_frames", "arm_kws/dnn_s"),
        ZooEntry("dnn_l_kws", keyword_spotting.dnn_l_kws, "kws_25_frames"),
        ZooEntry("cnn_s_kws", keyword_spotting.cnn_s_kws, "kws", "arm_kws/cnn_s"),
        ZooEntry("cnn_l_kws", keyword_spotting.cnn_l_kws, "kws"),
        ZooEntry("ds_cnn_s_kws", keyword_spotting.ds_cnn_s_kws, "kws", "arm_kws/ds_cnn_s"),
        ZooEntry("ds_cnn_l_kws", keyword_spotting.ds_cnn_l_kws, "kws"),
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
    )
}


def load_zoo(name: str, data_dir: str | Path | None = None) -> tuple[Model, bool]:
    """The Keras model called `name`, and whether its weights are pretrained.

    Weights stay random when the net has none, when no data directory is given here or in
    TFLM_REDS_DATA, or when the directory lacks `weights_float.npz`.

    Raises:
        ModelError: if there is no such model.
        DataError: if the data directory or its weights file is broken.
    """
    if name not in ZOO:
        raise ModelError(f"The zoo has no {name!r}. Choose one of {', '.join(ZOO)}.")
    model, key = ZOO[name].build(), ZOO[name].pretrained
    directory = data_directory(data_dir)
    if key is None or directory is None or not (directory / WEIGHTS_FILE).exists():
        return model, False
    load_pretrained(model, directory / WEIGHTS_FILE, key)
    return model, True
