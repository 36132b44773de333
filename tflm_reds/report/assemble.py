"""Assemble the Report of a build from what its stages found."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from operator import mul
from typing import Any

from tflm_reds.boards.schema import Board
from tflm_reds.codegen.firmware import Firmware
from tflm_reds.codegen.program import Program, arena_bytes, flash_bytes, table_bytes
from tflm_reds.codegen.tuning.tune import Tuning
from tflm_reds.plan import Plan
from tflm_reds.report.choices import choices_of
from tflm_reds.report.flash import flash_parts
from tflm_reds.report.model import PlanFacts, Report, SubnetRow
from tflm_reds.report.times import time_notes
from tflm_reds.sim.cycles import CycleEstimate
from tflm_reds.sim.protocol import RunResult

SIMULATORS = ("unicorn", "qemu", "renode")
IMPLEMENTATIONS = ("host", *SIMULATORS, "tflm", "tflm_sliced")


@dataclass(frozen=True)
class BuildFacts:
    """What the stages found.

    Attributes:
        tuning: how the kernels of `program` were chosen.
        runs: of the image, by simulator; the first one's figures count.
        accuracy_float, accuracy_int8: per subnet; None without test data.
        samples: test samples; 0 without.
        optimize: what the code was generated for, "speed" or "ram".
        differences: differing bytes of each subnet, by implementation; those not run are left out.
        compared_inputs: inputs of each comparison.
        notes: sentences for the reader, such as what was not run and how to get it.
    """

    program: Program
    tuning: Tuning
    firmware: Firmware
    runs: Mapping[str, RunResult]
    accuracy_float: tuple[float | None, ...]
    accuracy_int8: tuple[float | None, ...]
    samples: int
    optimize: str
    differences: Mapping[str, tuple[int, ...]]
    compared_inputs: int
    seed: int
    notes: tuple[str, ...]
    versions: Mapping[str, str]

    @property
    def run(self) -> RunResult:
        """The run whose figures count."""
        return next(iter(self.runs.values()))


def assemble(plan: Plan, facts: BuildFacts) -> Report:
    """One row for each subnet and what they share."""
    firmware, run = facts.firmware, facts.run
    switches = {subnet.switch_instructions for subnet in run.subnets}
    rows = tuple(_row(plan, facts, k) for k in range(plan.subnet_count))
    return Report(
        model=facts.program.name,
        board=firmware.board.name,
        toolchain=firmware.toolchain,
        seed=facts.seed,
        build_hash=firmware.build,
        plan=PlanFacts(plan.status, plan.gap, plan.seconds, plan.direction, plan.objective),
        subnets=rows,
        flash_bytes=flash_parts(firmware),
        optimize=facts.optimize,
        live_bytes=facts.program.live_sizes[-1],
        cost_unit=facts.tuning.unit,
        energy=asdict(firmware.board.energy) if firmware.board.energy else None,
        ops=choices_of(facts.program, facts.tuning, facts.optimize),
        switch_instructions=max(switches),
        stack_bytes=run.stack_bytes,
        arena_used_bytes=run.arena_bytes,
        ram_bytes=firmware.ram_bytes,
        relinked=any(run.relinked for run in facts.runs.values()),
        notes=(facts.tuning.note, *time_notes(plan, rows), *facts.notes),
        versions=facts.versions,
    )


def _row(plan: Plan, facts: BuildFacts, k: int) -> SubnetRow:
    run = facts.run.subnets[k]
    names = [op.name for op in facts.program.ops]
    return SubnetRow(
        index=k,
        budget=plan.budgets[k],
        widths=plan.widths[k],
        macs=plan.macs[k],
        mac_fraction=plan.fractions[k],
        accuracy_float=facts.accuracy_float[k],
        accuracy_int8=facts.accuracy_int8[k],
        samples=facts.samples or None,
        instructions={
            name: facts.runs[name].subnets[k].instructions if name in facts.runs else None
            for name in SIMULATORS
        },
        instructions_per_op=run.per_op and dict(zip(names, run.per_op.values(), strict=True)),
        **_modelled(facts.firmware.board, run.cycles),
        arena_bytes=arena_bytes(facts.program, k),
        flash_bytes=_flash_of_subnet(facts, k),
        table_bytes=table_bytes(facts.program, k),
        first_after_switch_instructions=run.first_instructions - run.instructions,
        differing_bytes={
            name: facts.differences[name][k] if name in facts.differences else None
            for name in IMPLEMENTATIONS
        },
        compared_inputs=facts.compared_inputs,
    )


def _modelled(board: Board, cycles: CycleEstimate | None) -> dict[str, Any]:
    """The modelled fields of a row: none without a cycle model, no energy without a current."""
    if cycles is None:
        return {}
    interval = (cycles.low, cycles.high)
    milliseconds = tuple(1000 * count / board.clock_hz for count in interval)
    energy = None
    if board.energy:  # ms x mW = uJ, at the ends of the time and the power
        energy = tuple(map(mul, milliseconds, board.energy.power_mw))
    return {
        "cycles_modelled": interval,
        "cycles_modelled_ws0": cycles.ws0,
        "cycles_modelled_ws2": cycles.ws2,
        "ms_modelled": milliseconds,
        "energy_uj_modelled": energy,
    }


def _flash_of_subnet(facts: BuildFacts, k: int) -> int:
    """The image's flash less the weights and tables that subnets above k add."""
    full = sum(flash_bytes(facts.program, facts.program.subnet_count - 1).values())
    return facts.firmware.flash_bytes - full + sum(flash_bytes(facts.program, k).values())
