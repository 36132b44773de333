"""The counts of `python_counter` by compiled hooks, which Unicorn calls without Python between."""

import ctypes
import tempfile
from functools import cache
from pathlib import Path

import numpy as np
import unicorn

from tflm_reds.boards.schema import Memory, Timing
from tflm_reds.codegen.toolchain import build_shared_library
from tflm_reds.errors import SimulationError
from tflm_reds.sim.counts import EDGE, Counts
from tflm_reds.sim.op_table import OP_BYTES, OpTable

CAPACITY = 1 << 16
NO_LIMIT = (1 << 64) - 1


class _CounterStruct(ctypes.Structure):
    """`counter` of block_counter.c."""

    _fields_ = (
        ("read_memory", ctypes.c_void_p), ("read_register", ctypes.c_void_p),
        ("write_register", ctypes.c_void_p), ("stop", ctypes.c_void_p),
        ("run_op", ctypes.c_uint32),
        ("op_table", ctypes.c_uint32), ("op_bytes", ctypes.c_uint32),
        ("flash_start", ctypes.c_uint32), ("flash_end", ctypes.c_uint32),
        ("edges", ctypes.c_void_p), ("capacity", ctypes.c_uint32), ("used", ctypes.c_uint32),
        ("flash_reads", ctypes.c_void_p), ("unaligned_cycles", ctypes.c_void_p),
        ("instructions", ctypes.c_uint64), ("limit", ctypes.c_uint64),
        ("op_count", ctypes.c_uint32), ("slot", ctypes.c_uint32),
        ("return_address", ctypes.c_uint32), ("source", ctypes.c_uint32),
        ("source_size", ctypes.c_uint32),
        ("cache", ctypes.c_void_p), ("lines", ctypes.c_uint32), ("held", ctypes.c_uint32),
        ("line_bytes", ctypes.c_uint32), ("fetches", ctypes.c_void_p),
    )  # fmt: skip


class CompiledCounter:
    """The same counts as `PythonCounter` by compiled hooks that Unicorn calls directly."""

    def __init__(
        self,
        engine: unicorn.Uc,
        flash: Memory,
        ops: OpTable,
        timing: Timing = Timing(),
    ):
        self._engine, self._library, self._unicorn = engine, _library(), _unicorn_library()
        self._edges = np.zeros(CAPACITY, EDGE)
        self._flash_reads = np.zeros(len(ops.names) + 1, np.uint64)
        self._unaligned_cycles = np.zeros(len(ops.names) + 1, np.uint64)
        self._fetches = np.zeros(len(ops.names) + 1, np.uint64)
        self._lines = timing.cache_bytes // max(timing.cache_line_bytes, 1)
        self._cache = np.zeros(self._lines, np.uint32)
        self._struct = _CounterStruct(
            read_memory=_address_of(self._unicorn.uc_mem_read),
            read_register=_address_of(self._unicorn.uc_reg_read),
            write_register=_address_of(self._unicorn.uc_reg_write),
            stop=_address_of(self._unicorn.uc_emu_stop),
            run_op=ops.run_op,
            op_table=ops.start,
            op_bytes=OP_BYTES,
            flash_start=flash.origin,
            flash_end=flash.end,
            edges=self._edges.ctypes.data,
            capacity=CAPACITY,
            flash_reads=self._flash_reads.ctypes.data,
            unaligned_cycles=self._unaligned_cycles.ctypes.data,
            limit=NO_LIMIT,
            op_count=len(ops.names),
            cache=self._cache.ctypes.data,
            line_bytes=timing.cache_line_bytes,
            fetches=self._fetches.ctypes.data,
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
        self._fetches[:] = 0
        struct = self._struct
        struct.held = struct.used = struct.return_address = struct.source = struct.source_size = 0
        struct.slot = struct.op_count

    def count_accesses(self, enabled: bool) -> None:
        """Count memory accesses, too; slows the run down."""
        if enabled:
            kinds = unicorn.UC_HOOK_MEM_READ | unicorn.UC_HOOK_MEM_WRITE
            self._hooks.append(self._add_hook(kinds, self._library.count_access))
        while self._hooks and not enabled:
            self._unicorn.uc_hook_del(self._engine._uch, self._hooks.pop())
        self._struct.lines = self._lines if enabled else 0
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
        by_slot = (self._flash_reads, self._unaligned_cycles, self._fetches)
        return Counts(edges, *(tuple(map(int, counts)) for counts in by_slot))

    def _add_hook(self, kinds: int, function) -> ctypes.c_size_t:
        handle = ctypes.c_size_t()
        status = self._unicorn.uc_hook_add(
            self._engine._uch, ctypes.byref(handle), kinds, _address_of(function),
            ctypes.addressof(self._struct), 1, 0,
        )  # fmt: skip
        if status != unicorn.UC_ERR_OK:
            raise SimulationError(f"Unicorn refused the compiled hook (error {status}).")
        return handle


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
