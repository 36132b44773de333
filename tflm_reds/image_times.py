"""What the finished image takes in every subnet on the simulated board."""

import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from tflm_reds.boards.schema import Board
from tflm_reds.codegen.firmware import Samples, build_firmware
from tflm_reds.codegen.lower import lower
from tflm_reds.codegen.program import Program
from tflm_reds.codegen.tuning.tune import tune
from tflm_reds.codegen.writer import model_identifier, write_sources
from tflm_reds.errors import BoardError
from tflm_reds.quantized import QuantizedNet
from tflm_reds.sim.cycles import has_cycle_model
from tflm_reds.sim.protocol import SubnetRun
from tflm_reds.sim.unicorn import UnicornSession


@dataclass(frozen=True)
class ImageTimes:
    """A program, and one inference of each of its subnets."""

    program: Program
    board: Board
    runs: tuple[SubnetRun, ...]

    @property
    def milliseconds(self) -> tuple[float, ...]:
        """Upper edge of the modelled time of each subnet."""
        return tuple(1000 * run.cycles.high / self.board.clock_hz for run in self.runs)


def image_times(
    net: QuantizedNet, board: Board, optimize: str, ram: Sequence[int | None] | None = None
) -> ImageTimes:
    """Generate and build `net` as `python -m tflm_reds.build` does, and run it in Unicorn.

    Raises:
        BoardError: if the image does not fit, or the board's core has no cycle model.
        ToolchainError, SimulationError: as building and running an image does.
    """
    require_cycle_model(board)
    program = lower(net, optimize, ram, tune(net, board, optimize, ram).chosen)
    samples = Samples.from_net(net, np.zeros((1, *net.input.shape), np.int8))
    with tempfile.TemporaryDirectory() as folder:
        sources = write_sources(program, Path(folder) / "src")
        firmware = build_firmware(sources, model_identifier(program), samples, board, folder)
        session = UnicornSession(firmware)
    runs = (session.measure(k, samples.inputs[0]) for k in range(net.subnet_count))
    return ImageTimes(program, board, tuple(runs))


def require_cycle_model(board: Board) -> None:
    """Raise BoardError where instructions cannot be turned into time."""
    if not has_cycle_model(board.core):
        raise BoardError(
            f"{board.name} has a {board.core}, for which there is no cycle model: its times cannot "
            "be modelled. Plan by MACs, RAM and flash, or for a board with another core."
        )
