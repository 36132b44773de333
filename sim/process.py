"""Runs another program with a time limit; none of its processes outlives the call."""

import os
import signal
import subprocess
from collections.abc import Sequence
from pathlib import Path

from tflm_reds.errors import RedsError, SimulationError


def run_program(
    command: Sequence[str | Path], seconds: float, error: type[RedsError] = SimulationError
) -> tuple[int, str]:
    """Exit code and output (both streams) of a program that starts children of its own.

    Raises:
        error: if it does not end within `seconds`; then its whole process group is killed.
    """
    process = subprocess.Popen(
        [str(part) for part in command],
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
    except subprocess.TimeoutExpired as expired:
        raise error(
            f"{Path(command[0]).name} did not end within {seconds:g} seconds and was stopped."
        ) from expired
    finally:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
            process.communicate()


def last_lines(text: str, count: int = 12) -> str:
    """The end of a program's output."""
    return "\n".join(text.strip().splitlines()[-count:])
