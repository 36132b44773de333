"""Models for TensorFlow Lite Micro, and its interpreter as two more implementations to compare."""

import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from tflm_reds.quantized import QuantizedNet
from tflm_reds.tflite_io import write_reds_model, write_stock_model
from tflm_reds.tflm import Interpreter
from tflm_reds.tflm_wheel import Wheel, find_wheel
from tflm_reds.verify import Implementation


@dataclass(frozen=True)
class TflmModels:
    """Both forms of one net: all subnets with our custom ops; the full subnet with stock ops."""

    reds: Path
    full: Path


def write_models(net: QuantizedNet, folder: Path, optimize: str = "speed") -> TflmModels:
    """Write `folder`/model_reds.tflite and model_full.tflite."""
    return TflmModels(
        write_reds_model(net, folder / "model_reds.tflite", optimize),
        write_stock_model(net.slice(net.subnet_count - 1), folder / "model_full.tflite"),
    )


def implementations(net: QuantizedNet, models: TflmModels) -> Mapping[str, Implementation]:
    """Every subnet as a stock model, and all of them in one with our custom ops.

    Raises:
        ToolchainError: if there is no wheel.
    """
    wheel = find_wheel()
    return {
        "tflm_sliced": sliced_models(net, wheel),
        "tflm": custom_ops(net, models.reds, wheel),
    }


def arena_note(models: TflmModels) -> str:
    """The arenas of both models in the same interpreter.

    Raises:
        ToolchainError: if there is no wheel, or no compiler for the ops.
    """
    wheel = find_wheel()
    reds, full = (arena_bytes(path, wheel) for path in (models.reds, models.full))
    difference = f"{abs(reds - full):,} B {'less' if reds <= full else 'more'}"
    return (
        f"{models.reds.name} takes {reds:,} B of TensorFlow Lite Micro's arena on this 64-bit "
        f"host, {difference} than {models.full.name} ({full:,} B)."
    )


def arena_bytes(model: str | Path, wheel: Wheel) -> int:
    """Bytes that TFLM allocates for a model of either form on this host."""
    with Interpreter(model, "build", wheel) as interpreter:
        return interpreter.arena_bytes


def sliced_models(net: QuantizedNet, wheel: Wheel, replace_stock: bool = False) -> Implementation:
    """Each subnet as a stand-alone stock `.tflite` in TFLM's interpreter.

    Args:
        replace_stock: our kernels run the stock ops, as `Interpreter` does it.
    """
    custom = "build" if replace_stock else None

    def run(x: np.ndarray) -> np.ndarray:
        with tempfile.TemporaryDirectory() as folder:
            outputs = []
            for k in range(net.subnet_count):
                path = write_stock_model(net.slice(k), Path(folder) / f"subnet_{k}.tflite")
                with Interpreter(path, custom, wheel, replace_stock=replace_stock) as tflm:
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
