"""Writes what an image does in Unicorn in the layout of Renode's metrics.

    python -m benchmarks.renode_metrics build/digits examples/renode_metrics.dump

The notebook's example was made so, because Renode cannot be installed everywhere: it is not a
recording of Renode. Times are virtual, one instruction a clock cycle. Accesses to memory are left
out, there are too many of them; those to peripherals and the instructions are all there.
"""

import argparse
import struct
from collections.abc import Iterable
from pathlib import Path

from tflm_reds.boards.schema import Board, Memory, load_board
from tflm_reds.files import write_bytes
from tflm_reds.report import Report
from tflm_reds.sim.elf import Elf
from tflm_reds.sim.machine import Machine
from tflm_reds.sim.op_table import NO_OPS
from tflm_reds.sim.protocol import Limits
from tflm_reds.sim.renode_metrics import (
    CONTENTS,
    ENTRY,
    INSTRUCTIONS,
    PERIPHERAL,
    PERIPHERAL_READ,
    PERIPHERAL_WRITE,
    TICKS_A_MILLISECOND,
)

PERIPHERALS = Memory(0x40000000, 0x20000000)
QUANTUM_MS = 1.0  # of the generated script
BANK_BYTES = 0x1000

Event = tuple[float, int, tuple]
"""(virtual milliseconds, kind, content)"""


def record(board: Board, elf: Path) -> list[Event]:
    """Everything that the image does from reset to its end."""
    machine = Machine(board, Elf.load(elf), NO_OPS)
    per_millisecond = board.clock_hz / 1000
    events: list[Event] = []

    def on_access(is_write: bool, address: int) -> None:
        operation = PERIPHERAL_WRITE if is_write else PERIPHERAL_READ
        time = machine.counter.instructions / per_millisecond
        events.append((time, PERIPHERAL, (operation, address)))

    machine.watch(PERIPHERALS, on_access)
    machine.boot(Limits())
    end = machine.counter.instructions / per_millisecond
    times = [*(QUANTUM_MS * i for i in range(int(end / QUANTUM_MS) + 1)), end]
    events += [(time, INSTRUCTIONS, (0, round(time * per_millisecond))) for time in times]
    return sorted(events, key=lambda event: event[0])


def encode(board: Board, events: Iterable[Event]) -> bytes:
    """A file of Renode's metrics; the host's times are the virtual ones."""
    names = {0: "cpu"}
    header = struct.pack("<i", len(names))
    for number, name in names.items():
        header += struct.pack("<i", number) + _name(name)
    header += struct.pack("<i", len(board.peripherals))
    for name, address in board.peripherals.items():
        header += _name(name) + struct.pack("<2Q", address, address + BANK_BYTES - 1)
    entries = [
        ENTRY.pack(round(time * TICKS_A_MILLISECOND), time, kind) + CONTENTS[kind].pack(*content)
        for time, kind, content in events
    ]
    return header + b"".join(entries)


def _name(name: str) -> bytes:
    return struct.pack("<i", len(name)) + name.encode("ascii")


def main() -> None:
    """Write the file."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("build", type=Path, help="folder of python -m tflm_reds.build")
    parser.add_argument("output", type=Path)
    arguments = parser.parse_args()
    report = Report.load(arguments.build / "report.json")
    board = load_board(report.board)
    elf = arguments.build / "firmware" / f"{report.model}.elf"
    write_bytes(arguments.output, encode(board, record(board, elf)))


if __name__ == "__main__":
    main()
