"""Budget: what one subnet may cost, in one or several respects."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from itertools import pairwise
from typing import Any

from tflm_reds.errors import PlanError


@dataclass(frozen=True)
class Budget:
    """Upper limits of one subnet; those left out (None) do not limit it.

    Attributes:
        macs: fraction of the full network's true MACs, in (0, 1].
        label: fraction of the *label* MACs, in (0, 1]: how the paper counts (see
            `network_costs.label_terms`); only to compare with its tables.
        ram: bytes of the int8 arena of an image cut to this subnet and the smaller ones.
        flash: bytes of constant data (weights, tables) of such an image, code not included.
        ms: milliseconds of one inference by a `LatencyTable`.
        uj: microjoules of one inference: its time by a `LatencyTable` times the board's power.

    Raises:
        PlanError: if a limit is out of range or none is given.
    """

    macs: float | None = None
    label: float | None = None
    ram: int | None = None
    flash: int | None = None
    ms: float | None = None
    uj: float | None = None

    def __post_init__(self) -> None:
        if not self.limits:
            raise PlanError("A budget limits nothing: give macs, label, ram, flash, ms or uj.")
        for kind, value in self.limits.items():
            share = kind in ("macs", "label")
            if not 0 < value <= (1 if share else float("inf")):
                what = "a fraction of the full network's MACs, above 0 and at most 1"
                raise PlanError(
                    f"A budget's {kind} is {what if share else 'above 0'}: got {value:g}."
                    + (" Write 25 % as 0.25." if share else "")
                )

    @property
    def limits(self) -> dict[str, float]:
        """The limits that are given, by kind."""
        return {kind: value for kind, value in asdict(self).items() if value is not None}

    @property
    def needs_image(self) -> bool:
        """Whether only the generated image tells if this budget is kept."""
        return self.ram is not None or self.flash is not None

    @property
    def needs_time(self) -> bool:
        """Whether this budget limits what a `LatencyTable` tells."""
        return self.ms is not None or self.uj is not None

    @classmethod
    def of(cls, value: Any) -> "Budget":
        """A number is a fraction of the true MACs; a mapping holds the fields.

        Raises:
            PlanError: if `value` is neither, or out of range.
        """
        if isinstance(value, Budget):
            return value
        try:
            return cls(**value) if isinstance(value, Mapping) else cls(macs=float(value))
        except (TypeError, ValueError) as error:
            raise PlanError(
                f"{value!r} is no budget: give a fraction of the true MACs or a Budget with "
                f"{', '.join(field.name for field in fields(cls))}."
            ) from error

    def __str__(self) -> str:
        """For example "25 %, 40,960 B RAM"."""
        texts = {
            "macs": lambda v: f"{100 * v:g} %",
            "label": lambda v: f"{100 * v:g} % label",
            "ram": lambda v: f"{v:,} B RAM",
            "flash": lambda v: f"{v:,} B flash",
            "ms": lambda v: f"{v:g} ms",
            "uj": lambda v: f"{v:g} uJ",
        }
        return ", ".join(texts[kind](value) for kind, value in self.limits.items())


DEFAULT_FRACTIONS = (0.25, 0.50, 0.75)
FULL = Budget(macs=1.0)
"""The budget of the full network, always the last subnet."""


def checked_budgets(budgets: Sequence[Any]) -> tuple[Budget, ...]:
    """The budgets of the subnets below the full network, smallest first.

    Raises:
        PlanError: if one is wrong, or a later one allows less than an earlier one.
    """
    values = [Budget.of(budget) for budget in budgets]
    for number, (before, after) in enumerate(pairwise(values)):
        shared = before.limits.keys() & after.limits.keys()
        for kind in shared:
            if after.limits[kind] < before.limits[kind]:
                raise PlanError(
                    f"Budgets must rise, but {kind} {after.limits[kind]:g} follows "
                    f"{before.limits[kind]:g} (budgets {number} and {number + 1}): a larger subnet "
                    "holds the smaller one, so it never needs less. Sort the budgets."
                )
        if before == after:
            raise PlanError(
                f"Budgets must rise, without duplicates: {after} follows {before}. Drop one."
            )
    return tuple(value for value in values if value != FULL)


def combined_budgets(**limits: Sequence[float] | None) -> tuple[Budget, ...]:
    """Budgets of several subnets from lists of limits by kind, as the build command has them.

    A list of one value is for every subnet; the others have one value for each. Fractions of
    0.25, 0.5 and 0.75 of the true MACs if there is no list.

    Raises:
        PlanError: if the lists have different lengths, or a value is out of range.
    """
    given = {kind: tuple(values) for kind, values in limits.items() if values}
    if not given:
        given = {"macs": DEFAULT_FRACTIONS}
    count = max(map(len, given.values()))
    if wrong := [kind for kind, values in given.items() if len(values) not in (1, count)]:
        raise PlanError(
            f"There are {count} budgets, but {len(given[wrong[0]])} values of {wrong[0]}: give one "
            "for each subnet or one for all."
        )
    columns = {kind: values * (count // len(values)) for kind, values in given.items()}
    return tuple(Budget(**{k: values[i] for k, values in columns.items()}) for i in range(count))
