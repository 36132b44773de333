"""Fetches the real TFLM interpreter: pinned wheels of `tflite-micro`, in a cache of their own.

The wheel never enters the user's environment: its declared dependencies are neither installed nor
needed, because only its runtime library is loaded, in a process of its own.
"""

import subprocess
import sys
import tempfile
import warnings
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from tflm_reds.errors import ToolchainError
from tflm_reds.files import cache_folder

PINS = ("0.dev20261002031052", "0.dev20261023182759")
"""Versions of `tflite-micro`, best first: the last of ABI 1, then one of ABI 2."""

_RUNTIME = Path("tflite_micro/python/tflite_micro/_runtime.so")
# GetEvalInput takes a global TfLiteContext in generation 1, tflite::micro::TfLiteContext in 2.
_ABI_MARKS = {
    1: b"_ZN6tflite5micro12GetEvalInputEPK13TfLiteContext",
    2: b"_ZN6tflite5micro12GetEvalInputEPKNS0_13TfLiteContext",
}
# The wheel's op resolver holds 200 ops; python_ops.cpp relies on it.
_RESOLVER_MARK = b"MicroMutableOpResolverILj200EE"


@dataclass(frozen=True)
class Wheel:
    """An installed wheel: `folder` holds the package `tflite_micro`."""

    version: str
    folder: Path

    @property
    def runtime(self) -> Path:
        """The shared library with the interpreter, a Python extension module."""
        return self.folder / _RUNTIME

    @cached_property
    def abi(self) -> int:
        """Generation of TFLM's C++ ABI, 1 or 2: custom ops must be built for it.

        Raises:
            ToolchainError: if the wheel belongs to a generation that we do not know.
        """
        content = self.runtime.read_bytes()
        if _RESOLVER_MARK in content:
            for abi, mark in _ABI_MARKS.items():
                if mark in content:
                    return abi
        raise ToolchainError(
            f"tflite-micro {self.version} has a C++ interface that tflm_reds does not know "
            f"(known: ABI 1 and 2). Use one of the pinned versions {', '.join(PINS)}."
        )


def find_wheel(version: str | None = None) -> Wheel:
    """The wheel from the cache, installed first if need be.

    Args:
        version: one version; default: the first pin that can be had, with a warning if that is
            not the first.

    Raises:
        ToolchainError: if none can be had; says how to get one without a network.
    """
    versions = PINS if version is None else (version,)
    failures = []
    for candidate in versions:
        try:
            wheel = Wheel(candidate, _installed(candidate))
        except ToolchainError as error:
            failures.append(str(error))
            continue
        if failures:
            message = f"{failures[0]} Using tflite-micro {candidate} instead."
            warnings.warn(message, RuntimeWarning, stacklevel=2)
        return wheel
    raise ToolchainError(
        f"The TFLM interpreter cannot be had. {failures[0]} Connect to a package index (pip's "
        "configuration, PIP_INDEX_URL), or copy the folder "
        f"{_folder(versions[0])} from a machine where it is installed."
    )


def _folder(version: str) -> Path:
    # A wheel fits one version of Python.
    return cache_folder() / f"tflite-micro-{version}-{sys.implementation.cache_tag}"


def _installed(version: str) -> Path:
    folder = _folder(version)
    if not (folder / _RUNTIME).is_file():
        _install(version, folder)
    return folder


def _install(version: str, folder: Path) -> None:
    """Install into a temporary folder and rename it: an interrupted install leaves no half."""
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=folder.parent, prefix=".install.") as temporary:
            staged = Path(temporary) / "wheel"
            _pip_install(version, staged)
            try:
                staged.rename(folder)
            except OSError:
                # Another process was faster, with the same content.
                if not (folder / _RUNTIME).is_file():
                    raise
    except OSError as error:
        raise ToolchainError(
            f"Cannot write the cache folder {folder.parent}: {error.strerror}. "
            "Set XDG_CACHE_HOME to a writable folder."
        ) from error


def _pip_install(version: str, target: Path) -> None:
    options = ["--no-deps", "--only-binary=:all:", "--disable-pip-version-check", "--no-input"]
    patience = ["--retries=1", "--timeout=20", "--quiet"]
    command = [sys.executable, "-m", "pip", "install", *options, *patience]
    command += ["--target", str(target), f"tflite-micro=={version}"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode or not (target / _RUNTIME).is_file():
        lines = [line for line in done.stderr.splitlines() if line.startswith("ERROR")]
        reason = lines[-1] if lines else (done.stderr.strip() or "no runtime library in the wheel")
        raise ToolchainError(f"pip cannot install tflite-micro {version}: {reason}.")
