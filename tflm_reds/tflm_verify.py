"""The real TFLM interpreter as two more implementations to compare with."""

import tempfile
from pathlib import Path

import numpy as np

from tflm_reds.quantized import QuantizedNet
from tflm_reds.tflite_io import write_stock_model
from tflm_reds.tflm import Interpreter
from tflm_reds.tflm_wheel import Wheel
from tflm_reds.verify import Implementation


def sliced_models(net: QuantizedNet, wheel: Wheel) -> Implementation:
    """Each subnet as a stand-alone stock `.tflite` in TFLM's interpreter."""

    def run(x: np.ndarray) -> np.ndarray:
        with tempfile.TemporaryDirectory() as folder:
            outputs = []
            for k in range(net.subnet_count):
                path = write_stock_model(net.slice(k), Path(folder) / f"subnet_{k}.tflite")
                with Interpreter(path, wheel=wheel) as tflm:
                    outputs.append(tflm.run(x).reshape(len(x), -1))
            return np.stack(outputs)

    return run


def custom_ops(net: QuantizedNet, model: str | Path, wheel: Wheel, seed: int = 0) -> Implementation:
    """The file `model` of `write_reds_model`; a random switch before each inference."""

    def run(x: np.ndarray) -> np.ndarray:
        pairs = [(k, i) for k in range(net.subnet_count) for i in range(len(x))]
        order = np.random.default_rng(seed).permutation(np.array(pairs))
        subnets, inputs = order[:, 0], order[:, 1]
        with Interpreter(model, "build", wheel) as tflm:
            rows = tflm.run_switching(x[inputs], subnets.tolist()).reshape(len(order), -1)
        outputs = np.empty((net.subnet_count, len(x), rows.shape[1]), np.int8)
        outputs[subnets, inputs] = rows
        return outputs

    return run
