"""Replays a trace in the simulated board's image, with real inferences."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from tflm_reds.boards.schema import load_board
from tflm_reds.codegen.cformat import identifier
from tflm_reds.codegen.firmware import Samples
from tflm_reds.codegen.governor.image import build_replay_image
from tflm_reds.errors import VerificationError
from tflm_reds.quantized import QuantizedNet
from tflm_reds.replay import Device, Outcome
from tflm_reds.report import Report
from tflm_reds.sim.unicorn import UnicornSession
from tflm_reds.traces import Request
from tflm_reds.verify import comparison_inputs

SAMPLES = 3  # embedded random inputs, which the requests take in turn


@dataclass(frozen=True)
class BoardReplay:
    """What the image did: the subnet of each request, and the instructions of its inference."""

    subnets: tuple[int, ...]
    instructions: tuple[int, ...]


def replay_on_board(
    build: Path,
    trace: Sequence[Request],
    device: Device,
    folder: Path,
    board: str | Path | None = None,
) -> BoardReplay:
    """Build the image of a build's network, governor and trace in `folder`, and run it in Unicorn.

    `board` is the name or the file of the build's board; by default the name in its report.

    The governor is told the device's times, as on the host: instructions are no time.

    Raises:
        ModelError, QuantizationError: if the build lacks its report or its int8 network.
        SimulationError: if the image faults or an inference fails.
    """
    report = Report.load(build / "report.json")
    net = QuantizedNet.load(build / "quantized.npz")
    x = comparison_inputs(net, np.empty((0, *net.input.shape), np.float32), SAMPLES)
    firmware = build_replay_image(
        sources=sorted((build / "src").glob("*.[ch]")),
        model=identifier(report.model, "model"),
        samples=Samples.from_net(net, x),
        board=load_board(board or report.board),
        requests=[request.limits for request in trace],
        times_us=[device.time_us(k) for k in range(len(device.costs))],
        folder=folder,
    )
    steps = [record for record in UnicornSession(firmware).records if record.kind == "STEP"]
    return BoardReplay(
        tuple(step.integer("subnet") for step in steps),
        tuple(step.integer("cycles") for step in steps),
    )


def check_same(host: Outcome, board: BoardReplay) -> None:
    """Refuse a board that chose otherwise than this machine.

    Raises:
        VerificationError: naming the first request.
    """
    for i, (here, there) in enumerate(zip(host.subnets, board.subnets, strict=True)):
        if here != there:
            raise VerificationError(
                f"Request {i} got subnet {there} on the board and {here} on this machine: the "
                "governor's C does not do the same on both. Report it with the trace."
            )
