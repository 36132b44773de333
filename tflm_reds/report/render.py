"""Text of a Report: the table of subnets and the Markdown page around it."""

from collections.abc import Callable

from tflm_reds.report.model import Report, SubnetRow

Column = tuple[str, Callable[[Report, SubnetRow], str]]


def render_table(report: Report) -> str:
    """The table of subnets as Markdown, columns padded, so that it also reads on a terminal."""
    columns = (*_COLUMNS, _SILICON_COLUMN) if report.silicon else _COLUMNS
    rows = [[title for title, _ in columns]]
    rows += [[cell(report, row) for _, cell in columns] for row in report.subnets]
    widths = [max(len(row[i]) for row in rows) for i in range(len(columns))]
    lines = ["| " + " | ".join(c.rjust(w) for c, w in zip(row, widths, strict=True)) + " |"
             for row in rows]  # fmt: skip
    lines.insert(1, "|" + "|".join("-" * (w + 1) + ":" for w in widths) + "|")
    return "\n".join(lines)


def render_markdown(report: Report) -> str:
    """The page `report.md`."""
    plan = report.plan
    return (
        "\n\n".join(
            [
                f"# {report.model} on {report.board}",
                render_table(report),
                _legend(report),
                "## Plan",
                f"{plan.status}, gap {plan.gap:.2g}, {plan.seconds:.2f} s, {plan.direction}, "
                f"objective {plan.objective}.",
                _widths(report),
                "## Instructions of each op (simulated)",
                _per_op(report),
                f"## Choices for {report.optimize}",
                _choices(report),
                f"## Candidates, each alone ({report.cost_unit or 'not measured'})",
                _candidates(report),
                "## Flash",
                "\n".join(f"- {part}: {size:,} B" for part, size in report.flash_bytes.items()),
                "## RAM",
                _ram(report),
                "## Bit-exactness",
                _differences(report),
                "## How it was built",
                f"Toolchain {report.toolchain}; build {report.build_hash}; seed {report.seed}; "
                + ("the same objects linked again for QEMU; " if report.relinked else "")
                + ", ".join(f"{k} {v}" for k, v in report.versions.items())
                + ".",
                *report.notes,
            ]
        )
        + "\n"
    )


def _ram(report: Report) -> str:
    marks = {
        "image, the reserved stack included": report.ram_bytes,
        "live tensors of the full network, the least arena": report.live_bytes,
        "stack, high-water mark (simulated)": report.stack_bytes,
        "arena, high-water mark (simulated)": report.arena_used_bytes,
    }
    return "\n".join(f"- {what}: {_count(size)} B" for what, size in marks.items())


def _legend(report: Report) -> str:
    switch = "not measured" if report.switch_instructions is None else (
        f"{report.switch_instructions} instructions in the setter; the first inference after a "
        "switch takes as many instructions more as the column says"
    )  # fmt: skip
    silicon = "" if report.silicon is None else (
        f" Silicon: measured on the board, by the {report.silicon.image} of build "
        f"{report.silicon.build}, least and most of its samples."
    )  # fmt: skip
    return (
        "Accuracy: measured on the host-compiled C, whole test set. Instructions: simulated, "
        f"exact. Cycles, ms and uJ: modelled, an interval, never measured{_energy(report)}. "
        f"Arena and flash: those of an image cut to subnets 0..k. Switch: {switch}.{silicon}"
    )


def _energy(report: Report) -> str:
    if not report.energy:
        return ""
    low, high = report.energy["active_current_ma"]
    return f"; energy at {report.energy['voltage_v']:g} V and {low:g} to {high:g} mA"


def _widths(report: Report) -> str:
    groups = list(report.subnets[-1].widths)
    lines = ["| subnet | " + " | ".join(groups) + " |", "|---:" * (len(groups) + 1) + "|"]
    for row in report.subnets:
        lines.append(f"| {row.index} | " + " | ".join(str(row.widths[g]) for g in groups) + " |")
    return "\n".join(lines)


def _per_op(report: Report) -> str:
    ops = report.subnets[-1].instructions_per_op
    if not ops:
        return "Not simulated."
    header = " | ".join(f"subnet {row.index}" for row in report.subnets)
    lines = [f"| op | {header} |", "|---" + "|---:" * len(report.subnets) + "|"]
    for op in ops:
        cells = " | ".join(f"{(row.instructions_per_op or {})[op]:,}" for row in report.subnets)
        lines.append(f"| {op} | {cells} |")
    return "\n".join(lines)


def _choices(report: Report) -> str:
    titles = "op | kernel | why this kernel | scratch B | why this much | output"
    lines = [f"| {titles} |", "|---|---|---|---:|---|---|"]
    for op in report.ops:
        cells = (op.name, op.kernel, op.why_kernel, f"{op.scratch_bytes:,}", op.why, op.output)
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines) if report.ops else "Not known."


def _candidates(report: Report) -> str:
    """What was measured to choose the kernels."""
    subnets = [f"subnet {row.index}" for row in report.subnets]
    lines = [f"| {' | '.join(['op', 'kernel', 'scratch B', *subnets])} |"]
    lines.append("|---|---|---:" + "|---:" * len(subnets) + "|")
    for op in report.ops:
        for one in op.candidates:
            costs = map(_count, one.costs) if one.costs else ["refused"] * len(subnets)
            cells = [op.name, one.kernel, f"{one.scratch_bytes:,}", *costs]
            lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines) if lines[2:] else "Nothing was measured."


def _differences(report: Report) -> str:
    lines = []
    for row in report.subnets:
        found = row.differing_bytes or {}
        text = ", ".join(f"{k} {'not run' if v is None else v}" for k, v in found.items())
        lines.append(f"- subnet {row.index}, {row.compared_inputs} inputs, differing bytes: {text}")
    return "\n".join(lines)


def _percent(value: float | None) -> str:
    return "-" if value is None else f"{100 * value:.1f} %"


def _interval(value: tuple | None, text: str) -> str:
    return "-" if value is None else " .. ".join(text.format(v) for v in value)


def _instructions(row: SubnetRow) -> int | None:
    """Of the first simulator that ran; all that ran have counted the same."""
    return next((count for count in (row.instructions or {}).values() if count is not None), None)


def _count(value: int | None) -> str:
    return "-" if value is None else f"{value:,}"


def _cycles(cycles: tuple | None, milliseconds: tuple | None) -> str:
    if cycles is None or milliseconds is None:
        return "-"
    millions = tuple(value / 1e6 for value in cycles)
    return f"{_interval(millions, '{:.2f}')} M / {_interval(milliseconds, '{:.1f}')} ms"


def _switch(report: Report, row: SubnetRow) -> str:
    if report.switch_instructions is None or row.first_after_switch_instructions is None:
        return "-"
    return f"{report.switch_instructions} + {row.first_after_switch_instructions}"


_COLUMNS: tuple[Column, ...] = (
    ("subnet", lambda report, row: f"{row.index} ({100 * row.budget:g} %)"),
    ("accuracy float", lambda report, row: _percent(row.accuracy_float)),
    ("accuracy int8", lambda report, row: _percent(row.accuracy_int8)),
    ("MACs", lambda report, row: _count(row.macs)),
    ("instructions", lambda report, row: _count(_instructions(row))),
    ("modelled cycles / ms", lambda report, row: _cycles(row.cycles_modelled, row.ms_modelled)),
    ("modelled uJ", lambda report, row: _interval(row.energy_uj_modelled, "{:,.0f}")),
    ("arena B", lambda report, row: _count(row.arena_bytes)),
    ("flash B", lambda report, row: _count(row.flash_bytes)),
    ("switch", _switch),
)
_SILICON_COLUMN: Column = (
    "silicon cycles / ms",
    lambda report, row: _cycles(row.cycles_silicon, row.ms_silicon),
)
