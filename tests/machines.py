"""Two machines that call C functions with buffers: this host, and a simulated Cortex-M4F.

On the Cortex-M4F each buffer ends right before unmapped memory: a read beyond it faults.
"""

import ctypes
from collections.abc import Iterable
from pathlib import Path

from elftools.elf.elffile import ELFFile
from unicorn import (
    UC_ARCH_ARM,
    UC_HOOK_BLOCK,
    UC_MODE_THUMB,
    UC_PROT_EXEC,
    UC_PROT_READ,
    UC_PROT_WRITE,
    Uc,
)
from unicorn.arm_const import (
    UC_ARM_REG_LR,
    UC_ARM_REG_R0,
    UC_ARM_REG_R1,
    UC_ARM_REG_R2,
    UC_ARM_REG_R3,
    UC_ARM_REG_SP,
    UC_CPU_ARM_CORTEX_M4,
)

from tflm_reds.codegen.cores import find_core
from tflm_reds.codegen.toolchain import Compiler, build_image, build_shared_library

TESTS = Path(__file__).parent
KERNELS = TESTS.parent / "codegen" / "kernels"
PAGE = 4096


class Host:
    """Functions of a shared library, called through ctypes."""

    pointer = "Q"

    def __init__(self, sources: Iterable[Path], folder: Path, include: Path = KERNELS) -> None:
        self._library = ctypes.CDLL(
            str(build_shared_library(sources, folder / "host.so", [include]))
        )
        self._buffers: list[ctypes.Array] = []

    def place(self, data: bytes) -> int:
        """Address of a fresh copy of `data`, aligned to 16 bytes."""
        buffer = (ctypes.c_char * (len(data) + 16))()
        self._buffers.append(buffer)
        address = (ctypes.addressof(buffer) + 15) & ~15
        ctypes.memmove(address, data, len(data))
        return address

    def read(self, address: int, size: int) -> bytes:
        return ctypes.string_at(address, size)

    def symbol(self, name: str) -> int:
        return ctypes.addressof(ctypes.c_char.in_dll(self._library, name))

    def call(self, name: str, *arguments: int) -> int:
        """Call `name` with integers and addresses; return its int result."""
        return self._library[name](*map(ctypes.c_void_p, arguments))

    def free(self) -> None:
        """Forget all buffers."""
        self._buffers.clear()


class CortexM4:
    """Functions of a bare image, called in Unicorn; counts executed instructions of a call."""

    pointer = "I"
    _STACK = 0x30000000
    _BUFFERS = 0x40000000
    _ARGUMENTS = (UC_ARM_REG_R0, UC_ARM_REG_R1, UC_ARM_REG_R2, UC_ARM_REG_R3)

    def __init__(
        self,
        sources: Iterable[Path],
        folder: Path,
        include: Path = KERNELS,
        flags: Iterable[str] = (),
        compiler: Compiler | None = None,
    ) -> None:
        script = TESTS / "cortex_m" / "kernels.ld"
        sources = [*sources, TESTS / "cortex_m" / "freestanding.c"]
        core = find_core("cortex-m4f")
        elf = folder / "m4.elf"
        image = build_image(sources, elf, core, script, [include], [*flags], compiler)
        self._uc = Uc(UC_ARCH_ARM, UC_MODE_THUMB)
        self._uc.ctl_set_cpu_model(UC_CPU_ARM_CORTEX_M4)
        self._load(image)
        self._uc.mem_map(self._STACK, 16 * PAGE, UC_PROT_READ | UC_PROT_WRITE)
        self._regions: list[tuple[int, int]] = []
        self._next = self._BUFFERS

    def _load(self, image: Path) -> None:
        self._uc.mem_map(0, 256 * PAGE, UC_PROT_READ | UC_PROT_EXEC)
        with image.open("rb") as stream:
            elf = ELFFile(stream)
            for segment in elf.iter_segments("PT_LOAD"):
                self._uc.mem_write(segment["p_vaddr"], segment.data())
            table = elf.get_section_by_name(".symtab")
            self._symbols = {entry.name: entry["st_value"] for entry in table.iter_symbols()}

    def place(self, data: bytes) -> int:
        """Address of a fresh copy of `data` that ends at unmapped memory."""
        size = -(-max(len(data), 1) // PAGE) * PAGE
        self._uc.mem_map(self._next, size, UC_PROT_READ | UC_PROT_WRITE)
        self._regions.append((self._next, size))
        address = self._next + size - len(data)
        self._next += size + PAGE
        self._uc.mem_write(address, data)
        return address

    def read(self, address: int, size: int) -> bytes:
        return bytes(self._uc.mem_read(address, size))

    def symbol(self, name: str) -> int:
        return self._symbols[name]

    def call(self, name: str, *arguments: int) -> int:
        """Call `name` with integers and addresses; return its int result."""
        stack = self._STACK + 15 * PAGE
        for register, value in zip(self._ARGUMENTS, arguments, strict=False):
            self._uc.reg_write(register, value)
        for i, value in enumerate(arguments[4:]):
            self._uc.mem_write(stack + 4 * i, value.to_bytes(4, "little"))
        self._uc.reg_write(UC_ARM_REG_SP, stack)
        stop = self._symbols["reds_test_stop"]
        self._uc.reg_write(UC_ARM_REG_LR, stop)
        self._uc.emu_start(self._symbols[name] | 1, stop & ~1)
        return self._uc.reg_read(UC_ARM_REG_R0)

    def count_instructions(self, name: str, *arguments: int) -> int:
        """Like `call`, but return the number of instructions executed."""
        blocks: dict[tuple[int, int], int] = {}

        def on_block(_uc, address, size, _data):
            blocks[address, size] = blocks.get((address, size), 0) + 1

        hook = self._uc.hook_add(UC_HOOK_BLOCK, on_block)
        self._uc.ctl_flush_tb()  # code translated before the hook would not call it
        self.call(name, *arguments)
        self._uc.hook_del(hook)
        self._uc.ctl_flush_tb()
        return sum(times * self._instructions(*block) for block, times in blocks.items())

    def _instructions(self, address: int, size: int) -> int:
        halfwords = memoryview(bytes(self._uc.mem_read(address, size))).cast("H")
        count = at = 0
        while at < len(halfwords):
            at += 2 if halfwords[at] >> 11 >= 0x1D else 1
            count += 1
        return count

    def free(self) -> None:
        """Unmap all buffers."""
        for start, size in self._regions:
            self._uc.mem_unmap(start, size)
        self._regions.clear()
        self._next = self._BUFFERS
