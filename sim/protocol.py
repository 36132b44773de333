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
        by_function: exact instructions of each function, without those that it calls.
        per_op: exact instructions of each op; the rest is the executor's. None: not counted.
        flash_reads: data reads from flash. None: not counted.
        cycles: modelled, not measured; None for a core without a cycle model, or not modelled.
        cycles_per_op: likewise, the executor left out.
    """

    subnet: int
    instructions: int
    first_instructions: int
    switch_instructions: int
    by_function: Mapping[str, int]
    per_op: Mapping[str, int] | None = None
    flash_reads: int | None = None
    cycles: CycleEstimate | None = None
    cycles_per_op: Mapping[str, CycleEstimate | None] | None = None


@dataclass(frozen=True)
class RunResult:
    """A run that ended with its final record and no failure.

    Attributes:
        outputs: int8 [subnets, samples, output bytes] of the embedded samples.
        instructions: of the whole run from reset to the final record.
        stack_bytes, arena_bytes: high-water marks.
        relinked: the simulator has no machine with the board's memory, so that the same objects
            were linked for another one.
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
    relinked: bool = False


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
