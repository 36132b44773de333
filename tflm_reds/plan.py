"""Plan: the width of every channel group in every nested subnet, and what the subnets cost."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from math import inf
from pathlib import Path
from typing import Any

from tflm_reds.budget import Budget
from tflm_reds.errors import PlanError
from tflm_reds.files import write_text

SCHEMA = 2


@dataclass(frozen=True)
class Plan:
    """Nested widths of all subnets, 0 (smallest) to K-1 (the full network).

    Attributes:
        budgets: a fraction of the full network's true MACs that stands for each subnet: the one it
            was allowed, or, where budgets limit other things, the one it takes; the last is 1.0.
        limits: all that each subnet was allowed.
        widths: per subnet, the width of each channel group.
        macs: per subnet, true MACs of one inference.
        costs: per subnet, other costs that are known: label (MACs as the paper counts), ram and
            flash (bytes of an image cut to it and the smaller ones), ms, uj; by the planner's
            model, or of the image that `nest` made for such budgets.
        status: "optimal" if every subnet is proven optimal given its neighbour (joint: every solve
            on the way was), else "time limit".
        values: per subnet, the objective reached.
        upper_bounds: per subnet, what no widths within the budget and the nesting can exceed.
        independent: per subnet, the objective that the best widths for its budget alone reach.
        joint_score: weighted mean over the subnets below the full network of
            score_k / best_k (`solvers.joint`); 1 if nesting costs nothing.
        joint_bound: what no nested widths can exceed; 1.0 where it was not searched for.
        seconds: wall-clock time of all solves.
        direction: "bottom-up", "top-down", "joint", or "given" (`from_widths`).
        objective, solver: their names.

    Raises:
        PlanError: if the fields do not describe nested subnets.
    """

    budgets: tuple[float, ...]
    limits: tuple[Budget, ...]
    widths: tuple[dict[str, int], ...]
    macs: tuple[int, ...]
    costs: tuple[dict[str, float], ...]
    status: str
    values: tuple[float, ...]
    upper_bounds: tuple[float, ...]
    independent: tuple[float, ...]
    joint_score: float
    joint_bound: float
    seconds: float
    direction: str
    objective: str
    solver: str

    def __post_init__(self) -> None:
        per_subnet = (self.limits, self.widths, self.macs, self.costs, self.values,
                      self.upper_bounds, self.independent)  # fmt: skip
        if not self.budgets or any(len(field) != len(self.budgets) for field in per_subnet):
            raise PlanError(
                f"A plan of {len(self.budgets)} budgets needs limits, widths, MACs, costs, values "
                f"and bounds of as many subnets, got {[len(field) for field in per_subnet]}."
            )
        if list(self.budgets) != sorted(set(self.budgets)) or self.budgets[-1] != 1:
            raise PlanError(f"The budgets of a plan must rise to 1.0, got {self.budgets}.")
        for k, (small, large) in enumerate(zip(self.widths, self.widths[1:], strict=False)):
            if small.keys() != large.keys() or any(small[g] > large[g] for g in small):
                raise PlanError(
                    f"Subnet {k} is not nested in subnet {k + 1}: {small} against {large}. "
                    "Every width may only grow with the subnet."
                )

    @classmethod
    def from_widths(
        cls, widths: Sequence[Mapping[str, int]], macs: Sequence[int], budgets: Sequence[float]
    ) -> "Plan":
        """A plan of your own, smallest subnet first; the last is the full network.

        Args:
            widths: per subnet, the width of each channel group.
            macs: per subnet (`LayerGraph.macs`).
            budgets: per subnet, the fraction of the true MACs that it stands for, up to 1.0.

        Raises:
            PlanError: if the widths are not nested, or the budgets do not rise to 1.0.
        """
        count, nothing = len(budgets), (0.0,) * len(budgets)
        return cls(
            budgets=tuple(budgets),
            limits=tuple(Budget(macs=budget) for budget in budgets),
            widths=tuple(dict(w) for w in widths),
            macs=tuple(macs),
            costs=({},) * count,
            status="given",
            values=nothing,
            upper_bounds=nothing,
            independent=nothing,
            joint_score=0.0,
            joint_bound=1.0,
            seconds=0.0,
            direction="given",
            objective="given",
            solver="given",
        )

    @property
    def subnet_count(self) -> int:
        """K, the full network included."""
        return len(self.budgets)

    @property
    def fractions(self) -> tuple[float, ...]:
        """True MACs of each subnet as a fraction of the full network's."""
        return tuple(macs / self.macs[-1] for macs in self.macs)

    @property
    def gaps(self) -> tuple[float, ...]:
        """Per subnet, (upper bound - value) / |value|."""
        return tuple(map(_gap, self.values, self.upper_bounds))

    @property
    def gap(self) -> float:
        """What the plan may lack: of the joint score, or the largest gap of any subnet."""
        joint = self.direction == "joint"
        return _gap(self.joint_score, self.joint_bound) if joint else max(self.gaps)

    @property
    def price_of_nesting(self) -> tuple[float, ...]:
        """Per subnet, the objective of the best widths for its budget alone less that reached."""
        return tuple(max(0.0, i - v) for i, v in zip(self.independent, self.values, strict=True))

    def to_dict(self) -> dict[str, Any]:
        """Plain lists, numbers and strings, for JSON."""
        return {"schema": SCHEMA} | asdict(self)

    @classmethod
    def from_dict(cls, content: Mapping[str, Any]) -> "Plan":
        """The plan that `to_dict` wrote.

        Raises:
            PlanError: if a field is missing, unknown, or of another schema.
        """
        try:
            fields = dict(content)
            if (schema := fields.pop("schema")) != SCHEMA:
                raise PlanError(
                    f"The plan has schema {schema}, this version reads schema {SCHEMA}. Plan again "
                    "with plan_widths(), or nest the model again with tflm_reds.nest()."
                )
            tuples = {k: tuple(v) if isinstance(v, list) else v for k, v in fields.items()}
            return cls(**tuples | {"limits": tuple(map(Budget.of, fields["limits"]))})
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise PlanError(
                f"This is no plan: {error}. Make a new one with plan_widths()."
            ) from error

    def save(self, path: str | Path) -> Path:
        """Write the plan as JSON, atomically."""
        return write_text(path, json.dumps(self.to_dict(), indent=1) + "\n")

    @classmethod
    def load(cls, path: str | Path) -> "Plan":
        """Read a file written by `save`.

        Raises:
            PlanError: if the file is missing or corrupt.
        """
        try:
            content = json.loads(Path(path).read_text(encoding="utf-8"))
        except (OSError, ValueError) as error:
            raise PlanError(f"Cannot read the plan {path}: {error}. Make a new one.") from error
        return cls.from_dict(content)

    def __str__(self) -> str:
        """A table: a row for each subnet; then how it was found."""
        known = list(self.costs[0])
        head = ["subnet", "budget", "MACs", "of full", *map(_TITLES.get, known)]
        head += ["gap", "nesting costs"]
        rows = [[*head, *self.widths[0]], *map(self._row, range(self.subnet_count))]
        columns = [max(map(len, column)) for column in zip(*rows, strict=True)]
        lines = ["  ".join(map(str.rjust, row, columns)).rstrip() for row in rows]
        how = f"{self.direction}, {self.objective}, {self.solver}: {self.status}"
        joint = f"joint score {self.joint_score:.6f}"
        if self.direction == "joint":
            joint += f" of at most {self.joint_bound:.6f}, gap {self.gap:.2g}"
        return "\n".join(
            [
                *lines,
                f"({how} in {self.seconds:.2f} s; {joint})",
                "(nesting costs: of the objective, against the best plan of this subnet alone)",
            ]
        )

    def _row(self, k: int) -> list[str]:
        """Cells of one subnet."""
        costs = [f"{v:,.3f}" if c in _REAL else f"{v:,}" for c, v in self.costs[k].items()]
        share = f"{100 * self.fractions[k]:.1f} %"
        gap, price = f"{self.gaps[k]:.2g}", f"{self.price_of_nesting[k]:.3g}"
        widths = map(str, self.widths[k].values())
        return [
            str(k),
            str(self.limits[k]),
            f"{self.macs[k]:,}",
            share,
            *costs,
            gap,
            price,
            *widths,
        ]


_TITLES = {"label": "label MACs", "ram": "RAM B", "flash": "flash B", "ms": "ms", "uj": "uJ"}
_REAL = ("ms", "uj")


def _gap(value: float, bound: float) -> float:
    if bound <= value:
        return 0.0
    return (bound - value) / abs(value) if value else inf
