"""Compile a Program for this machine and run it through ctypes: the C that boards get."""

import ctypes
from pathlib import Path

import numpy as np

from tflm_reds.codegen.program import Program
from tflm_reds.codegen.toolchain import build_shared_library
from tflm_reds.codegen.writer import model_identifier, write_sources
from tflm_reds.errors import DataError, VerificationError

ARENA_ALIGNMENT = 16
GARBAGE = 0xA5


class _Model(ctypes.Structure):
    """reds_model of reds.h."""

    _fields_ = (
        ("name", ctypes.c_char_p),
        ("ops", ctypes.c_void_p),
        ("op_count", ctypes.c_int32),
        ("subnet_count", ctypes.c_int32),
        ("arena_bytes", ctypes.c_size_t),
        ("input_bytes", ctypes.c_size_t),
        ("output_bytes", ctypes.c_size_t),
    )


class _State(ctypes.Structure):
    """reds_state of reds.h."""

    _fields_ = (
        ("model", ctypes.c_void_p),
        ("arena", ctypes.c_void_p),
        ("input", ctypes.c_void_p),
        ("output", ctypes.c_void_p),
        ("requested", ctypes.c_int32),
        ("active", ctypes.c_int32),
        ("hook", ctypes.c_void_p),
        ("hook_context", ctypes.c_void_p),
    )


class HostLibrary:
    """A network compiled for this machine; state and arena live as long as the object.

    >>> library = HostLibrary(lower(net), folder)       # doctest: +SKIP
    >>> library.run(x, subnet=0)                        # doctest: +SKIP
    """

    def __init__(self, program: Program, folder: str | Path) -> None:
        """Write the sources into `folder`, compile and load them.

        Raises:
            ToolchainError: if there is no C compiler, or it refuses the sources.
            OutputError: if `folder` cannot be written.
        """
        self.program = program
        name = model_identifier(program)
        sources = [path for path in write_sources(program, folder) if path.suffix == ".c"]
        library = build_shared_library(sources, Path(folder) / f"lib{name}.so", flags=["-O3"])
        self._library = ctypes.CDLL(str(library))
        self._library.reds_init.argtypes = [ctypes.c_void_p] * 3 + [ctypes.c_size_t]
        self._library.reds_invoke.argtypes = [ctypes.c_void_p] * 3
        self._library.reds_set_subnet.argtypes = [ctypes.c_void_p, ctypes.c_int32]
        self._model = _Model.in_dll(self._library, f"{name}_model")
        self._state = _State()
        self._arena = (ctypes.c_uint8 * (self.arena_bytes + ARENA_ALIGNMENT))()
        self._check(self._init(), "reds_init")

    @property
    def arena_bytes(self) -> int:
        """Bytes of arena that the compiled model asks for."""
        return self._model.arena_bytes

    @property
    def active_subnet(self) -> int:
        """The subnet that made the last output."""
        return self._state.active

    def run(self, x: np.ndarray, subnet: int) -> np.ndarray:
        """Run `subnet` on int8 `x` [n, *input shape]; return int8 [n, output size].

        Raises:
            DataError: if `x` has another size or dtype, or `subnet` is out of range.
        """
        return self.run_switching(x, np.full(len(x), subnet))

    def run_switching(self, x: np.ndarray, subnets: np.ndarray) -> np.ndarray:
        """Like `run`, with a subnet for each sample; the arena keeps what the last one left."""
        x = self._check_input(x)
        outputs = np.empty((len(x), self._model.output_bytes), np.int8)
        state = ctypes.byref(self._state)
        for sample, output, subnet in zip(x, outputs, subnets, strict=True):
            if self._library.reds_set_subnet(state, int(subnet)):
                raise DataError(
                    f"Subnet {subnet} does not exist: {self.program.name} has "
                    f"0..{self.program.subnet_count - 1}."
                )
            status = self._library.reds_invoke(state, sample.ctypes.data, output.ctypes.data)
            self._check(status, "reds_invoke")
        return outputs

    def scramble_arena(self) -> None:
        """Fill the arena with garbage: no output may depend on what it held before."""
        ctypes.memset(self._arena, GARBAGE, len(self._arena))

    def _init(self) -> int:
        arena = ctypes.addressof(self._arena)
        arena += -arena % ARENA_ALIGNMENT
        state, model = ctypes.byref(self._state), ctypes.byref(self._model)
        return self._library.reds_init(state, model, arena, self.arena_bytes)

    def _check_input(self, x: np.ndarray) -> np.ndarray:
        size = self._model.input_bytes
        if x.dtype != np.int8 or x.ndim < 2 or x[:1].size not in (0, size):
            raise DataError(
                f"{self.program.name} takes int8 inputs of {size} values each, got {x.dtype} of "
                f"shape {x.shape}. Call QuantizedNet.quantize_input first."
            )
        return np.ascontiguousarray(x).reshape(len(x), size)

    def _check(self, status: int, function: str) -> None:
        if status:
            raise VerificationError(
                f"{function} of {self.program.name} returned status {status}: the generated C "
                "refuses its own network. This is a bug; report it with the model."
            )
