"""Golden test: random switches between invocations in TFLM, all int8 networks of the zoo.

    python -m benchmarks.golden [--data DIR] [--switches N] [NETWORK ...]

Each network is nested (25, 50, 75 and 100 % of the MACs), written as one `.tflite` with our custom
ops, and run in both pinned wheels of `tflite-micro`; a random subnet is selected before each
invocation. Weights are pretrained, the calibration and half of the inputs real, where DIR has them;
else random. Every output byte must equal `QuantizedNet.run`. Rows go into docs/results/golden.json.
"""

import argparse
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from benchmarks.rows import replace_rows, versions
from tflm_reds.datasets import load_dataset
from tflm_reds.errors import DataError, QuantizationError
from tflm_reds.keras_reader import read_model
from tflm_reds.nesting import nest
from tflm_reds.quantization import check_int8_form, quantize
from tflm_reds.quantized import QuantizedNet
from tflm_reds.tflm import Interpreter
from tflm_reds.tflm_wheel import PINS
from tflm_reds.verify import comparison_inputs
from tflm_reds.zoo import ZOO, load_zoo

Samples = tuple[np.ndarray, np.ndarray]

BUDGETS = (0.25, 0.5, 0.75)
SEED = 0
SWITCHES = 1000
TIME_LIMIT = 3600
CALIBRATION_SAMPLES = 100


def switched_outputs(net: QuantizedNet, x: np.ndarray, subnets: np.ndarray) -> np.ndarray:
    """What `QuantizedNet.run` gives for each input in its subnet."""
    outputs = np.empty((len(x), *net.output.shape), np.int8)
    for k in range(net.subnet_count):
        outputs[subnets == k] = net.run(x[subnets == k], k, batch=16)
    return outputs


def rows_of(
    name: str, switches: int = SWITCHES, data: Path | None = None, command: str = ""
) -> Iterator[dict]:
    """A row for each pinned wheel.

    Raises:
        QuantizationError: if the network has no int8 form.
        ToolchainError: if a wheel cannot be had.
    """
    calibration, real = _real_data(name, data)
    net = _quantized(name, data, calibration)
    x = comparison_inputs(net, real, switches, SEED)
    subnets = np.random.default_rng(SEED).integers(0, net.subnet_count, switches)
    expected = switched_outputs(net, x, subnets)
    for pin in PINS:
        with Interpreter.from_net(net, pin, time_limit=TIME_LIMIT) as tflm:
            outputs, abi = tflm.run_switching(x, subnets), tflm.wheel.abi
        yield {
            "name": name,
            "wheel": pin,
            "abi": abi,
            "invocations": np.bincount(subnets, minlength=net.subnet_count).tolist(),
            "switches": int(np.count_nonzero(np.diff(subnets))),
            "real_inputs": min(len(real), switches // 2),
            "distinct_outputs": len(np.unique(outputs.reshape(len(outputs), -1), axis=0)),
            "compared_bytes": outputs.size,
            "differing_bytes": int(np.count_nonzero(outputs != expected)),
            "seed": SEED,
            "versions": versions("keras", "tensorflow", "numpy"),
            "command": command,
        }


def _real_data(name: str, data: Path | None) -> tuple[Samples | None, np.ndarray]:
    """Training samples and float test inputs; none where there is no data."""
    try:
        dataset = load_dataset(ZOO[name].dataset, data)
    except DataError:
        return None, np.empty(0)
    first = slice(CALIBRATION_SAMPLES)
    return (dataset.x_train[first], dataset.y_train[first]), dataset.x_test


def _quantized(name: str, data: Path | None, calibration: Samples | None) -> QuantizedNet:
    model, _ = load_zoo(name, data)
    check_int8_form(read_model(model)[0])
    if calibration is None:
        x = np.random.default_rng(SEED).random((CALIBRATION_SAMPLES, *model.input_shape[1:]))
        calibration = x.astype(np.float32), np.arange(len(x)) % model.output_shape[-1]
    return quantize(nest(model, calibration, BUDGETS), calibration[0], name)


def main() -> None:
    """The networks named on the command line, or all that have an int8 form."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("networks", nargs="*", default=sorted(ZOO), help="default: all")
    parser.add_argument("--switches", type=int, default=SWITCHES)
    parser.add_argument("--data", type=Path, help="directory of the zoo's data and weights")
    arguments = parser.parse_args()
    command = "python -m benchmarks.golden" + " --data DIR" * (arguments.data is not None)
    for name in arguments.networks:
        try:
            rows = list(rows_of(name, arguments.switches, arguments.data, command))
        except QuantizationError as error:
            print(f"{name}: {error}")
            continue
        print(*({key: row[key] for key in ("name", "abi", "differing_bytes")} for row in rows))
        replace_rows("golden", rows, "name")


if __name__ == "__main__":
    sys.exit(main())
