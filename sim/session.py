"""A booted image whose functions can be called, in any simulator."""

import struct
from collections.abc import Mapping
from typing import Protocol

import numpy as np

from tflm_reds.codegen.firmware import Firmware
from tflm_reds.errors import DataError, SimulationError
from tflm_reds.sim.elf import Elf
from tflm_reds.sim.protocol import RunResult, SubnetRun
from tflm_reds.sim.records import Record, check_records, find_record, parse_records


class Memory(Protocol):
    """What a session needs of its machine."""

    def read(self, address: int, size: int) -> bytes:
        """Bytes of memory."""

    def write(self, address: int, data: bytes) -> None:
        """Set bytes of memory."""


class Session:
    """A booted image; a subclass says how functions are called and counted.

    Attributes:
        console, records: what the image printed while it booted.
        boot_instructions: from reset to the final record.
    """

    firmware: Firmware
    elf: Elf
    machine: Memory
    boot_instructions: int
    console: str
    records: tuple[Record, ...]

    def call(self, symbol: str, *arguments: int) -> int:
        """Call a function of the image with up to four 32-bit arguments; return r0."""
        raise NotImplementedError

    def measure(self, subnet: int, x: np.ndarray) -> SubnetRun:
        """Count one inference of `subnet` on one int8 input, its first and its second run."""
        raise NotImplementedError

    def invoke(self, subnet: int, x: np.ndarray) -> np.ndarray:
        """Run `subnet` on one int8 input of any shape; return the int8 output, flat.

        Raises:
            DataError: if `x` has another size or dtype than the model's input.
            SimulationError: if the image faults or refuses the subnet.
        """
        self._write_input(x)
        if status := self.call("firmware_invoke", subnet):
            raise SimulationError(
                f"Subnet {subnet} of {self.firmware.model} was refused with status {status} "
                "(reds_status in reds.h)."
            )
        size = self.firmware.samples.outputs.shape[-1]
        return np.frombuffer(self.machine.read(self.address("firmware_output"), size), np.int8)

    def run(self, subnet: int, x: np.ndarray) -> np.ndarray:
        """Run `subnet` on int8 `x` [n, ...]; return int8 [n, output bytes]."""
        return np.stack([self.invoke(subnet, row) for row in x])

    def address(self, name: str) -> int:
        """Of a function or an object of the image."""
        return self.elf.symbol(name).address

    def write_word(self, name: str, value: int) -> None:
        """Set a 32-bit variable of the image."""
        self.machine.write(self.address(name), struct.pack("<I", value & 0xFFFFFFFF))

    def accept_boot(self, console: str, instructions: int) -> None:
        """Keep what the boot printed, and check that it ended well.

        Raises:
            SimulationError: if the image was another build, faulted, or reports failures.
        """
        self.console, self.boot_instructions = console, instructions
        self.records = parse_records(console)
        check_records(self.records, self.firmware.build, self.elf.describe)

    def high_water(self, kind: str) -> int:
        """Bytes that were used of STACK or ARENA."""
        record = find_record(self.records, kind)
        if record is None:
            raise SimulationError(f"The firmware did not print the record {kind}. Build it again.")
        return record.integer("used")

    def inference(self, subnet: int) -> tuple[str, int, int, int]:
        """Name and arguments of the call whose instructions are those of an inference."""
        self.write_word("firmware_subnet", subnet)
        buffers = ("firmware_state", "firmware_input", "firmware_output")
        return ("reds_invoke", *map(self.address, buffers))

    def _write_input(self, x: np.ndarray) -> None:
        size = self.firmware.samples.inputs.shape[1]
        if x.size != size or x.dtype != np.int8:
            raise DataError(
                f"{self.firmware.model} takes one int8 input of {size} values, got {x.size} of "
                f"{x.dtype}."
            )
        self.machine.write(self.address("firmware_input"), x.tobytes())


def run_samples(session: Session, simulator: str, relinked: bool = False) -> RunResult:
    """Run the embedded samples, then measure every subnet on the first one."""
    firmware, samples = session.firmware, session.firmware.samples
    subnets = range(len(samples.outputs))
    outputs = np.stack([session.run(subnet, samples.inputs) for subnet in subnets])
    return RunResult(
        simulator=simulator,
        model=firmware.model,
        build=firmware.build,
        records=session.records,
        console=session.console,
        outputs=outputs,
        subnets=tuple(session.measure(subnet, samples.inputs[0]) for subnet in subnets),
        instructions=session.boot_instructions,
        stack_bytes=session.high_water("STACK"),
        arena_bytes=session.high_water("ARENA"),
        relinked=relinked,
    )


def by_name(elf: Elf, blocks: Mapping[int, int]) -> dict[str, int]:
    """Instructions by function, without what it calls, from instructions by address of a block.

    Hexadecimal where there is no symbol.
    """
    counts: dict[str, int] = {}
    for address, instructions in blocks.items():
        name = elf.locate(address).partition("+")[0]
        counts[name] = counts.get(name, 0) + instructions
    return counts
