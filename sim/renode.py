"""Renode: platform, script and Robot Framework suite of an image, and running them.

The files keep to what was seen to work in Renode 1.16.1: four-space indents, an `init:` that
replaces the platform's download, virtual-time limits, ${ELF} from the command line.
"""

import os
import shutil
import signal
import subprocess
from dataclasses import dataclass
from pathlib import Path

import jinja2

from tflm_reds.codegen.firmware import Firmware
from tflm_reds.errors import SimulationError
from tflm_reds.files import write_text

VERSION = "1.16.1"
TEMPLATES = Path(__file__).resolve().parent
MARGIN = 2.0
SECONDS_A_RECORD = 0.02  # 200 characters at 115200 baud
OUTPUT_LINES = 12
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


def write_renode_files(firmware: Firmware, instructions: int, folder: str | Path) -> list[Path]:
    """Write `<board>.repl`, `<model>.resc` and `<model>.robot` into `folder`; return their paths.

    Args:
        instructions: that the whole run takes, as counted in Unicorn; sets the time limits.
        folder: best the one of the ELF file; elsewhere, pass `--variable ELF:...`.
    """
    folder = Path(folder)
    results = _expected_lines(firmware)
    records = sum(map(len, results)) + 6
    seconds = instructions / firmware.board.clock_hz + records * SECONDS_A_RECORD
    values = {
        "firmware": firmware,
        "board": firmware.board,
        "instructions": instructions,
        "timeout": f"{1 + MARGIN * seconds:.1f}",
        "results": results,
    }
    names = {
        "renode_board.repl.j2": f"{firmware.board.name}.repl",
        "renode_model.resc.j2": f"{firmware.model}.resc",
        "renode_model.robot.j2": f"{firmware.model}.robot",
    }
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(TEMPLATES),
        undefined=jinja2.StrictUndefined,
        keep_trailing_newline=True,
    )
    return [
        write_text(folder / name, environment.get_template(template).render(values))
        for template, name in names.items()
    ]


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
    command = [program, "--variable", variable, "-r", str(output), str(suite)]
    code, text = _run_group(command, seconds)
    if code == 0:
        return RenodeVerdict(True, f"renode-test passed {suite.name}.")
    lines = "\n".join(text.strip().splitlines()[-OUTPUT_LINES:])
    return RenodeVerdict(
        False,
        f"renode-test failed {suite.name} (exit code {code}); see {output}.\n{lines}",
    )


def _run_group(command: list[str], seconds: float) -> tuple[int, str]:
    """Exit code and output; renode-test starts Renode as a child that must not outlive it."""
    process = subprocess.Popen(
        command,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
        start_new_session=True,
    )
    try:
        text, _ = process.communicate(timeout=seconds)
        return process.returncode, text
    except subprocess.TimeoutExpired as error:
        raise SimulationError(
            f"renode-test did not end within {seconds:g} seconds and was stopped."
        ) from error
    finally:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
            process.communicate()


def _expected_lines(firmware: Firmware) -> list[list[str]]:
    """For each subnet and sample the record that main() prints, up to its timing."""
    samples = firmware.samples
    return [
        [
            f"REDS RESULT subnet={subnet} sample={sample} active={subnet} "
            f"class={outputs.argmax()} crc={crc:08x} expected={crc:08x}"
            for sample, (outputs, crc) in enumerate(zip(rows, checksums, strict=True))
        ]
        for subnet, (rows, checksums) in enumerate(
            zip(samples.outputs, samples.checksums, strict=True)
        )
    ]
