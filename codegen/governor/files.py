"""The governor's C files: its code, and the generated table of what each subnet costs."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

from tflm_reds.boards.schema import Board
from tflm_reds.codegen.cformat import identifier
from tflm_reds.codegen.rendering import render
from tflm_reds.errors import DataError
from tflm_reds.files import write_bytes, write_text

FOLDER = Path(__file__).parent
SOURCES = ("reds_governor.c", "reds_governor.h")
HIGHEST_COST = (1 << 30) - 1
"""In us or uJ; reds_governor.c takes more for unlimited."""


@dataclass(frozen=True)
class SubnetCost:
    """What one inference of one subnet takes: `reds_cost` of reds_governor.h.

    Attributes:
        subnet: its index.
        time_us, energy_uj: at most HIGHEST_COST; an unknown energy is 0 and limits nothing.
        accuracy_permille: 0 if it is not known.
    """

    subnet: int
    time_us: int
    energy_uj: int
    accuracy_permille: int = 0


def worthwhile(costs: Sequence[SubnetCost]) -> tuple[SubnetCost, ...]:
    """The costs, sorted, without those of subnets that are never worth choosing.

    Such a subnet costs at least as much as another that is as accurate. Where an accuracy is
    unknown, a larger subnet is taken for more accurate.
    """
    measured = all(cost.accuracy_permille for cost in costs)
    kept: list[SubnetCost] = []
    for cost in sorted(costs, key=lambda cost: (cost.time_us, -cost.accuracy_permille)):
        quality = "accuracy_permille" if measured else "subnet"
        if not kept or getattr(cost, quality) > getattr(kept[-1], quality):
            kept.append(cost)
    return tuple(kept)


def check_costs(costs: Sequence[SubnetCost]) -> None:
    """Refuse what reds_governor_init refuses.

    Raises:
        DataError: if there is no subnet, a cost is out of range, or they are not sorted.
    """
    if not costs:
        raise DataError("A governor needs the costs of at least one subnet, got none.")
    for cost in costs:
        values = (cost.time_us, cost.energy_uj)
        if min(values) < 0 or max(values) > HIGHEST_COST:
            raise DataError(
                f"Subnet {cost.subnet} costs {cost.time_us} us and {cost.energy_uj} uJ; a governor "
                f"takes 0 .. {HIGHEST_COST}."
            )
    for low, high in pairwise(costs):
        if high.time_us < low.time_us or high.energy_uj < low.energy_uj:
            raise DataError(
                f"Subnet {high.subnet} costs less than subnet {low.subnet} before it. Sort the "
                "costs: worthwhile(costs)."
            )


def write_governor(folder: str | Path) -> list[Path]:
    """Copy the governor's own files into `folder`, beside reds.h.

    Raises:
        OutputError: if `folder` cannot be written.
    """
    return [write_bytes(Path(folder) / name, (FOLDER / name).read_bytes()) for name in SOURCES]


def write_costs(
    model: str, board: Board, costs: Sequence[SubnetCost], samples: int, folder: str | Path
) -> list[Path]:
    """Write `<model>_costs.c` and `.h` into `folder`, beside `<model>_model.h`.

    Args:
        board: which the costs are of.
        costs: of the subnets worth choosing, sorted: `worthwhile(...)`.
        samples: on which the accuracy was measured.

    Raises:
        DataError: if the costs are refused by `check_costs`.
        OutputError: if `folder` cannot be written.
    """
    check_costs(costs)
    name = identifier(model, "model")
    values = {"name": name, "board": board, "costs": costs, "samples": samples}
    return [
        write_text(
            Path(folder) / f"{name}_costs.{kind}", render(FOLDER / f"costs.{kind}.j2", values)
        )
        for kind in ("c", "h")
    ]
