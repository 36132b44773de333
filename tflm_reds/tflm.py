"""Runs .tflite files in the real TFLM interpreter, in a process of its own."""

import os
import re
import signal
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from multiprocessing import Pipe
from pathlib import Path
from typing import Any

import numpy as np

from tflm_reds.codegen.tflm.library import cached_custom_ops
from tflm_reds.errors import DataError, ModelError, RedsError, SimulationError, ToolchainError
from tflm_reds.quantized import QuantizedNet
from tflm_reds.tflite_io import write_reds_model
from tflm_reds.tflite_schema import check_file, subnets_of_input
from tflm_reds.tflm_wheel import Wheel, find_wheel

_WORKER = Path(__file__).with_name("tflm_worker.py")
_LARGE_ARENA = 256 << 20
_ARENA_TOTAL = re.compile(r"Arena allocation total (\d+) bytes")


class Interpreter:
    """One model in TFLM; a context manager, because it owns a process.

        with Interpreter("sliced.tflite") as tflm:
            y = tflm.run(x)

        with Interpreter.from_net(net) as tflm:  # all subnets, by our custom ops
            tflm.set_subnet(0)
            y = tflm.run(x)

    Args:
        model_path: a .tflite file of one int8 input and one int8 output, batch 1; a second input,
            int32, selects the subnet (`write_reds_model(subnet_input=True)`).
        custom_ops: "build" compiles our custom ops for the wheel, once, into the cache; or the
            shared library of `build_custom_ops`, built for `wheel.abi`; None for stock ops alone.
        wheel: an installed wheel or its version; default: the first pin that can be had.
        time_limit: seconds for each call; the process ends itself when they are over.
        arena_limit: bytes given to TFLM for its arena.
        replace_stock: with `custom_ops`: our kernels also run the stock CONV_2D,
            DEPTHWISE_CONV_2D and FULLY_CONNECTED.

    Raises:
        ModelError: if the file is missing, damaged, or refused by TFLM.
        ToolchainError: if no wheel can be had, or the custom ops do not fit it.
        SimulationError: if the interpreter crashed or ran past the time limit.
    """

    def __init__(
        self,
        model_path: str | Path,
        custom_ops: str | Path | None = None,
        wheel: Wheel | str | None = None,
        time_limit: int = 300,
        arena_limit: int = 16 << 20,
        replace_stock: bool = False,
    ) -> None:
        self.wheel = wheel if isinstance(wheel, Wheel) else find_wheel(wheel)
        self._path = Path(model_path)
        self._time_limit = time_limit
        content = _read(self._path)
        self._start()
        try:
            if custom_ops is not None:
                self._load_custom_ops(self._library(custom_ops))
            self._load_model(content, arena_limit, replace_stock)
        except BaseException:
            self.close()
            raise

    @classmethod
    def from_net(
        cls,
        net: QuantizedNet,
        wheel: Wheel | str | None = None,
        optimize: str = "speed",
        subnet_input: bool = False,
        **limits: int,
    ) -> "Interpreter":
        """All subnets of `net` as one model with our custom ops, compiled if need be.

        Args:
            optimize, subnet_input: as of `write_reds_model`.
            limits: `time_limit`, `arena_limit`.

        Raises:
            QuantizationError: if the net has no form as a .tflite.
        """
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / f"{net.name}.tflite"
            write_reds_model(net, path, optimize, subnet_input)
            return cls(path, "build", wheel, **limits)

    def __enter__(self) -> "Interpreter":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def run(self, x: np.ndarray) -> np.ndarray:
        """Outputs, int8 [n, *output shape], of the inputs `x`, int8 [n, *input shape].

        Raises:
            DataError: if `x` has another shape or dtype.
        """
        self._check(x)
        outputs, _ = self._call("run", np.ascontiguousarray(x), None)
        return outputs

    def run_switching(self, x: np.ndarray, subnets: Sequence[int]) -> np.ndarray:
        """Like `run`, but select subnet `subnets[i]` just before input i.

        Raises:
            DataError: if `x` does not fit, or a subnet does not exist.
        """
        self._check(x)
        if len(subnets) != len(x):
            raise DataError(f"{len(subnets)} subnets for {len(x)} inputs: give one for each input.")
        outputs, refused = self._call("run", np.ascontiguousarray(x), list(map(int, subnets)))
        if refused:
            raise DataError(f"{self._path} has no subnet {refused[0]}. Number them from 0.")
        return outputs

    def set_subnet(self, subnet: int) -> bool:
        """Select the subnet of the next runs; False if it does not exist: the current one stays."""
        return self._call("set_subnet", int(subnet))

    @property
    def pid(self) -> int:
        """Number of the worker process."""
        return self._process.pid

    @property
    def arena_bytes(self) -> int:
        """Bytes of arena that TFLM allocated on this 64-bit host (fewer on a microcontroller)."""
        self._call("print_allocations")
        return int(_ARENA_TOTAL.findall(self._messages())[-1])

    def close(self) -> None:
        """End the process; harmless when it has ended."""
        self._connection.close()
        self._process.kill()
        self._process.wait()
        self._stderr.close()

    def _start(self) -> None:
        self._connection, theirs = Pipe()
        self._stderr = tempfile.TemporaryFile()  # noqa: SIM115  (close() closes it)
        # -P: the package's folder must not come before the standard library on sys.path.
        command = [sys.executable, "-P", str(_WORKER), str(theirs.fileno()), self.wheel.runtime]
        self._process = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=self._stderr,
            pass_fds=[theirs.fileno()],
        )
        theirs.close()

    def _library(self, custom_ops: str | Path) -> Path:
        built = custom_ops == "build"
        return cached_custom_ops(self.wheel.abi) if built else Path(custom_ops).resolve()

    def _load_model(self, content: bytes, arena_limit: int, replace_stock: bool) -> None:
        options = (subnets_of_input(content), replace_stock)
        try:
            self._shape = self._call("load_model", content, arena_limit, *options)[1:]
        except ModelError as error:
            needed = None
            if arena_limit < _LARGE_ARENA:
                needed = self._arena_needed(content, *options)
            if needed is None:
                raise
            raise ModelError(
                f"{error} The arena is too small: {self._path} needs {needed:,} bytes on this "
                f"64-bit host, arena_limit is {arena_limit:,}."
            ) from error

    def _arena_needed(self, content: bytes, *options: Any) -> int | None:
        """Bytes of arena of a model that was refused; None if a large one is refused as well."""
        try:
            self._call("load_model", content, _LARGE_ARENA, *options)
        except RedsError:
            return None
        return self.arena_bytes

    def _load_custom_ops(self, library: Path) -> None:
        if not library.is_file():
            raise ToolchainError(f"{library} does not exist. Build it with build_custom_ops().")
        try:
            self._call("load_custom_ops", str(library))
        except ModelError as error:
            raise ToolchainError(
                f"{library} does not load into tflite-micro {self.wheel.version}: {error} Build "
                f"it for this wheel: build_custom_ops(folder, abi={self.wheel.abi})."
            ) from error

    def _call(self, method: str, *arguments: Any) -> Any:
        """Ask the worker; its failure, or its death, becomes our error."""
        try:
            self._connection.send((method, arguments, self._time_limit))
            status, answer = self._connection.recv()
        except (EOFError, OSError) as error:
            raise self._death() from error
        if status == "failed":
            raise ModelError(f"TFLM refuses {self._path}: {answer}. {self._messages()[-400:]}")
        return answer

    def _death(self) -> RedsError:
        code = self._process.wait()
        if code == -signal.SIGALRM:
            return SimulationError(
                f"TFLM ran past its time limit of {self._time_limit} s on {self._path}. "
                "Give fewer inputs, or a larger time_limit."
            )
        return SimulationError(
            f"The TFLM interpreter ended with code {code} on {self._path}: the file or the custom "
            f"ops are broken. Its last words: {self._messages()[-400:] or 'none'}"
        )

    def _messages(self) -> str:
        # The worker shares this file's position, so read without moving it.
        size = os.fstat(self._stderr.fileno()).st_size
        return os.pread(self._stderr.fileno(), size, 0).decode(errors="replace").strip()

    def _check(self, x: np.ndarray) -> None:
        if x.dtype != np.int8 or x.shape[1:] != self._shape:
            raise DataError(
                f"{self._path} takes int8 inputs of shape (n, {str(self._shape)[1:]}, got "
                f"{x.dtype} {x.shape}. Call quantize_input() first."
            )


def _read(path: Path) -> bytes:
    try:
        content = path.read_bytes()
    except OSError as error:
        raise ModelError(f"Cannot read {path}: {error.strerror}. Write the model first.") from error
    check_file(content, path)
    return content
