"""Libraries and programs under AddressSanitizer and UndefinedBehaviorSanitizer of gcc."""

import atexit
import os
import shutil
import subprocess
import sys
import tempfile
from functools import cache
from pathlib import Path

import pytest
import tflm_graphs

from tflm_reds.codegen.toolchain import Compiler, build_shared_library, host_compiler

FLAGS = ("-O1", "-g", "-fsanitize=address,undefined", "-fno-sanitize-recover=all")
RUNTIMES = ("libasan.so", "libubsan.so")


@cache
def sanitizing_compiler() -> Compiler:
    """The host's gcc; skips the test if there is none."""
    compiler = host_compiler()
    if compiler.is_zig:
        pytest.skip("AddressSanitizer needs gcc")
    return compiler


@cache
def sanitized_ops() -> Path:
    """The custom ops in the context of tflm_graphs, built once for all tests of this process."""
    sanitizing_compiler()
    folder = tempfile.mkdtemp(prefix="tflm_reds_sanitized_")
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    flags = (*tflm_graphs.FLAGS, *FLAGS)
    return build_shared_library(
        tflm_graphs.SOURCES, Path(folder) / "ops.so", tflm_graphs.INCLUDES, flags
    )


def run_python(code: str) -> None:
    """Run Python code that loads a library built with FLAGS; AssertionError with any report."""
    gcc = sanitizing_compiler().command
    runtimes = [
        subprocess.check_output([*gcc, f"-print-file-name={name}"], text=True).strip()
        for name in RUNTIMES
    ]
    preload = {"LD_PRELOAD": " ".join(runtimes), "ASAN_OPTIONS": "detect_leaks=0"}
    environment = {**os.environ, **preload, "PYTHONPATH": os.pathsep.join(sys.path)}
    command = [sys.executable, "-c", code]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout[-100:] + done.stderr
