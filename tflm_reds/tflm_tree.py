"""`--tflm DIR`: compile a CMake package against a source tree of TensorFlow Lite Micro."""

import os
import re
import shutil
import subprocess
import tempfile
from pathlib import Path

from tflm_reds.errors import ToolchainError

_LINES = 8
_FAILURE = re.compile(r"CMake Error|error:", re.IGNORECASE)


def compile_with_tree(package: Path, tree: Path) -> None:
    """Configure and compile a package of kind "cmake" for this host, in a temporary folder.

    That shows whether the tree has what the custom ops need: headers of a generation that they
    know, and flatbuffers.

    Args:
        package: folder that `write_package` made.
        tree: see codegen/package/templates/tflm_tree.cmake.j2.

    Raises:
        ToolchainError: if cmake is missing, the tree is unknown, or the ops do not compile with it.
    """
    if not tree.is_dir():
        raise ToolchainError(
            f"The TFLM tree {tree} is no folder. Give the one that holds tensorflow/lite/micro."
        )
    with tempfile.TemporaryDirectory() as folder:
        generator = ["-G", "Ninja"] if shutil.which("ninja") else []
        source = ["-S", str(package), f"-DTFLM_DIR={tree.resolve()}"]
        _run([*_cmake(), *source, "-B", folder, *generator], tree)
        _run([*_cmake(), "--build", folder, "--parallel", str(os.cpu_count())], tree)


def _cmake() -> list[str]:
    path = shutil.which("cmake")
    if path is None:
        raise ToolchainError("cmake is not on PATH. Run `pip install cmake ninja`.")
    return [path]


def _run(command: list[str], tree: Path) -> None:
    done = subprocess.run(command, capture_output=True, text=True, errors="replace", check=False)
    if done.returncode:
        raise ToolchainError(
            f"The custom ops do not compile with the TFLM tree {tree}:\n"
            f"{_first_failure(done.stdout + done.stderr)}"
        )


def _first_failure(text: str) -> str:
    lines = [line for line in text.splitlines() if line.strip()]
    first = next((i for i, line in enumerate(lines) if _FAILURE.search(line)), 0)
    return "\n".join(lines[first : first + _LINES])
