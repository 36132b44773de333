"""The lines `REDS KIND key=value ...` that the firmware prints, on any board or simulator."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from tflm_reds.errors import SimulationError

PREFIX = "REDS "


@dataclass(frozen=True)
class Record:
    """One line: its kind (BOOT, RESULT, SWITCH, STACK, ARENA, FAULT, DONE) and its values."""

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
            raise SimulationError(
                f"The record {self.kind} of the firmware has no integer {key}: {self.values}. "
                "Firmware and host are of different versions; build again."
            ) from error


def parse_records(console: str) -> tuple[Record, ...]:
    """The records among the lines of `console`; other output and cut-off lines are left out."""
    lines = [line.split() for line in console.split("\n")[:-1] if line.startswith(PREFIX)]
    return tuple(_record(*words) for _, *words in lines if words)


def _record(kind: str, *pairs: str) -> Record:
    return Record(kind, dict(pair.split("=", 1) for pair in pairs if "=" in pair))


def find_record(records: Iterable[Record], kind: str) -> Record | None:
    """The last record of `kind`, or None."""
    return next((record for record in reversed(tuple(records)) if record.kind == kind), None)


def check_records(records: tuple[Record, ...], build: str) -> None:
    """Check that a run came from this build, ended by itself, and failed nowhere.

    Raises:
        SimulationError: telling which record is missing or wrong.
    """
    if fault := find_record(records, "FAULT"):
        details = " ".join(f"{key}={value}" for key, value in fault.values.items())
        raise SimulationError(f"The firmware reported a fault: {details}.")
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
