"""Runs plain .tflite files on this machine with LiteRT, whose XNNPACK computes on phones too."""

import statistics
import time
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path

import numpy as np

from tflm_reds.errors import DataError, ToolchainError

THREADS = 1
WARM_UP, REPEATS = 10, 100


def check_litert() -> None:
    """Check that LiteRT is installed.

    Raises:
        ToolchainError: saying how to get it.
    """
    if find_spec("ai_edge_litert") is None:
        raise ToolchainError(
            "The package ai-edge-litert is missing: --target litert runs its files with it. Run "
            "`pip install 'tflm-reds[litert]'`."
        )


def litert_version() -> str:
    """Name and version of the runtime."""
    return f"ai-edge-litert {version('ai-edge-litert')}"


class LitertRunner:
    """One .tflite file of batch 1, in one thread.

    Raises:
        ToolchainError: if LiteRT is missing.
        DataError: if it refuses the file.
    """

    def __init__(self, path: str | Path) -> None:
        check_litert()
        from ai_edge_litert.interpreter import Interpreter

        try:
            self._interpreter = Interpreter(model_path=str(path), num_threads=THREADS)
            self._interpreter.allocate_tensors()
        except (ValueError, RuntimeError) as error:
            raise DataError(f"LiteRT cannot run {path}: {error}") from error
        self._input = self._interpreter.get_input_details()[0]
        self._output = self._interpreter.get_output_details()[0]

    def run(self, x: np.ndarray) -> np.ndarray:
        """Outputs [n, output size] for inputs [n, ...] of the file's type.

        Raises:
            DataError: if the inputs are of another size or type.
        """
        shape, kind = tuple(self._input["shape"].tolist()), self._input["dtype"]
        if x.dtype != kind or x[:1].size not in (0, np.prod(shape)):
            raise DataError(
                f"The file takes {np.dtype(kind).name} inputs of shape {shape}, got {x.dtype} of "
                f"shape {x.shape}."
            )
        outputs = np.empty((len(x), np.prod(self._output["shape"])), self._output["dtype"])
        for sample, output in zip(x, outputs, strict=True):
            self._interpreter.set_tensor(self._input["index"], sample.reshape(shape))
            self._interpreter.invoke()
            output[:] = self._interpreter.get_tensor(self._output["index"]).reshape(-1)
        return outputs

    def milliseconds(self) -> float:
        """Median time of an inference on this machine, after a warm-up."""
        zeros = np.zeros(self._input["shape"], self._input["dtype"])
        self._interpreter.set_tensor(self._input["index"], zeros)
        seconds = []
        for _ in range(WARM_UP + REPEATS):
            start = time.perf_counter()
            self._interpreter.invoke()
            seconds.append(time.perf_counter() - start)
        return 1000 * statistics.median(seconds[WARM_UP:])
