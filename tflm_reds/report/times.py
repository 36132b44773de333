"""What the finished image makes of the plan's budgets of time and energy."""

from collections.abc import Sequence

from tflm_reds.plan import Plan
from tflm_reds.report.model import SubnetRow

FIELDS = {"ms": "ms_modelled", "uj": "energy_uj_modelled"}


def time_notes(plan: Plan, rows: Sequence[SubnetRow]) -> tuple[str, ...]:
    """A sentence for each budget of time or energy: training may have moved what was planned."""
    notes = []
    for limit, row in zip(plan.limits, rows, strict=True):
        for kind in [kind for kind in FIELDS if kind in limit.limits]:
            interval, allowed = getattr(row, FIELDS[kind]), limit.limits[kind]
            if interval is None:
                verdict = "cannot be compared with the image: its time is not modelled"
            elif interval[1] <= allowed:
                verdict = f"is kept: the image takes at most {interval[1]:.3f} (modelled)"
            else:
                verdict = (
                    f"is EXCEEDED: the image may take {interval[1]:.3f} (modelled). Plan again "
                    "with a table of this network and board (python -m tflm_reds.profile)"
                )
            unit = {"ms": "ms", "uj": "uJ"}[kind]
            notes.append(f"The budget of {allowed:g} {unit} of subnet {row.index} {verdict}.")
    return tuple(notes)
