"""The image of the Renode suite's test of the governor, and the records that it must print."""

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from tflm_reds.codegen.firmware import Firmware
from tflm_reds.codegen.governor.files import SubnetCost, write_costs, write_governor
from tflm_reds.codegen.governor.image import build_replay_image

STEP_US = 7000  # subnet k costs k + 1 of these


@dataclass(frozen=True)
class GovernorImage:
    """An image and the beginning of each of its records, in order."""

    elf: Path
    lines: tuple[str, ...]


def build_governor_image(
    firmware: Firmware, sources: Iterable[Path], folder: str | Path
) -> GovernorImage:
    """Build an image whose governor climbs through all subnets, falls back, and fails to fit.

    Costs are made up and the governor is told just these, so that the choices follow from
    reds_governor.h alone: a dearer subnet must leave 1/8 of the deadline over, one that no longer
    fits is left at once.

    Args:
        firmware: the model's image, for its samples and board.
        sources: of the model.
    """
    subnets = range(len(firmware.samples.outputs))
    costs = [SubnetCost(k, (k + 1) * STEP_US, k) for k in subnets]
    times = [cost.time_us for cost in costs]
    deadlines = [time * 8 // 7 for time in times] + times[::-1] + [times[0] - 1]
    expected = [*subnets, *reversed(subnets), 0]
    board, model, folder = firmware.board, firmware.model, Path(folder)
    governor = [*write_governor(folder), *write_costs(model, board, costs, 0, folder)]
    requests = [{"deadline_us": deadline} for deadline in deadlines]
    image = build_replay_image(
        [*sources, *governor], model, firmware.samples, board, requests, times, folder
    )
    steps = [
        f"REDS STEP index={i} subnet={subnet} fits={int(i < len(deadlines) - 1)}"
        for i, subnet in enumerate(expected)
    ]
    boot = f"REDS BOOT model={model} build={image.build}"
    return GovernorImage(image.elf, (boot, *steps, "REDS DONE failures=0"))
