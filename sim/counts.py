"""Counts of executed (previous block, block) edges, by op: what both counters return."""

from dataclasses import dataclass

import numpy as np

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
        fetches: lines of code in flash that the instruction cache did not hold, by slot (likewise;
            it is empty at first).
        unaligned_cycles: 1 for each halfword-aligned, 2 for each byte-aligned access that should
            be aligned better, by slot (likewise).
    """

    edges: np.ndarray
    flash_reads: tuple[int, ...]
    unaligned_cycles: tuple[int, ...]
    fetches: tuple[int, ...]

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
            (self.fetches[slot],),
        )
