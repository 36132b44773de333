"""The lines `REDS KIND key=value ...` that the firmware prints, on any board or simulator."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

from tflm_reds.errors import SimulationError

PREFIX = "REDS "
# Bits of the Configurable Fault Status Register: Armv7-M ARM (DDI 0403), B3.2.15; 20: Armv8-M's.
FAULTS = {
    0: "jump to memory that holds no code",
    1: "forbidden access",
    8: "jump to unmapped memory",
    9: "access to unmapped memory",
    10: "late access to unmapped memory",
    12: "stack overflow",
    16: "undefined instruction",
    17: "jump to an even address",
    18: "invalid return address",
    19: "instruction of the FPU, which is switched off",
    20: "stack overflow",
    24: "unaligned access",
    25: "division by zero",
}
ADDRESS_IS_VALID = 1 << 15
NO_FRAME = 0  # the pc that startup.c reports when the stack pointer was outside of the stack


@dataclass(frozen=True)
class Record:
    """One line: its kind and its values.

    Kinds: BOOT, RESULT, SWITCH, STACK, ARENA, DONE; when something is wrong, CORRUPT or FAULT.
    """

    kind: str
    values: Mapping[str, str]

    def integer(self, key: str) -> int:
        """The decimal value of `key`.

        Raises:
            SimulationError: if the record lacks `key` or its value is no integer.
        """
        try:
            return int(self.values[key])
        except (KeyError, ValueError) as error:
            raise self._invalid(key) from error

    def hexadecimal(self, key: str) -> int:
        """The hexadecimal value of `key`.

        Raises:
            SimulationError: if the record lacks `key` or its value is no such number.
        """
        try:
            return int(self.values[key], 16)
        except (KeyError, ValueError) as error:
            raise self._invalid(key) from error

    def _invalid(self, key: str) -> SimulationError:
        return SimulationError(
            f"The record {self.kind} of the firmware has no number {key}: {dict(self.values)}. "
            "Firmware and host are of different versions; build again."
        )


def parse_records(console: str) -> tuple[Record, ...]:
    """The records among the lines of `console`; other output and cut-off lines are left out."""
    lines = [line.split() for line in console.split("\n")[:-1] if line.startswith(PREFIX)]
    return tuple(_record(*words) for _, *words in lines if words)


def _record(kind: str, *pairs: str) -> Record:
    return Record(kind, dict(pair.split("=", 1) for pair in pairs if "=" in pair))


def find_record(records: Iterable[Record], kind: str) -> Record | None:
    """The last record of `kind`, or None."""
    return next((record for record in reversed(tuple(records)) if record.kind == kind), None)


def describe_fault(fault: Record, locate: Callable[[int], str] = "{:#010x}".format) -> str:
    """What a FAULT record says: what happened, where, and with which subnet.

    Args:
        locate: names an address, as `Elf.describe` does.
    """
    status, address, pc = map(fault.hexadecimal, ("cfsr", "address", "pc"))
    active = active_subnet(fault.integer("subnet"))
    if pc == NO_FRAME:
        return f"stack overflow, {active}"
    causes = [cause for bit, cause in FAULTS.items() if status >> bit & 1]
    what = " and ".join(causes) or "hard fault of unknown cause"  # M0 and M0+ do not tell it
    where = f" {address:#010x}" if status & ADDRESS_IS_VALID else ""
    return f"{what}{where}, at {locate(pc)} (pc {pc:#010x}), {active}"


def active_subnet(subnet: int) -> str:
    """The value of `firmware_subnet` (main.c) in words."""
    return f"while subnet {subnet} ran" if subnet >= 0 else "outside of an inference"


def check_records(
    records: tuple[Record, ...], build: str, locate: Callable[[int], str] = "{:#010x}".format
) -> None:
    """Check that a run came from this build, ended by itself, and failed nowhere.

    Args:
        locate: as for `describe_fault`.

    Raises:
        SimulationError: telling which record is missing or wrong.
    """
    if fault := find_record(records, "FAULT"):
        raise SimulationError(f"The firmware reported a fault: {describe_fault(fault, locate)}.")
    if corrupt := find_record(records, "CORRUPT"):
        crc, expected = map(corrupt.hexadecimal, ("crc", "expected"))
        raise SimulationError(
            f"The image in flash is damaged: its CRC-32 is {crc:08x}, not {expected:08x} as built. "
            "Weights, tables or code are not those of the build; load it again."
        )
    boot, done = find_record(records, "BOOT"), find_record(records, "DONE")
    if boot is None or boot.values.get("build") != build:
        found = "none" if boot is None else f"build {boot.values.get('build')}"
        raise SimulationError(
            f"Expected the boot record of build {build}, got {found}: another image ran. "
            "Build and run again in one folder."
        )
    if done is None:
        last = records[-1].kind
        raise SimulationError(
            f"The firmware stopped without its final record `REDS DONE`; the last one was {last}."
        )
    if failures := done.integer("failures"):
        raise SimulationError(
            f"{failures} results of the firmware differ from the reference: "
            f"{_wrong_results(records) or 'after random switches'}."
        )


def _wrong_results(records: Iterable[Record]) -> str:
    return ", ".join(
        f"subnet {record.values['subnet']} sample {record.values['sample']} "
        f"(crc {record.values['crc']}, expected {record.values['expected']})"
        for record in records
        if record.kind == "RESULT" and record.integer("failed")
    )
