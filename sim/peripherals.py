"""The few registers that the bare image touches, served to Unicorn."""

from collections.abc import Callable

from tflm_reds.boards.schema import Memory
from tflm_reds.errors import SimulationError

PAGE = 0x1000
SYSTEM_CONTROL = 0xE000E000
CYCLE_COUNTER = 0xE0001000


class Registers:
    """A page of registers that read back what was written; enough for SCB and NVMC."""

    def __init__(self) -> None:
        self._values: dict[int, int] = {}

    def read(self, offset: int) -> int:
        """Value of the register at `offset`."""
        return self._values.get(offset, 0)

    def write(self, offset: int, value: int) -> None:
        """Store `value`, and do what the register does."""
        self._values[offset] = value


class Clock(Registers):
    """CLOCK: the crystal runs as soon as it is started."""

    HFCLKSTART, HFCLKSTARTED = 0x000, 0x100

    def write(self, offset: int, value: int) -> None:
        """Store `value`; TASKS_HFCLKSTART raises its event."""
        super().write(offset, value)
        if offset == self.HFCLKSTART:
            super().write(self.HFCLKSTARTED, 1)


class CycleCounter(Registers):
    """DWT: CYCCNT counts instructions, as in Renode; cycles are only modelled.

    Args:
        instructions: returns how many have run.
    """

    CYCCNT = 0x004

    def __init__(self, instructions: Callable[[], int]) -> None:
        super().__init__()
        self._instructions = instructions

    def read(self, offset: int) -> int:
        """Value of the register at `offset`."""
        if offset == self.CYCCNT:
            return self._instructions() & 0xFFFFFFFF
        return super().read(offset)


class Uarte(Registers):
    """UARTE: sends TXD.MAXCNT bytes from TXD.PTR by DMA, which reaches RAM only.

    Args:
        read_memory: returns the bytes at (address, size).
        ram: what the DMA reaches.
    """

    STARTTX, ENDTX, ENABLE, PTR, MAXCNT, ENABLED = 0x008, 0x120, 0x500, 0x544, 0x548, 8

    def __init__(self, read_memory: Callable[[int, int], bytes], ram: Memory) -> None:
        super().__init__()
        self._read_memory, self._ram = read_memory, ram
        self.sent = bytearray()

    def write(self, offset: int, value: int) -> None:
        """Store `value`; TASKS_STARTTX sends at once.

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
        if not self._ram.origin <= start <= start + size <= self._ram.end:
            raise SimulationError(
                f"The firmware sends {size} bytes at {start:#010x} by the UARTE, whose DMA reaches "
                "RAM only. Copy the text to RAM first."
            )
        self.sent += self._read_memory(start, size)
