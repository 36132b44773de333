"""Runs the generated Robot Framework suite in Renode, where it is installed."""

import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from tflm_reds.boards.schema import Board
from tflm_reds.codegen.firmware import Firmware
from tflm_reds.errors import BoardError, SimulationError, ToolchainError
from tflm_reds.sim.process import last_lines, run_program
from tflm_reds.sim.renode_files import VERSION, unknown_board, write_renode_files

HOW_TO_GET = (
    f"Get Renode {VERSION}: download the linux-portable archive from "
    f"https://github.com/renode/renode/releases/tag/v{VERSION}, then `mkdir renode && tar xf "
    f"renode-{VERSION}.linux-portable.tar.gz -C renode --strip-components=1`, "
    '`export PATH="$PWD/renode:$PATH"` and '
    "`python3 -m pip install -r renode/tests/requirements.txt`."
)
NOT_RUN = "renode-test is not on PATH, so the Renode suite was written but not run. " + HOW_TO_GET


@dataclass(frozen=True)
class RenodeVerdict:
    """What `renode-test` said: `passed` is None when it is not installed."""

    passed: bool | None
    message: str


def check_in_renode(
    firmware: Firmware, sources: Sequence[Path], instructions: int, folder: Path
) -> RenodeVerdict:
    """Write the image's suite into `folder`, and run it if the board and this host can.

    Args:
        sources: of the model.
        instructions: that the whole run takes, as counted in Unicorn.

    Raises:
        SimulationError: if the suite fails.
    """
    if not firmware.board.renode.platform:
        return RenodeVerdict(None, unknown_board(firmware.board))
    write_renode_files(firmware, sources, instructions, folder)
    verdict = run_renode(folder, firmware.elf)
    if verdict.passed is False:
        raise SimulationError(verdict.message)
    return verdict


def require_renode(board: Board) -> None:
    """Check that `check_in_renode` will run a suite.

    Raises:
        BoardError: if Renode has no model of the board.
        ToolchainError: if renode-test is not on PATH.
    """
    if not board.renode.platform:
        raise BoardError(unknown_board(board))
    if shutil.which("renode-test") is None:
        raise ToolchainError(f"renode-test is not on PATH. {HOW_TO_GET}")


def run_renode(folder: str | Path, elf: str | Path, seconds: float = 1200.0) -> RenodeVerdict:
    """Run the one `.robot` suite in `folder` on `elf` with `renode-test`, if it is on PATH.

    Args:
        seconds: limit on this host; then the whole process group is killed.

    Raises:
        SimulationError: if there is no suite, or the limit is passed.
    """
    suite = next(iter(sorted(Path(folder).resolve().glob("*.robot"))), None)
    if suite is None:
        raise SimulationError(f"{folder} holds no .robot suite. Call write_renode_files() first.")
    program = shutil.which("renode-test")
    if program is None:
        return RenodeVerdict(None, NOT_RUN)
    output = suite.parent / "renode_output"
    variable = f"ELF:{Path(elf).resolve()}"
    command = [program, "--variable", variable, "-r", str(output), "--exclude", "metrics"]
    code, text = run_program([*command, suite], seconds)
    if code == 0:
        return RenodeVerdict(True, f"renode-test passed {suite.name}.")
    return RenodeVerdict(
        False,
        f"renode-test failed {suite.name} (exit code {code}); see {output}.\n{last_lines(text)}",
    )
