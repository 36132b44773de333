"""Configures and builds CMake projects, with the CMake that pip installs or that of the system."""

import os
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tflm_reds.codegen.toolchain import Compiler, host_compiler

TOOLS = os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", "")])


def cmake(*arguments, compiler: Compiler | None = None) -> subprocess.CompletedProcess:
    """Run CMake; skips the test where it or Ninja is missing."""
    tools = {name: shutil.which(name, path=TOOLS) for name in ("cmake", "ninja")}
    for name, path in tools.items():
        if path is None:
            pytest.skip(f"{name} is not installed: pip install {name}")
    command = shlex.join((compiler or host_compiler()).command)
    environment = os.environ | {"CC": command, "CMAKE_GENERATOR": "Ninja", "PATH": TOOLS}
    return subprocess.run(
        [tools["cmake"], *map(str, arguments)],
        env=environment, capture_output=True, text=True, check=False,
    )  # fmt: skip


def configure(source: Path, build: Path, **variables) -> subprocess.CompletedProcess:
    """Configure `source` in `build`."""
    return cmake("-S", source, "-B", build, *(f"-D{k}={v}" for k, v in variables.items()))


def build(folder: Path, *targets: str) -> subprocess.CompletedProcess:
    """Build targets of a configured project; all by default."""
    return cmake("--build", folder, *(f"--target={target}" for target in targets))


def succeed(done: subprocess.CompletedProcess) -> None:
    """Fail the test with what CMake printed, if it failed or a compiler warned."""
    assert done.returncode == 0, done.stdout + done.stderr
    assert "warning:" not in done.stdout + done.stderr, done.stdout
