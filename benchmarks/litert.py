"""Every subnet of trained networks as plain .tflite files in LiteRT on this machine.

    python -m benchmarks.litert ds_cnn_s_kws ds_cnn_s_fashion_mnist ds_cnn_s_cifar10 \
        --trained build/accuracy --data DIR

`--trained` is the folder in which benchmarks.accuracy saved the nested networks. One row for each
network, subnet and form in docs/results/litert.json: size, accuracy in LiteRT and of the reference
(Keras, or the generated C) on the whole test set, and the time on this machine, which is no phone.
"""

import argparse
import platform
import sys
import tempfile
from dataclasses import asdict
from pathlib import Path

from benchmarks.rows import replace_rows, versions
from tflm_reds.codegen.host import HostLibrary
from tflm_reds.codegen.lower import lower
from tflm_reds.datasets import Dataset, load_dataset
from tflm_reds.keras_reader import load_model
from tflm_reds.litert import LitertReport, write_litert
from tflm_reds.nested_model import NestedModel
from tflm_reds.quantized import QuantizedNet
from tflm_reds.stages import int8_accuracies, predict
from tflm_reds.training import accuracy
from tflm_reds.zoo import ZOO

WIDTHS = {"ds_cnn_s_fashion_mnist": "labels-planned", "ds_cnn_s_cifar10": "labels-planned"}


def measure(nested: NestedModel, net: QuantizedNet, dataset: Dataset) -> LitertReport:
    """Write all files, run them over the test set, compare with Keras and the generated C."""
    with tempfile.TemporaryDirectory() as folder:
        host = HostLibrary(lower(net), Path(folder) / "c")
        references = {
            "float32": [accuracy(o, dataset.y_test) for o in predict(nested, dataset.x_test)],
            "int8": int8_accuracies(net, host, dataset),
        }
        return write_litert(nested, net, dataset, references, Path(folder))


def main() -> None:
    """Measure the networks named on the command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("networks", nargs="+", choices=sorted(ZOO))
    parser.add_argument("--data", type=Path)
    parser.add_argument("--trained", type=Path, required=True, help="folder of benchmarks.accuracy")
    arguments = parser.parse_args()
    for name in arguments.networks:
        folder = arguments.trained / f"{name}-{WIDTHS.get(name, 'paper-planned')}-0"
        nested = load_model(folder / "nested.keras")
        net = QuantizedNet.load(folder / "quantized.npz")
        report = measure(nested, net, load_dataset(ZOO[name].dataset, arguments.data))
        common = {
            "name": name, "samples": report.samples, "nested_bytes": report.nested_bytes,
            "host": platform.processor() or platform.machine(),
            "versions": versions("keras", "tensorflow", "ai-edge-litert"),
            "command": f"python -m benchmarks.litert {name} --trained build/accuracy --data DIR",
        }  # fmt: skip
        rows = [asdict(model) | {"fraction": nested.plan.fractions[model.subnet]} | common
                for model in report.models]  # fmt: skip
        replace_rows("litert", rows, "name")


if __name__ == "__main__":
    sys.exit(main())
