"""Which fault is caught where: the table of docs/faults.md, and what tests/test_faults.py runs."""

from dataclasses import dataclass

from benchmarks.rows import table

MUST = "must catch"
BY_SUITE = "by its suite"  # the generated Robot Framework suite fails; not run here
HEADER = ["fault", "on", "before a run", "Unicorn", "QEMU", "Renode"]

MUST_IF_RUN = "must catch when it runs"
WRITABLE = "cannot (the code memory of its machines can be written)"
CORRECT = "cannot happen (the core does it)"
LATER = "cannot (needs a run)"
NO_FPU = "cannot happen (there is no FPU)"
IN_PYTHON = "cannot happen (it runs within Python)"


@dataclass(frozen=True)
class FaultRow:
    """One fault on one kind of core.

    Attributes:
        fault: spaces for underscores it is a function of tests/cortex_m/faults.c, or else a test.
        board: whose image was run; empty: it does not depend on the board.
        build, unicorn, qemu, renode: MUST, BY_SUITE, or why it cannot be caught there.
    """

    fault: str
    board: str = ""
    unicorn: str = MUST
    qemu: str = MUST
    renode: str = BY_SUITE
    build: str = LATER


M4, M0_PLUS = "nano33ble", "rpi_pico"
_NO_RENODE = "cannot (no model of the board)"

IN_THE_IMAGE = (
    FaultRow(
        "stack overflow", M4,
        qemu="cannot (its machine has memory below the RAM)",
        renode="by its suite, where there is no memory below the RAM",
    ),
    FaultRow("write to flash", M4, qemu=WRITABLE, renode="cannot (its flash is plain memory)"),
    FaultRow("write to null", M4, qemu=WRITABLE, renode="cannot (its flash is plain memory)"),
    FaultRow("write behind RAM", M4, qemu="cannot (its machine has more RAM)"),
    FaultRow("wild read", M4),
    FaultRow("wild write", M4),
    FaultRow("wild jump", M4),
    FaultRow("jump to data", M4, renode="not known"),
    FaultRow("endless loop", M4),
    FaultRow("unaligned word", M4, CORRECT, CORRECT, CORRECT),
    FaultRow(
        "unaligned multiple", M4,
        unicorn="cannot (it loads them: Unicorn issue 1786)",
        renode="not known",
    ),
    FaultRow("fpu off", M4, renode="not known"),
    FaultRow("undefined instruction", M4),
    FaultRow("breakpoint", M4, renode="not known"),
    FaultRow("stack overflow", M0_PLUS, renode=_NO_RENODE),
    FaultRow("write to flash", M0_PLUS, qemu=WRITABLE, renode=_NO_RENODE),
    FaultRow("write to null", M0_PLUS, qemu=WRITABLE, renode=_NO_RENODE),
    FaultRow("write behind RAM", M0_PLUS, renode=_NO_RENODE),
    FaultRow("wild read", M0_PLUS, renode=_NO_RENODE),
    FaultRow("wild write", M0_PLUS, renode=_NO_RENODE),
    FaultRow("wild jump", M0_PLUS, renode=_NO_RENODE),
    FaultRow("endless loop", M0_PLUS, renode=_NO_RENODE),
    FaultRow("unaligned word", M0_PLUS, renode=_NO_RENODE),
    FaultRow("unaligned multiple", M0_PLUS, renode=_NO_RENODE),
    FaultRow("undefined instruction", M0_PLUS, renode=_NO_RENODE),
)  # fmt: skip
"""Mistakes of the running program."""

AROUND_THE_IMAGE = (
    FaultRow("forbidden encodings", M0_PLUS, MUST_IF_RUN, MUST_IF_RUN, _NO_RENODE, build=MUST),
    FaultRow("corrupted weights", M4),
    FaultRow("truncated ELF", renode=MUST),
    FaultRow("simulator hangs", unicorn=IN_PYTHON, renode=MUST),
    FaultRow("simulator is killed", unicorn=IN_PYTHON, renode=MUST),
    FaultRow("two builds at once", build=MUST, unicorn="-", qemu="-", renode="-"),
)
"""Mistakes of files and programs."""


def faults() -> str:
    """The table of all faults."""
    rows = [
        [row.fault, row.board or "any", row.build, row.unicorn, row.qemu, row.renode]
        for row in (*IN_THE_IMAGE, *AROUND_THE_IMAGE)
    ]
    return table(HEADER, rows)
