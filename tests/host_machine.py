"""The machine of machines.py that is this host. Sanitizers run it without the simulators."""

import ctypes
from collections.abc import Iterable, Sequence
from pathlib import Path

from tflm_reds.codegen.toolchain import build_shared_library

KERNELS = Path(__file__).parent.parent / "codegen" / "kernels"
ALIGNMENT = 16

_C = ctypes.CDLL(None)
_C.malloc.restype = ctypes.c_void_p


class Host:
    """Functions of a shared library, called through ctypes.

    Buffers are malloc's, of exactly their size: AddressSanitizer sees a byte beyond.
    """

    pointer = "Q"

    def __init__(
        self,
        sources: Iterable[Path],
        folder: Path,
        include: Path | Sequence[Path] = KERNELS,
        flags: Sequence[str] = (),
    ) -> None:
        library = folder / "host.so"
        self._open(build_shared_library(sources, library, folders(include), flags))

    @classmethod
    def of_library(cls, library: Path) -> "Host":
        """The functions of a library built elsewhere."""
        machine = cls.__new__(cls)
        machine._open(library)
        return machine

    def _open(self, library: Path) -> None:
        self._library = ctypes.CDLL(str(library))
        self._buffers: list[int] = []

    def place(self, data: bytes, constant: bool = False) -> int:
        """Address of a fresh copy of `data`, aligned to 16 bytes."""
        address = _C.malloc(ctypes.c_size_t(len(data)))
        assert address and address % ALIGNMENT == 0
        self._buffers.append(address)
        self.write(address, data)
        return address

    def read(self, address: int, size: int) -> bytes:
        return ctypes.string_at(address, size)

    def write(self, address: int, data: bytes) -> None:
        ctypes.memmove(address, data, len(data))

    def symbol(self, name: str) -> int:
        return ctypes.addressof(ctypes.c_char.in_dll(self._library, name))

    def call(self, name: str, *arguments: int) -> int:
        """Call `name` with integers and addresses; return its int result."""
        return self._library[name](*map(ctypes.c_void_p, arguments))

    def free(self) -> None:
        """Forget all buffers."""
        for address in self._buffers:
            _C.free(ctypes.c_void_p(address))
        self._buffers.clear()


def folders(include: Path | Sequence[Path]) -> Sequence[Path]:
    """One include folder, or several."""
    return [include] if isinstance(include, Path) else include
