"""The few registers that the bare image touches, served to Unicorn."""

from collections.abc import Callable
from dataclasses import dataclass, field

from tflm_reds.boards.schema import Memory
from tflm_reds.errors import SimulationError

PAGE = 0x1000
SYSTEM_CONTROL = 0xE000E000
CYCLE_COUNTER = 0xE0001000


@dataclass
class Registers:
    """Plain storage: a register reads back what was written. 0xE000E000, NVMC."""

    values: dict[int, int] = field(default_factory=dict)

    def read(self, offset: int) -> int:
        """Value of the register at `offset`."""
        return self.values.get(offset, 0)

    def write(self, offset: int, value: int) -> None:
        """Store `value`."""
        self.values[offset] = value


class Clock(Registers):
    """CLOCK: the crystal runs as soon as it is started."""

    HFCLKSTART, HFCLKSTARTED = 0x000, 0x100

    def write(self, offset: int, value: int) -> None:
        """Store `value`; start the crystal."""
        super().write(offset, value)
        if offset == self.HFCLKSTART:
            super().write(self.HFCLKSTARTED, 1)


@dataclass
class CycleCounter(Registers):
    """DWT: CYCCNT counts instructions, as in Renode; cycles are only modelled."""

    instructions: Callable[[], int] = lambda: 0
    CYCCNT = 0x004

    def read(self, offset: int) -> int:
        """Value of the register at `offset`."""
        if offset == self.CYCCNT:
            return self.instructions() & 0xFFFFFFFF
        return super().read(offset)


@dataclass
class Uarte(Registers):
    """UARTE: sends TXD.MAXCNT bytes from TXD.PTR by DMA, which reaches RAM only."""

    read_memory: Callable[[int, int], bytes] = lambda address, size: b""
    ram: Memory = Memory(0, 0)  # noqa: RUF009 (frozen)
    sent: bytearray = field(default_factory=bytearray)

    STARTTX, ENDTX, ENABLE, PTR, MAXCNT, ENABLED = 0x008, 0x120, 0x500, 0x544, 0x548, 8

    def write(self, offset: int, value: int) -> None:
        """Store `value`; send on TASKS_STARTTX.

        Raises:
            SimulationError: if the UARTE is off, or the buffer is not in RAM.
        """
        super().write(offset, value)
        if offset == self.STARTTX and value:
            self._send(self.read(self.PTR), self.read(self.MAXCNT))
            super().write(self.ENDTX, 1)

    def _send(self, start: int, size: int) -> None:
        if self.read(self.ENABLE) != self.ENABLED:
            raise SimulationError("The firmware sends by the UARTE without enabling it first.")
        if not self.ram.origin <= start <= start + size <= self.ram.end:
            raise SimulationError(
                f"The firmware sends {size} bytes at {start:#010x} by the UARTE, whose DMA reaches "
                "RAM only. Copy the text to RAM first."
            )
        self.sent += self.read_memory(start, size)
