"""Assemble the Report of a build from what its stages found."""

from collections.abc import Mapping
from dataclasses import dataclass

from tflm_reds.boards.schema import Board
from tflm_reds.codegen.firmware import Firmware
from tflm_reds.codegen.lower import SLACK
from tflm_reds.codegen.program import (
    Edge,
    Memory,
    Op,
    Program,
    arena_bytes,
    flash_bytes,
    table_bytes,
)
from tflm_reds.plan import Plan
from tflm_reds.report.flash import flash_parts
from tflm_reds.report.model import OpChoice, PlanFacts, Report, SubnetRow
from tflm_reds.sim.protocol import RunResult, SubnetRun

IMPLEMENTATIONS = ("host", "unicorn", "qemu", "renode", "tflm", "tflm_sliced")


@dataclass(frozen=True)
class BuildFacts:
    """What the stages found.

    Attributes:
        accuracy_float, accuracy_int8: per subnet; None without test data.
        samples: test samples; 0 without.
        optimize: what the code was generated for, "speed" or "ram".
        differences: differing bytes of each subnet, by implementation; those not run are left out.
        compared_inputs: inputs of each comparison.
        notes: sentences for the reader, such as what was not run and how to get it.
    """

    program: Program
    firmware: Firmware
    run: RunResult
    accuracy_float: tuple[float | None, ...]
    accuracy_int8: tuple[float | None, ...]
    samples: int
    optimize: str
    differences: Mapping[str, tuple[int, ...]]
    compared_inputs: int
    seed: int
    notes: tuple[str, ...]
    versions: Mapping[str, str]


def assemble(plan: Plan, facts: BuildFacts) -> Report:
    """One row for each subnet and what they share."""
    firmware, run = facts.firmware, facts.run
    switches = {subnet.switch_instructions for subnet in run.subnets}
    return Report(
        model=facts.program.name,
        board=firmware.board.name,
        toolchain=firmware.toolchain,
        seed=facts.seed,
        build_hash=firmware.build,
        plan=PlanFacts(plan.status, plan.gap, plan.seconds, plan.direction, plan.objective),
        subnets=tuple(_row(plan, facts, k) for k in range(plan.subnet_count)),
        flash_bytes=flash_parts(firmware),
        optimize=facts.optimize,
        live_bytes=facts.program.live_sizes[-1],
        ops=tuple(_choice(facts, op) for op in facts.program.ops),
        switch_instructions=max(switches),
        stack_bytes=run.stack_bytes,
        arena_used_bytes=run.arena_bytes,
        ram_bytes=firmware.ram_bytes,
        notes=facts.notes,
        versions=facts.versions,
    )


def _row(plan: Plan, facts: BuildFacts, k: int) -> SubnetRow:
    run = facts.run.subnets[k]
    names = [op.name for op in facts.program.ops]
    milliseconds = _milliseconds(facts.firmware.board, run)
    return SubnetRow(
        index=k,
        budget=plan.budgets[k],
        widths=plan.widths[k],
        macs=plan.macs[k],
        mac_fraction=plan.fractions[k],
        accuracy_float=facts.accuracy_float[k],
        accuracy_int8=facts.accuracy_int8[k],
        samples=facts.samples or None,
        instructions={"unicorn": run.instructions, "qemu": None, "renode": None},
        instructions_per_op=dict(zip(names, run.per_op.values(), strict=True)),
        cycles_modelled=(run.cycles.low, run.cycles.high),
        cycles_modelled_ws0=run.cycles.ws0,
        cycles_modelled_ws2=run.cycles.ws2,
        ms_modelled=milliseconds,
        energy_uj_modelled=_microjoules(facts.firmware.board, milliseconds),
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


def _milliseconds(board: Board, run: SubnetRun) -> tuple[float, float]:
    per_millisecond = board.clock_hz / 1000
    return run.cycles.low / per_millisecond, run.cycles.high / per_millisecond


def _microjoules(board: Board, milliseconds: tuple[float, float]) -> tuple[float, float]:
    """ms x V x mA = uJ, at the ends of the time and the current."""
    currents, voltage = board.energy.active_current_ma, board.energy.voltage_v
    low, high = (ms * voltage * ma for ms, ma in zip(milliseconds, currents, strict=True))
    return low, high


def _flash_of_subnet(facts: BuildFacts, k: int) -> int:
    """The image's flash less the weights and tables that subnets above k add."""
    full = sum(flash_bytes(facts.program, facts.program.subnet_count - 1).values())
    return facts.firmware.flash_bytes - full + sum(flash_bytes(facts.program, k).values())


def _choice(facts: BuildFacts, op: Op) -> OpChoice:
    edges = facts.program.edges
    return OpChoice(
        name=op.name,
        kernel=op.kernel,
        scratch_bytes=op.scratch_bytes,
        scratch_candidates=op.scratch_candidates,
        why=_why(facts, op),
        output=_place(edges[op.target], [edges[name] for name in op.sources]),
    )


def _why(facts: BuildFacts, op: Op) -> str:
    """Why the op has the scratch memory that it has."""
    if not op.scratch_candidates:
        return "needs no scratch"
    if op.scratch_bytes == op.scratch_candidates[0]:
        return "all scratch that it can use" if len(op.scratch_candidates) > 1 else "needs it"
    return (
        f"more scratch would raise the arena above {SLACK[facts.optimize]:g} x the "
        f"{facts.program.live_sizes[-1]:,} B that are live, or above a RAM limit"
    )


def _place(target: Edge, sources: list[Edge]) -> str:
    """Where the output lies."""
    if target.memory is not Memory.ARENA:
        return "the caller's"
    for source in (source for source in sources if source.memory is Memory.ARENA):
        below = source.offset - target.offset
        if below == 0:
            return f"in place of {source.name}"
        if 0 < below < target.size:
            return f"over {source.name}, from {below} B below it"
    return "memory of its own"
