"""What every simulator takes and returns."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from tflm_reds.codegen.firmware import Firmware
from tflm_reds.sim.cycles import CycleEstimate
from tflm_reds.sim.records import Record


@dataclass(frozen=True)
class Limits:
    """A run that passes one of these is stopped: instructions, and seconds on this host."""

    instructions: int = 50_000_000_000
    seconds: float = 600.0


@dataclass(frozen=True)
class SubnetRun:
    """One inference of one subnet, from the entry of reds_invoke to its return.

    Attributes:
        instructions: exact; the inference has run before, without a switch in between.
        first_instructions: the same inference directly after a switch from another subnet.
        switch_instructions: of the call of reds_set_subnet.
        per_op: exact instructions of each op; the rest is the executor's.
        flash_reads: data reads from flash.
        cycles: modelled, not measured; None for a core without a cycle model.
        cycles_per_op: likewise, the executor left out.
    """

    subnet: int
    instructions: int
    first_instructions: int
    switch_instructions: int
    per_op: Mapping[str, int]
    flash_reads: int
    cycles: CycleEstimate | None
    cycles_per_op: Mapping[str, CycleEstimate | None]


@dataclass(frozen=True)
class RunResult:
    """A run that ended with its final record and no failure.

    Attributes:
        outputs: int8 [subnets, samples, output bytes] of the embedded samples.
        instructions: of the whole run from reset to the final record.
        stack_bytes, arena_bytes: high-water marks.
    """

    simulator: str
    model: str
    build: str
    records: tuple[Record, ...]
    console: str
    outputs: np.ndarray
    subnets: tuple[SubnetRun, ...]
    instructions: int
    stack_bytes: int
    arena_bytes: int


class Simulator(Protocol):
    """A way to run an image."""

    name: str

    def available(self) -> bool:
        """Whether the simulator is installed."""

    def run(self, firmware: Firmware, limits: Limits) -> RunResult:
        """Run the image to its final record.

        Raises:
            SimulationError: on a fault, a passed limit, a missing final record, or wrong results.
        """
