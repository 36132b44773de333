"""Finds a C compiler and builds shared libraries for this host and images for a Cortex-M core.

Host: TFLM_REDS_CC, else gcc or cc, else ziglang. Target: TFLM_REDS_TARGET_CC, else
arm-none-eabi-gcc, else ziglang. Both are fine with `pip install ziglang` alone.
"""

import importlib.util
import os
import shlex
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from tflm_reds.codegen.cores import Core
from tflm_reds.errors import ToolchainError
from tflm_reds.files import atomic_path

HOST_FLAGS = ("-O2", "-g0", "-fPIC", "-fno-strict-aliasing")
# gcc: -fno-schedule-insns, because its scheduler before register allocation spills in the kernels'
# inner loops (2.0 instead of 1.5 cycles per MAC). zig: a freestanding target turns
# memcpy(&word, p, 4) into a call; -fhosted makes it one load again.
TARGET_FLAGS = ("-O2", "-g1", "-ffunction-sections", "-fdata-sections", "-fomit-frame-pointer")
GCC_TARGET_FLAGS = ("-ffreestanding", "-fbuiltin", "-fno-schedule-insns")
ZIG_TARGET_FLAGS = ("-fhosted", "-fno-unwind-tables")
ERROR_LINES = 8


@dataclass(frozen=True)
class Compiler:
    """A compiler driver: `command` runs it, `is_zig` tells its dialect, `version` names it."""

    command: tuple[str, ...]
    is_zig: bool
    version: str


def host_compiler() -> Compiler:
    """The C and C++ compiler for this machine.

    Raises:
        ToolchainError: if there is none; the message says how to get one.
    """
    command = _configured("TFLM_REDS_CC") or _on_path("gcc", "cc") or _ziglang("cc")
    if not command:
        raise ToolchainError(
            "No C compiler for this machine: neither gcc nor cc is on PATH and the Python package "
            "ziglang is not installed. Run `pip install ziglang` (or `apt-get install gcc`)."
        )
    return _compiler(command)


def target_compiler() -> Compiler:
    """The C compiler for Cortex-M.

    Raises:
        ToolchainError: if there is none; the message says how to get one.
    """
    command = _configured("TFLM_REDS_TARGET_CC") or _on_path("arm-none-eabi-gcc") or _ziglang("cc")
    if not command:
        raise ToolchainError(
            "No compiler for Cortex-M: arm-none-eabi-gcc is not on PATH and the Python package "
            "ziglang is not installed. Run `pip install ziglang` (or `apt-get install "
            "gcc-arm-none-eabi`)."
        )
    return _compiler(command)


def build_shared_library(
    sources: Iterable[str | os.PathLike],
    output: str | os.PathLike,
    include: Sequence[str | os.PathLike] = (),
    flags: Sequence[str] = (),
    compiler: Compiler | None = None,
) -> Path:
    """Compile C (.c) and C++ (.cpp) `sources` for this host and link them into `output`.

    Args:
        include: folders for `-I`.
        flags: further compiler flags, such as `-DNAME=1`.
        compiler: default `host_compiler()`.

    Raises:
        ToolchainError: if a compiler is missing, or refuses a source (its first lines are given).
    """
    compiler = compiler or host_compiler()
    sources = [Path(source).resolve() for source in sources]
    if any(source.suffix == ".cpp" for source in sources):
        compiler = _cpp_driver(compiler)
    with tempfile.TemporaryDirectory() as folder:
        objects = _compile_all(compiler, sources, Path(folder), include, (*HOST_FLAGS, *flags))
        with atomic_path(output) as temporary:
            _run(_shared_link_command(compiler, objects, temporary), compiler)
    return Path(output)


def build_image(
    sources: Iterable[str | os.PathLike],
    output: str | os.PathLike,
    core: Core,
    linker_script: str | os.PathLike,
    include: Sequence[str | os.PathLike] = (),
    flags: Sequence[str] = (),
    compiler: Compiler | None = None,
) -> Path:
    """Compile `sources` for `core` and link them by `linker_script` into the ELF `output`.

    Nothing is taken from a C library: the sources bring their own startup, memcpy and memset.

    Raises:
        ToolchainError: if a compiler is missing, lacks the core's FPU or DSP, or refuses a source.
    """
    compiler = compiler or target_compiler()
    with tempfile.TemporaryDirectory() as folder:
        objects = compile_objects(sources, folder, core, include, flags, compiler)
        return link_image(objects, output, core, linker_script, compiler)


def link_image(
    objects: Iterable[Path],
    output: str | os.PathLike,
    core: Core,
    linker_script: str | os.PathLike,
    compiler: Compiler,
) -> Path:
    """Link what `compile_objects` made by `linker_script` into the ELF `output`.

    Raises:
        ToolchainError: if the linker refuses it.
    """
    with atomic_path(output) as temporary:
        _run(_link_command(compiler, core, linker_script, objects, temporary), compiler)
    return Path(output)


def compile_objects(
    sources: Iterable[str | os.PathLike],
    folder: str | os.PathLike,
    core: Core,
    include: Sequence[str | os.PathLike] = (),
    flags: Sequence[str] = (),
    compiler: Compiler | None = None,
) -> list[Path]:
    """Compile C (.c) and C++ (.cpp) `sources` for `core`; their object files in `folder`, in order.

    Raises:
        ToolchainError: if a compiler is missing, lacks the core's FPU or DSP, or refuses a source.
    """
    compiler = compiler or target_compiler()
    check_core(compiler, core)
    sources = [Path(source).resolve() for source in sources]
    flags = (*target_flags(compiler, core), *flags)
    return _compile_all(compiler, sources, Path(folder), include, flags)


def target_flags(compiler: Compiler, core: Core) -> tuple[str, ...]:
    """What `build_image` gives `compiler` for every source."""
    dialect = ZIG_TARGET_FLAGS if compiler.is_zig else GCC_TARGET_FLAGS
    return (*_core_flags(compiler, core), *TARGET_FLAGS, *dialect)


def check_core(compiler: Compiler, core: Core) -> None:
    """Check that the compiler's flags for `core` really switch on its DSP and FPU.

    Raises:
        ToolchainError: naming the macro that is not defined.
    """
    defined = _predefined_macros(compiler, core)
    for macro in core.macros:
        if macro not in defined:
            raise ToolchainError(
                f"{compiler.version} does not define {macro} for {core.name}: it would emulate in "
                "software what the core does in hardware. Use arm-none-eabi-gcc 12 or "
                "`pip install ziglang`."
            )


@cache
def _predefined_macros(compiler: Compiler, core: Core) -> frozenset[str]:
    flags = [*_core_flags(compiler, core), "-dM", "-E", "-x", "c", os.devnull]
    text = _run([*compiler.command, *flags], compiler)
    return frozenset(line.split()[1] for line in text.splitlines() if line.startswith("#define"))


def _core_flags(compiler: Compiler, core: Core) -> tuple[str, ...]:
    return core.zig if compiler.is_zig else core.gcc


def _shared_link_command(compiler, objects, output) -> list:
    if compiler.is_zig and sys.platform == "linux":
        # Not through `zig cc`, which first builds its own runtimes for 17 s; the process that
        # loads the library has a C library already.
        return [*compiler.command[:-1], "ld.lld", "-shared", *objects, "-o", output]
    no_runtime = ["-nostdlib++"] if compiler.is_zig else []
    return [*compiler.command, "-shared", *no_runtime, *objects, "-o", output]


def _link_command(compiler, core, script, objects, output) -> list:
    common = ["-T", Path(script).resolve(), *objects, "-o", output]
    if compiler.is_zig:
        # Not through `zig cc`: that first builds compiler_rt for the core (10 to 18 s), and aligns
        # segments to 64 KiB.
        linker = [*compiler.command[:-1], "ld.lld"]
        return [*linker, "--gc-sections", "-z", "max-page-size=4", "--build-id=none", *common]
    options = ["-nostdlib", "-Wl,--gc-sections,--build-id=none,-z,max-page-size=4"]
    return [*compiler.command, *core.gcc, *options, *common, "-lgcc"]


def _compile_all(compiler, sources, folder: Path, include, flags) -> list[Path]:
    objects = [folder / f"{i}_{source.stem}.o" for i, source in enumerate(sources)]
    folders = [Path(path).resolve() for path in include]
    includes = [f"-I{path}" for path in folders]

    def compile_one(source: Path, output: Path) -> None:
        # Run beside the source, and all folders renamed: an absolute path would end up in the
        # object file and in what debuggers read.
        relative = [f"-ffile-prefix-map={path}=." for path in (*folders, source.parent)]
        command = [*compiler.command, *_language_flags(source), *flags, *relative, *includes]
        _run([*command, "-c", source.name, "-o", output], compiler, source.parent)

    with ThreadPoolExecutor(os.cpu_count()) as pool:
        list(pool.map(compile_one, sources, objects))
    return objects


def _language_flags(source: Path) -> tuple[str, ...]:
    if source.suffix == ".cpp":
        return ("-x", "c++", "-std=c++14", "-fno-exceptions", "-fno-rtti")
    return ("-x", "c", "-std=c11", "-Wall")


def _cpp_driver(compiler: Compiler) -> Compiler:
    """The compiler that also takes C++: gcc without its g++ package does not."""
    if compiler.is_zig:
        return compiler
    command = _configured("TFLM_REDS_CC") or _on_path("g++", "c++") or _ziglang("cc")
    return _compiler(command) if command else compiler


def _configured(variable: str) -> tuple[str, ...]:
    return tuple(shlex.split(os.environ.get(variable, "")))


def _on_path(*names: str) -> tuple[str, ...]:
    return next(((path,) for name in names if (path := shutil.which(name))), ())


def _ziglang(tool: str) -> tuple[str, ...]:
    if importlib.util.find_spec("ziglang") is None:
        return ()
    return (sys.executable, "-m", "ziglang", tool)


@cache
def _compiler(command: tuple[str, ...]) -> Compiler:
    is_zig = "zig" in Path(command[-2] if len(command) > 1 else command[0]).name
    version_command = [*command[:-1], "version"] if is_zig else [*command, "--version"]
    nameless = Compiler(command, is_zig, shlex.join(command))
    first_line = _run(version_command, nameless).partition("\n")[0]
    return Compiler(command, is_zig, f"zig {first_line}" if is_zig else first_line)


def _run(command: Sequence, compiler: Compiler, folder: Path | None = None) -> str:
    command = [str(part) for part in command]
    try:
        done = subprocess.run(
            command, cwd=folder, capture_output=True, text=True, errors="replace", check=False
        )
    except OSError as error:
        raise ToolchainError(
            f"{command[0]} cannot be run: {error.strerror}. Correct TFLM_REDS_CC or "
            "TFLM_REDS_TARGET_CC, or unset it."
        ) from error
    if done.returncode:
        lines = (done.stderr or done.stdout).strip().splitlines()
        text = "\n".join(lines[:ERROR_LINES]) or f"exit code {done.returncode}, no message"
        raise ToolchainError(f"{compiler.version} failed:\n{text}")
    return done.stdout
