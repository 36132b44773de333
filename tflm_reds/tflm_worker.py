"""The process that holds the TFLM interpreter: `python -P tflm_worker.py FD RUNTIME`.

Started by tflm.py. Runs as a plain script, without the package: only numpy and the wheel's runtime
library are imported, and a crash inside TFLM ends this process and no other.
"""

import ctypes
import importlib.machinery
import importlib.util
import os
import signal
import sys
from multiprocessing.connection import Connection
from types import ModuleType

import numpy as np


class Worker:
    """One interpreter; each public method answers one request of tflm.Interpreter."""

    def __init__(self, runtime: str) -> None:
        self._runtime_path = runtime
        self._runtime = _load_extension(runtime)
        self._custom_ops: ctypes.CDLL | None = None

    def load_custom_ops(self, library: str) -> None:
        """Load a shared library of custom ops; its missing functions are the runtime's."""
        # Python loaded the runtime with its symbols hidden: show them first.
        ctypes.CDLL(self._runtime_path, os.RTLD_GLOBAL | os.RTLD_NOLOAD | os.RTLD_NOW)
        self._custom_ops = ctypes.CDLL(library, os.RTLD_GLOBAL | os.RTLD_NOW)
        self._custom_ops.reds_tflm_error.restype = ctypes.c_char_p

    def load_model(
        self,
        content: bytes,
        arena_limit: int,
        subnet_count: int | None = None,
        replace_stock: bool = False,
    ) -> tuple[int, ...]:
        """Make the interpreter and allocate its tensors; returns the input's shape.

        Args:
            subnet_count: subnets of a model whose second input selects one, else None.
            replace_stock: whether our kernels run the stock ops too.
        """
        self._subnet_count = subnet_count
        self._subnet = subnet_count and subnet_count - 1
        registerers = [] if self._custom_ops is None else ["reds_tflm_register"]
        registerers += ["reds_tflm_replace_stock"] * replace_stock
        recording = self._runtime.PythonInterpreterConfig.kAllocationRecording
        arguments = (content, registerers, arena_limit, 0, recording, 0)
        try:
            self._interpreter = self._runtime.InterpreterWrapper(*arguments)
        except RuntimeError as error:
            raise RuntimeError(self._explained(error)) from error
        return tuple(map(int, self._interpreter.GetInputTensorDetails(0)["shape"]))

    def run(self, x: np.ndarray, subnets: list[int] | None) -> tuple[np.ndarray, list[int]]:
        """Run each row of `x`, after selecting `subnets[i]` if given.

        Returns:
            The outputs and the subnets that the ops refused.
        """
        shape = self._interpreter.GetOutputTensorDetails(0)["shape"][1:]
        outputs, refused = np.empty((len(x), *shape), np.int8), []
        for index, row in enumerate(x):
            if subnets is not None and not self.set_subnet(subnets[index]):
                refused.append(subnets[index])
            self._interpreter.SetInputTensor(row[np.newaxis], 0)
            if self._subnet is not None:
                # Every time: TFLM may reuse an input's memory after its last reader.
                self._interpreter.SetInputTensor(np.array([self._subnet], np.int32), 1)
            try:
                self._interpreter.Invoke()
            except RuntimeError as error:
                raise RuntimeError(self._explained(error)) from error
            outputs[index] = self._interpreter.GetOutputTensor(0)[0]
        return outputs, refused

    def set_subnet(self, subnet: int) -> bool:
        """Select a subnet; False if refused."""
        if self._subnet_count is not None:
            exists = 0 <= subnet < self._subnet_count
            self._subnet = subnet if exists else self._subnet
            return exists
        if self._custom_ops is None:
            raise RuntimeError("a model of stock ops has no subnets to select")
        return self._custom_ops.reds_tflm_set_subnet(ctypes.c_int(subnet)) == 0

    def print_allocations(self) -> None:
        """TFLM prints its recorded allocations on stderr."""
        self._interpreter.PrintAllocations()

    def _explained(self, error: RuntimeError) -> str:
        """TFLM's message and, if one of our ops failed, its own."""
        reason = self._custom_ops and self._custom_ops.reds_tflm_error()
        return f"{error}: {reason.decode()}" if reason else str(error)


def _load_extension(path: str) -> ModuleType:
    """Import the wheel's extension alone: its Python package would need four more packages."""
    loader = importlib.machinery.ExtensionFileLoader("_runtime", path)
    spec = importlib.util.spec_from_loader("_runtime", loader)
    module = importlib.util.module_from_spec(spec)
    loader.exec_module(module)
    return module


def main() -> None:
    """Answer requests (method, arguments, seconds) until the other end closes."""
    connection = Connection(int(sys.argv[1]))
    worker = Worker(sys.argv[2])
    while True:
        try:
            method, arguments, seconds = connection.recv()
        except EOFError:
            return
        # The default action of SIGALRM ends the process, even in the middle of C code.
        signal.alarm(seconds)
        try:
            answer = ("done", getattr(worker, method)(*arguments))
        except (RuntimeError, ValueError, OSError, AttributeError) as error:
            answer = ("failed", str(error))
        signal.alarm(0)
        connection.send(answer)


if __name__ == "__main__":
    main()
