"""Reads the metrics that Renode records with `machine EnableProfiler`.

The layout is that of Renode 1.16.1 (Logging/Profiler in renode-infrastructure, and
tools/metrics_analyzer): little-endian, a header, then entries of four kinds as they happened.
"""

import struct
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from tflm_reds.errors import SimulationError

TICKS_A_MILLISECOND = 10_000
ENTRY = struct.Struct("<qdB")  # host ticks of 100 ns, virtual milliseconds, kind
INSTRUCTIONS, MEMORY, PERIPHERAL, EXCEPTION = range(4)
CONTENTS = {
    INSTRUCTIONS: struct.Struct("<iQ"),  # CPU, instructions executed so far
    MEMORY: struct.Struct("<c"),  # MEMORY_READ or MEMORY_WRITE
    PERIPHERAL: struct.Struct("<cQ"),  # PERIPHERAL_READ or PERIPHERAL_WRITE, address
    EXCEPTION: struct.Struct("<Q"),  # number
}
PERIPHERAL_READ, PERIPHERAL_WRITE, MEMORY_READ, MEMORY_WRITE = (bytes([i]) for i in range(4))

Entries = list[tuple]


@dataclass(frozen=True)
class Metrics:
    """What happened in one emulation.

    Each entry begins with the host's milliseconds since the first one and the virtual milliseconds.
    The methods are those of Renode's own MetricsParser, so that renode-colab-tools takes this
    object, too.

    Attributes:
        cpus: name by number.
        peripherals: (first, last address) by name.
        entries: by kind.
    """

    cpus: Mapping[int, str]
    peripherals: Mapping[str, tuple[int, int]]
    entries: Mapping[int, Entries]

    def get_instructions_entries(self) -> tuple[Mapping[int, str], Entries]:
        """CPUs, and (host ms, virtual ms, CPU, instructions executed so far)."""
        return self.cpus, self.entries[INSTRUCTIONS]

    def get_memory_entries(self) -> Entries:
        """(host ms, virtual ms, MEMORY_READ or MEMORY_WRITE)."""
        return self.entries[MEMORY]

    def get_peripheral_entries(self) -> tuple[Mapping[str, tuple[int, int]], Entries]:
        """Peripherals, and (host ms, virtual ms, PERIPHERAL_READ or _WRITE, address)."""
        return self.peripherals, self.entries[PERIPHERAL]

    def get_exceptions_entries(self) -> Entries:
        """(host ms, virtual ms, number)."""
        return self.entries[EXCEPTION]


def read_metrics(path: str | Path) -> Metrics:
    """Read a file of `machine EnableProfiler`; an entry that is cut off at its end is left out.

    Raises:
        SimulationError: if the file is missing, or is no such file.
    """
    try:
        content = Path(path).read_bytes()
        cpus, peripherals, offset = _read_header(content)
    except (OSError, struct.error, UnicodeDecodeError, ValueError) as error:
        raise SimulationError(
            f"{path} holds no metrics of Renode ({error}). Record them again: renode-test "
            "--include metrics <model>.robot."
        ) from error
    return Metrics(cpus, peripherals, _read_entries(content, offset, str(path)))


def _read_header(content: bytes) -> tuple[dict[int, str], dict[str, tuple[int, int]], int]:
    """CPUs, peripherals, and where the entries begin."""
    cpus, peripherals, offset = {}, {}, 0

    def read(layout: str) -> tuple:
        nonlocal offset
        values = struct.unpack_from(layout, content, offset)
        offset += struct.calcsize(layout)
        return values

    def read_name() -> str:
        (length,) = read("<i")
        return read(f"{length}s")[0].decode("ascii")

    for _ in range(*read("<i")):
        (number,) = read("<i")
        cpus[number] = read_name()
    for _ in range(*read("<i")):
        name = read_name()
        peripherals[name] = read("<2Q")
    return cpus, peripherals, offset


def _read_entries(content: bytes, offset: int, path: str) -> dict[int, Entries]:
    entries: dict[int, Entries] = {kind: [] for kind in CONTENTS}
    first = None
    while offset + ENTRY.size <= len(content):
        ticks, virtual, kind = ENTRY.unpack_from(content, offset)
        if kind not in CONTENTS:
            raise SimulationError(
                f"{path} is damaged: an entry of the unknown kind {kind} at byte {offset}."
            )
        layout = CONTENTS[kind]
        offset += ENTRY.size
        if offset + layout.size > len(content):
            break
        first = ticks if first is None else first
        time = (ticks - first) / TICKS_A_MILLISECOND, virtual
        entries[kind].append((*time, *layout.unpack_from(content, offset)))
        offset += layout.size
    return entries
