"""Exact counts of executed (previous block, block) edges in Unicorn, by op.

UC_HOOK_CODE would be simpler but does not fire for instructions that an IT block skips; blocks
times their length is what an independent QEMU plug-in counts, too.
"""

import ctypes
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np
import unicorn
from unicorn.arm_const import UC_ARM_REG_LR

from tflm_reds.boards.schema import Memory
from tflm_reds.codegen.toolchain import build_shared_library
from tflm_reds.errors import SimulationError, ToolchainError

CAPACITY = 1 << 16
NO_LIMIT = (1 << 64) - 1
EDGE = np.dtype(
    [
        ("source", "u4"), ("source_size", "u4"), ("target", "u4"), ("target_size", "u4"),
        ("slot", "u4"), ("instructions", "u4"), ("count", "u8"),
    ]
)  # fmt: skip


@dataclass(frozen=True)
class Counts:
    """What ran between `reset` and `counts`.

    Attributes:
        edges: array of dtype EDGE, sorted; slot is the op, or the number of ops outside of all
            ops; a source of size 0 stands for the start.
        flash_reads: data reads from flash by slot (only if accesses were counted).
        unaligned_cycles: 1 for each halfword-aligned, 2 for each byte-aligned access that should
            be aligned better, by slot (likewise).
    """

    edges: np.ndarray
    flash_reads: tuple[int, ...]
    unaligned_cycles: tuple[int, ...]

    @property
    def instructions(self) -> int:
        """Executed instructions, those that an IT block skips included."""
        return int((self.edges["count"] * self.edges["instructions"]).sum())

    def slot(self, slot: int) -> "Counts":
        """The part of one op; `slot` as in `edges`."""
        return Counts(
            self.edges[self.edges["slot"] == slot],
            (self.flash_reads[slot],),
            (self.unaligned_cycles[slot],),
        )


class PythonCounter:
    """Counts by Python hooks: the fallback when no host compiler is there. 20 times slower."""

    def __init__(self, engine: unicorn.Uc, code: Memory, flash: Memory, ops: Sequence[int]):
        self.engine, self.flash = engine, flash
        self.op_at = {address: op for op, address in enumerate(ops)}
        self.op_count = len(ops)
        self.limit = NO_LIMIT
        self.instructions = 0
        self._hooks: list[int] = []
        self._length: dict[tuple[int, int], int] = {}
        self.reset()
        engine.hook_add(unicorn.UC_HOOK_BLOCK, self._count_block)

    def reset(self) -> None:
        """Start counting anew; `instructions` runs on."""
        self._edges: dict[tuple, int] = {}
        self.flash_reads = [0] * (self.op_count + 1)
        self.unaligned_cycles = [0] * (self.op_count + 1)
        self._slot, self._return_address, self._source = self.op_count, 0, (0, 0)

    def count_accesses(self, enabled: bool) -> None:
        """Count memory accesses, too; slows the run down."""
        if enabled:
            kinds = unicorn.UC_HOOK_MEM_READ | unicorn.UC_HOOK_MEM_WRITE
            self._hooks.append(self.engine.hook_add(kinds, self._count_access))
        while self._hooks and not enabled:
            self.engine.hook_del(self._hooks.pop())
        self.engine.ctl_flush_tb()  # code translated without the hooks does not call them

    def counts(self) -> Counts:
        """Everything since the last `reset`."""
        rows = [
            (*source, *target, slot, self._instructions(target), count)
            for (source, target, slot), count in self._edges.items()
        ]
        edges = np.sort(np.array(rows, EDGE))
        return Counts(edges, tuple(self.flash_reads), tuple(self.unaligned_cycles))

    def _count_block(self, engine, address, size, _) -> None:
        if address in self.op_at:
            self._return_address = engine.reg_read(UC_ARM_REG_LR) & ~1
            self._slot = self.op_at[address]
        elif address == self._return_address:
            self._return_address, self._slot = 0, self.op_count
        block = (address, size)
        key = (self._source, block, self._slot)
        self._edges[key] = self._edges.get(key, 0) + 1
        self.instructions += self._instructions(block)
        self._source = block
        if self.instructions > self.limit:
            engine.emu_stop()

    def _count_access(self, _engine, access, address, size, _value, _) -> None:
        if access == unicorn.UC_MEM_READ and self.flash.origin <= address < self.flash.end:
            self.flash_reads[self._slot] += 1
        if address & (size - 1):
            self.unaligned_cycles[self._slot] += 2 if address & 1 else 1

    def _instructions(self, block: tuple[int, int]) -> int:
        if block not in self._length:
            halfwords = np.frombuffer(self.engine.mem_read(*block), "<u2")
            index = count = 0
            while index < len(halfwords):
                index += 2 if halfwords[index] >> 11 >= 0x1D else 1
                count += 1
            self._length[block] = count
        return self._length[block]


class _CounterStruct(ctypes.Structure):
    """`counter` of block_counter.c."""

    _fields_ = (
        ("read_memory", ctypes.c_void_p), ("read_register", ctypes.c_void_p),
        ("stop", ctypes.c_void_p), ("op_at", ctypes.c_void_p),
        ("code_start", ctypes.c_uint32), ("code_halfwords", ctypes.c_uint32),
        ("flash_start", ctypes.c_uint32), ("flash_end", ctypes.c_uint32),
        ("edges", ctypes.c_void_p), ("capacity", ctypes.c_uint32), ("used", ctypes.c_uint32),
        ("flash_reads", ctypes.c_void_p), ("unaligned_cycles", ctypes.c_void_p),
        ("instructions", ctypes.c_uint64), ("limit", ctypes.c_uint64),
        ("op_count", ctypes.c_uint32), ("slot", ctypes.c_uint32),
        ("return_address", ctypes.c_uint32), ("source", ctypes.c_uint32),
        ("source_size", ctypes.c_uint32),
    )  # fmt: skip


class CompiledCounter:
    """The same counts as `PythonCounter` by compiled hooks that Unicorn calls directly."""

    def __init__(self, engine: unicorn.Uc, code: Memory, flash: Memory, ops: Sequence[int]):
        self._engine, self._library, self._unicorn = engine, _library(), _unicorn_library()
        self._op_at = np.zeros(code.size // 2 + 1, np.int16)
        self._op_at[(np.array(ops, np.int64) - code.origin) // 2] = np.arange(1, len(ops) + 1)
        self._edges = np.zeros(CAPACITY, EDGE)
        self._flash_reads = np.zeros(len(ops) + 1, np.uint64)
        self._unaligned_cycles = np.zeros(len(ops) + 1, np.uint64)
        self._struct = _CounterStruct(
            read_memory=_address_of(self._unicorn.uc_mem_read),
            read_register=_address_of(self._unicorn.uc_reg_read),
            stop=_address_of(self._unicorn.uc_emu_stop),
            op_at=self._op_at.ctypes.data,
            code_start=code.origin,
            code_halfwords=len(self._op_at),
            flash_start=flash.origin,
            flash_end=flash.end,
            edges=self._edges.ctypes.data,
            capacity=CAPACITY,
            flash_reads=self._flash_reads.ctypes.data,
            unaligned_cycles=self._unaligned_cycles.ctypes.data,
            limit=NO_LIMIT,
            op_count=len(ops),
        )
        self._hooks: list[ctypes.c_size_t] = []
        self.reset()
        self._add_hook(unicorn.UC_HOOK_BLOCK, self._library.count_block)

    @property
    def instructions(self) -> int:
        """Instructions since the beginning; `reset` does not touch it."""
        return self._struct.instructions

    @property
    def limit(self) -> int:
        """The run stops when `instructions` exceeds this."""
        return self._struct.limit

    @limit.setter
    def limit(self, value: int) -> None:
        self._struct.limit = value

    def reset(self) -> None:
        """Start counting anew; `instructions` runs on."""
        self._edges[:] = 0
        self._flash_reads[:] = 0
        self._unaligned_cycles[:] = 0
        struct = self._struct
        struct.used = struct.return_address = struct.source = struct.source_size = 0
        struct.slot = struct.op_count

    def count_accesses(self, enabled: bool) -> None:
        """Count memory accesses, too; slows the run down."""
        if enabled:
            kinds = unicorn.UC_HOOK_MEM_READ | unicorn.UC_HOOK_MEM_WRITE
            self._hooks.append(self._add_hook(kinds, self._library.count_access))
        while self._hooks and not enabled:
            self._unicorn.uc_hook_del(self._engine._uch, self._hooks.pop())
        self._engine.ctl_flush_tb()  # code translated without the hooks does not call them

    def counts(self) -> Counts:
        """Everything since the last `reset`.

        Raises:
            SimulationError: if the run stopped because the table of edges is full.
        """
        if self._struct.used > CAPACITY // 4 * 3:
            raise SimulationError(
                f"The run has more than {CAPACITY // 4 * 3} block edges: the image is far larger "
                "than a generated network, or it jumps at random."
            )
        edges = np.sort(self._edges[self._edges["count"] > 0])
        return Counts(
            edges, tuple(map(int, self._flash_reads)), tuple(map(int, self._unaligned_cycles))
        )

    def _add_hook(self, kinds: int, function) -> ctypes.c_size_t:
        handle = ctypes.c_size_t()
        status = self._unicorn.uc_hook_add(
            self._engine._uch, ctypes.byref(handle), kinds, _address_of(function),
            ctypes.addressof(self._struct), 1, 0,
        )  # fmt: skip
        if status != unicorn.UC_ERR_OK:
            raise SimulationError(f"Unicorn refused the compiled hook (error {status}).")
        return handle


def make_counter(engine: unicorn.Uc, code: Memory, flash: Memory, ops: Sequence[int]):
    """The compiled counter, or the Python one where no host compiler is found.

    Args:
        code: region of the image's code.
        flash: region whose data reads are counted.
        ops: address of each op function, in order.
    """
    try:
        return CompiledCounter(engine, code, flash, ops)
    except (ToolchainError, ImportError):
        return PythonCounter(engine, code, flash, ops)


@cache
def _library() -> ctypes.CDLL:
    source = Path(__file__).with_name("block_counter.c")
    with tempfile.TemporaryDirectory() as folder:
        # Once loaded, the library stays in memory without its file.
        return ctypes.CDLL(str(build_shared_library([source], Path(folder) / "block_counter.so")))


def _unicorn_library() -> ctypes.CDLL:
    from unicorn.unicorn_py3.unicorn import uclib

    return uclib


def _address_of(function) -> int:
    return ctypes.cast(function, ctypes.c_void_p).value
