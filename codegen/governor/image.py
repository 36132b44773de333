"""Builds the image in which the governor serves a trace of requests."""

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from tflm_reds.boards.schema import Board
from tflm_reds.codegen.firmware import Firmware, Samples, build_firmware
from tflm_reds.codegen.governor.files import FOLDER
from tflm_reds.codegen.governor.library import LIMITS, UNLIMITED
from tflm_reds.codegen.rendering import render
from tflm_reds.files import write_text

MAIN = FOLDER / "replay.c"


def build_replay_image(
    sources: Iterable[Path],
    model: str,
    samples: Samples,
    board: Board,
    requests: Sequence[Mapping[str, int]],
    times_us: Sequence[int],
    folder: str | Path,
) -> Firmware:
    """Compile a model, its governor and costs with a main() that prints a STEP for each request.

    Args:
        sources: of the model, `write_governor` and `write_costs`.
        model: the C identifier that prefixes its symbols.
        samples: the inputs, taken in turn.
        requests: the limits of each, by the names in LIMITS; a missing one is no limit.
        times_us: what the governor is told that an inference of each subnet took; 0: what the
            board's cycle counter says.
        folder: receives the image and the generated headers.

    Raises:
        BoardError: if flash or RAM of the board are too small.
        ToolchainError: if the compiler is missing or refuses a source.
    """
    values = {
        "name": model,
        "times_us": times_us,
        "requests": [[limits.get(name, UNLIMITED) for name in LIMITS] for limits in requests],
    }
    trace = write_text(
        Path(folder) / "replay_trace.h", render(FOLDER / "replay_trace.h.j2", values)
    )
    return build_firmware([*sources, trace], model, samples, board, folder, main=MAIN)
