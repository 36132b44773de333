"""Files that appear whole or not at all (ARCHITECTURE contract 9)."""

import fcntl
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tflm_reds.errors import OutputError


@contextmanager
def atomic_path(path: str | os.PathLike) -> Iterator[Path]:
    """Yield a temporary path beside `path`; rename it to `path` when the block succeeds.

    Raises:
        OutputError: if the folder cannot be created or written.
    """
    target = Path(path)
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(dir=target.parent, prefix=f".{target.name}.")
        os.close(handle)
    except OSError as error:
        raise _unwritable(target, error) from error
    temporary = Path(name)
    try:
        yield temporary
        temporary.chmod(0o666 & ~_umask())
        temporary.replace(target)
    finally:
        temporary.unlink(missing_ok=True)


@contextmanager
def staged_folder(path: str | os.PathLike, marker: str) -> Iterator[Path]:
    """Yield an empty folder `path.partial`; it takes the place of `path` when the block succeeds.

    When the block fails, `path` is as it was, and the partial folder stays for a look at what was
    done so far.

    Args:
        marker: file that every finished folder holds: one without it is somebody else's and is
            never replaced.

    Raises:
        OutputError: if the folder cannot be written, holds other things, or another build has it.
    """
    target = Path(path).resolve()
    partial = target.with_name(f"{target.name}.partial")
    with _locked(target):
        _check_replaceable(target, marker)
        try:
            shutil.rmtree(partial, ignore_errors=True)
            partial.mkdir(parents=True)
        except OSError as error:
            raise _unwritable(partial, error) from error
        yield partial
        _publish(partial, target)


def _check_replaceable(target: Path, marker: str) -> None:
    if target.is_dir() and any(target.iterdir()) and not (target / marker).is_file():
        raise OutputError(
            f"{target} holds other files than a build (there is no {marker}), and a build would "
            "replace them. Choose a new folder with --out."
        )


def _publish(partial: Path, target: Path) -> None:
    old = target.with_name(f"{target.name}.old")
    shutil.rmtree(old, ignore_errors=True)
    if target.exists():
        target.replace(old)
    partial.replace(target)
    shutil.rmtree(old, ignore_errors=True)


@contextmanager
def _locked(target: Path) -> Iterator[None]:
    lock = target.with_name(f".{target.name}.lock")
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        stream = lock.open("w")
    except OSError as error:
        raise _unwritable(target, error) from error
    with stream:
        try:
            fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            raise OutputError(
                f"Another build is writing {target}. Wait for it, or choose another --out."
            ) from error
        yield


def _unwritable(path: Path, error: OSError) -> OutputError:
    return OutputError(
        f"Cannot write {path}: {error.strerror}. Choose a writable folder with --out."
    )


def _umask() -> int:
    value = os.umask(0)
    os.umask(value)
    return value


def write_bytes(path: str | os.PathLike, content: bytes) -> Path:
    """Write `content` to `path` atomically and return the path."""
    with atomic_path(path) as temporary:
        temporary.write_bytes(content)
    return Path(path)


def write_text(path: str | os.PathLike, content: str) -> Path:
    """Write `content` to `path` as UTF-8, atomically, and return the path."""
    return write_bytes(path, content.encode())


def cache_folder() -> Path:
    """`$XDG_CACHE_HOME/tflm_reds`, by default ~/.cache/tflm_reds."""
    root = os.environ.get("XDG_CACHE_HOME")
    return (Path(root) if root else Path.home() / ".cache") / "tflm_reds"
