"""Which simulators run an image, and that they agree."""

from collections.abc import Callable, Sequence

import numpy as np

from tflm_reds.boards.schema import Board
from tflm_reds.codegen.firmware import Firmware
from tflm_reds.errors import VerificationError
from tflm_reds.sim.machine import CPU_MODELS
from tflm_reds.sim.protocol import RunResult, Simulator, SubnetRun
from tflm_reds.sim.qemu import find_qemu
from tflm_reds.sim.qemu_board import QemuSession, QemuSimulator
from tflm_reds.sim.renode import require_renode
from tflm_reds.sim.session import Session
from tflm_reds.sim.unicorn import UnicornSession, UnicornSimulator

UNICORN, QEMU = UnicornSimulator(), QemuSimulator()


def choose_simulators(request: str, board: Board) -> tuple[Simulator, ...]:
    """The simulators that run a board's image; the first one's figures are the report's.

    Args:
        request: "all", every one that is here; "qemu"; "unicorn" or "renode", whose suite needs the
            counts of another one: Unicorn, or QEMU for a core that Unicorn has not.

    Raises:
        BoardError: if Renode is asked for and has no model of the board.
        ToolchainError: if QEMU or Renode is needed and missing.
    """
    if request == "renode":
        require_renode(board)
    if request == "qemu" or board.core not in CPU_MODELS:
        find_qemu()
        return (QEMU,)
    if request == "all" and QEMU.available():
        return UNICORN, QEMU
    return (UNICORN,)


def run_simulators(simulators: Sequence[Simulator], firmware: Firmware) -> dict[str, RunResult]:
    """What each simulator says of one image.

    Raises:
        SimulationError: if the image fails in one of them.
        VerificationError: if outputs or counts of two of them differ.
    """
    runs = {simulator.name: simulator.run(firmware) for simulator in simulators}
    first, *others = runs.values()
    for other in others:
        check_agreement(first, other)
    return runs


def check_agreement(first: RunResult, second: RunResult) -> None:
    """Check that two runs of the same code gave the same bytes by the same instructions.

    Raises:
        VerificationError: telling the subnet and the function.
    """
    names = f"{first.simulator} and {second.simulator}"
    if not np.array_equal(first.outputs, second.outputs):
        subnet, sample, byte = np.argwhere(first.outputs != second.outputs)[0]
        raise VerificationError(
            f"Outputs of {names} differ: {first.model}, subnet {subnet}, sample {sample}, byte "
            f"{byte}. One of the two simulators is wrong: run a third one."
        )
    for one, other in zip(first.subnets, second.subnets, strict=True):
        if difference := _different_count(one, other):
            raise VerificationError(
                f"Instruction counts of {names} differ: {first.model}, subnet {one.subnet}, "
                f"{difference}. Their outputs are the same; report this with the image."
            )


def _different_count(one: SubnetRun, other: SubnetRun) -> str:
    """The first function whose counts differ, or empty."""
    for name in sorted({*one.by_function, *other.by_function}):
        counts = [run.by_function.get(name, 0) for run in (one, other)]
        if counts[0] != counts[1]:
            return f"{name}: {counts[0]} and {counts[1]}"
    return ""


def outputs_in(simulator: str, firmware: Firmware) -> Callable[[np.ndarray], np.ndarray]:
    """A function from int8 inputs [n, ...] to outputs of all subnets [subnets, n, output bytes]."""
    subnets = range(len(firmware.samples.outputs))

    def outputs(session: Session, x: np.ndarray) -> np.ndarray:
        return np.stack([session.run(subnet, x) for subnet in subnets])

    def in_qemu(x: np.ndarray) -> np.ndarray:
        with QemuSession(firmware) as session:
            return outputs(session, x)

    return in_qemu if simulator == QEMU.name else lambda x: outputs(UnicornSession(firmware), x)
