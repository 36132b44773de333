"""The few registers that the bare images touch, served to Unicorn."""

from collections.abc import Callable, Mapping

from tflm_reds.boards.schema import Memory
from tflm_reds.errors import SimulationError

SYSTEM_CONTROL = 0xE000E000
CYCLE_COUNTER = 0xE0001000
WORD = 0xFFFFFFFF


class Registers:
    """Registers that read back what was written.

    Args:
        ready: bits that always read as set, by offset: what firmware waits for is there at once.
    """

    def __init__(self, ready: Mapping[int, int] | None = None) -> None:
        self._values: dict[int, int] = {}
        self._ready = ready or {}

    def read(self, offset: int) -> int:
        """Value of the register at `offset`."""
        return self._values.get(offset, 0) | self._ready.get(offset, 0)

    def has_set(self, offset: int, bits: int) -> bool:
        """Whether all of `bits` are set in the register at `offset`."""
        return self.read(offset) & bits == bits

    def write(self, offset: int, value: int) -> None:
        """Store `value`, and do what the register does."""
        self._values[offset] = value


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
            return self._instructions() & WORD
        return super().read(offset)


class SystemControl(Registers):
    """SCB, and SysTick, which counts instructions down in 24 bits.

    Args:
        instructions: returns how many have run.
        on_wrap: called with how often the 24 bits were used up, whenever the counter is read; it
            does what the exception would have done, which Unicorn does not model.
    """

    VALUE, BITS = 0x018, 24

    def __init__(self, instructions: Callable[[], int], on_wrap: Callable[[int], None]) -> None:
        super().__init__()
        self._instructions, self._on_wrap, self._start = instructions, on_wrap, 0

    def read(self, offset: int) -> int:
        """Value of the register at `offset`."""
        if offset != self.VALUE:
            return super().read(offset)
        wraps, ticks = divmod(self._instructions() - self._start, 1 << self.BITS)
        self._on_wrap(wraps)
        return (1 << self.BITS) - 1 - ticks

    def write(self, offset: int, value: int) -> None:
        """Store `value`; writing the counter sets it to its start."""
        super().write(offset, value)
        if offset == self.VALUE:
            self._start = self._instructions()


class BytePort(Registers):
    """A serial port that sends each byte written to one register."""

    def __init__(self, data: int, ready: Mapping[int, int]) -> None:
        super().__init__(ready)
        self._data = data
        self.sent = bytearray()

    def write(self, offset: int, value: int) -> None:
        """Store `value`, or send it."""
        if offset == self._data:
            self.sent.append(value & 0xFF)
        else:
            super().write(offset, value)


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
