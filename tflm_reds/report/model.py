"""Report: what one build measured. A value that was not obtained is None, never a guess."""

import dataclasses
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tflm_reds.errors import ModelError
from tflm_reds.files import write_text

SCHEMA = 1
HOST = "measured on host"
SIMULATED = "simulated"
MODELLED = "modelled"
GENERATED = "counted in the generated code"
SILICON = "measured on silicon"


def _measured(unit: str, source: str) -> Any:
    return field(default=None, metadata={"unit": unit, "source": source})


@dataclass(frozen=True)
class Measurement:
    """A value with its unit and where it comes from."""

    value: Any
    unit: str
    source: str


@dataclass(frozen=True)
class SubnetRow:
    """Everything known about one subnet; intervals are (low, high)."""

    index: int
    budget: float
    widths: Mapping[str, int]
    macs: int = _measured("MACs", GENERATED)
    mac_fraction: float = _measured("of the full network", GENERATED)
    accuracy_float: float | None = _measured("fraction", HOST)
    accuracy_int8: float | None = _measured("fraction", HOST)
    samples: int | None = _measured("test samples", HOST)
    instructions: Mapping[str, int | None] | None = _measured("instructions", SIMULATED)
    instructions_per_op: Mapping[str, int] | None = _measured("instructions", SIMULATED)
    cycles_modelled: tuple[int, int] | None = _measured("cycles", MODELLED)
    cycles_modelled_ws0: int | None = _measured("cycles", MODELLED)
    cycles_modelled_ws2: int | None = _measured("cycles", MODELLED)
    ms_modelled: tuple[float, float] | None = _measured("ms", MODELLED)
    energy_uj_modelled: tuple[float, float] | None = _measured("uJ", MODELLED)
    cycles_silicon: tuple[int, int] | None = _measured("cycles", SILICON)
    ms_silicon: tuple[float, float] | None = _measured("ms", SILICON)
    arena_bytes: int | None = _measured("B", GENERATED)
    flash_bytes: int | None = _measured("B", GENERATED)
    table_bytes: int | None = _measured("B", GENERATED)
    first_after_switch_instructions: int | None = _measured(
        "instructions more than the next invocation", SIMULATED
    )
    differing_bytes: Mapping[str, int | None] | None = _measured("B", HOST)
    compared_inputs: int | None = _measured("inputs", HOST)

    def measurement(self, name: str) -> Measurement:
        """The field `name` with its unit and source."""
        metadata = type(self).__dataclass_fields__[name].metadata
        return Measurement(getattr(self, name), metadata["unit"], metadata["source"])


@dataclass(frozen=True)
class Alternative:
    """A candidate for an op, and what it takes in each subnet; empty: its kernel refuses it."""

    kernel: str
    scratch_bytes: int
    costs: tuple[int, ...]


@dataclass(frozen=True)
class OpChoice:
    """What was chosen for one op, and why.

    Attributes:
        name: of the layers that it computes.
        why_kernel: the reason for `kernel`, with the others' costs as multiples of its cost.
        candidates: what was measured, the choice by shape first; empty where nothing was.
        scratch_bytes: scratch memory given to it, one of `scratch_candidates` (largest first).
        why: the reason for the scratch memory.
        output: where in the arena its output lies.
    """

    name: str
    kernel: str
    scratch_bytes: int
    scratch_candidates: tuple[int, ...]
    why: str
    output: str
    why_kernel: str = ""
    candidates: tuple[Alternative, ...] = ()


@dataclass(frozen=True)
class PlanFacts:
    """How the widths were found."""

    status: str
    gap: float
    seconds: float
    direction: str
    objective: str


@dataclass(frozen=True)
class SiliconRun:
    """What ran on the real board: "bare image" or "Arduino sketch", and its build hash."""

    image: str
    build: str


@dataclass(frozen=True)
class Report:
    """The result of `python -m tflm_reds.build`.

    Attributes:
        live_bytes: what the full network's tensors need in RAM at one time, at least; the arena
            adds scratch and alignment.
        cost_unit: of the costs of the ops' candidates; None: nothing was measured.
        energy: the board's voltage and interval of the current, which the modelled energy is of.
        silicon: where `cycles_silicon` come from; None: no board was read.
    """

    model: str
    board: str
    toolchain: str
    seed: int
    build_hash: str
    plan: PlanFacts
    subnets: tuple[SubnetRow, ...]
    flash_bytes: Mapping[str, int]
    switch_instructions: int | None = None
    stack_bytes: int | None = None
    arena_used_bytes: int | None = None
    ram_bytes: int | None = None
    live_bytes: int | None = None
    optimize: str = "speed"
    cost_unit: str | None = None
    energy: Mapping[str, Any] | None = None
    ops: tuple[OpChoice, ...] = ()
    relinked: bool = False
    silicon: SiliconRun | None = None
    notes: tuple[str, ...] = ()
    versions: Mapping[str, str] = field(default_factory=dict)
    schema: int = SCHEMA

    def to_dict(self) -> dict:
        """JSON-ready form, with a legend of units and sources."""
        legend = {f.name: dict(f.metadata) for f in dataclasses.fields(SubnetRow) if f.metadata}
        return dataclasses.asdict(self) | {"fields": legend}

    def save(self, path: str | Path) -> Path:
        """Write `report.json`."""
        return write_text(path, json.dumps(self.to_dict(), indent=1) + "\n")

    @classmethod
    def load(cls, path: str | Path) -> "Report":
        """Read a file written by `save`.

        Raises:
            ModelError: if the file is missing or corrupt.
        """
        try:
            return report_from_dict(json.loads(Path(path).read_text()))
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise ModelError(f"{path} is not a report ({error}). Run the build again.") from error


def report_from_dict(values: Mapping[str, Any]) -> Report:
    """The report in what `to_dict` gave; further keys are ignored."""
    known = {f.name for f in dataclasses.fields(Report)}
    rows = tuple(SubnetRow(**_tuples(row)) for row in values["subnets"])
    rest = _tuples({k: v for k, v in values.items() if k in known})
    ops = tuple(map(_op_choice, values.get("ops", ())))
    silicon = SiliconRun(**values["silicon"]) if values.get("silicon") else None
    parts = {"plan": PlanFacts(**values["plan"]), "subnets": rows, "ops": ops, "silicon": silicon}
    return Report(**rest | parts)


def _op_choice(values: Mapping[str, Any]) -> OpChoice:
    candidates = tuple(Alternative(**_tuples(one)) for one in values.get("candidates", ()))
    return OpChoice(**_tuples(values) | {"candidates": candidates})


def _tuples(values: Mapping[str, Any]) -> dict:
    return {k: tuple(v) if isinstance(v, list) else v for k, v in values.items()}
