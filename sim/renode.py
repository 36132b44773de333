"""Runs the generated Robot Framework suite in Renode, where it is installed."""

import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from tflm_reds.codegen.firmware import Firmware
from tflm_reds.errors import SimulationError
from tflm_reds.sim.process import last_lines, run_program
from tflm_reds.sim.renode_files import VERSION, unknown_board, write_renode_files

HOW_TO_GET = (
    f"renode-test is not on PATH, so the Renode suite was written but not run. Get Renode {VERSION}"
    f": download the linux-portable archive from https://github.com/renode/renode/releases/tag/"
    f"v{VERSION}, then `mkdir renode && tar xf renode-{VERSION}.linux-portable.tar.gz -C renode "
    '--strip-components=1`, `export PATH="$PWD/renode:$PATH"` and '
    "`python3 -m pip install -r renode/tests/requirements.txt`."
)


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
        return RenodeVerdict(None, HOW_TO_GET)
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
