"""Exact counts of executed blocks in Unicorn by Python hooks.

UC_HOOK_CODE would be simpler but does not fire for instructions that an IT block skips; blocks
times their length is what an independent QEMU plug-in counts, too.
"""

import numpy as np
import unicorn
from unicorn.arm_const import UC_ARM_REG_CPSR, UC_ARM_REG_LR, UC_ARM_REG_R1

from tflm_reds.boards.schema import Memory, Timing
from tflm_reds.sim.counts import EDGE, Counts
from tflm_reds.sim.op_table import OpTable

NO_LIMIT = (1 << 64) - 1
IT_BITS = 0x0600FC00


class PythonCounter:
    """Counts by Python hooks: the fallback when no host compiler is there. 20 times slower."""

    def __init__(
        self,
        engine: unicorn.Uc,
        flash: Memory,
        ops: OpTable,
        timing: Timing = Timing(),
    ):
        self.engine, self.flash, self.ops = engine, flash, ops
        self.op_count = len(ops.names)
        self.line_bytes = timing.cache_line_bytes
        self.lines = timing.cache_bytes // self.line_bytes if self.line_bytes else 0
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
        self.fetches = [0] * (self.op_count + 1)
        self._cache: dict[int, None] = {}  # lines, the latest used last
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
        return Counts(
            edges, tuple(self.flash_reads), tuple(self.unaligned_cycles), tuple(self.fetches)
        )

    def _count_block(self, engine, address, size, _) -> None:
        if address == self.ops.run_op:
            self._return_address = engine.reg_read(UC_ARM_REG_LR) & ~1
            self._slot = self.ops.index(engine.reg_read(UC_ARM_REG_R1))
        elif address == self._return_address:
            self._return_address, self._slot = 0, self.op_count
        block = (address, size)
        key = (self._source, block, self._slot)
        self._edges[key] = self._edges.get(key, 0) + 1
        self.instructions += self._instructions(block)
        self._source = block
        if self._hooks and self.lines and self.flash.origin <= address < self.flash.end:
            self._fetch(address, size)
        if self.instructions > self.limit:
            engine.emu_stop()

    def _fetch(self, address: int, size: int) -> None:
        """Least recently used lines leave the cache."""
        for line in range(address // self.line_bytes, (address + size - 1) // self.line_bytes + 1):
            if line not in self._cache:
                self.fetches[self._slot] += 1
                if len(self._cache) == self.lines:
                    del self._cache[next(iter(self._cache))]
            self._cache[line] = self._cache.pop(line, None)

    def _count_access(self, engine, access, address, size, _value, _) -> None:
        status = engine.reg_read(UC_ARM_REG_CPSR)
        if status & IT_BITS:  # Unicorn issue 2309: see block_counter.c
            engine.reg_write(UC_ARM_REG_CPSR, status & ~IT_BITS)
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
