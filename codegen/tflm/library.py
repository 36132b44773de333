"""Compiles our TFLM custom ops and the kernels into a shared library for a `tflite-micro` wheel."""

import hashlib
from pathlib import Path

from tflm_reds.codegen import toolchain
from tflm_reds.codegen.toolchain import build_shared_library, host_compiler
from tflm_reds.errors import ToolchainError
from tflm_reds.files import cache_folder

ABIS = (1, 2)
"""Generations of TFLM's C++ ABI that the ops can be compiled for."""

FOLDER = Path(__file__).parent
KERNELS = FOLDER.parent / "kernels"
INCLUDE = (FOLDER, KERNELS)
"""Include folders of the ops; TFLM's own headers come beside them."""
DECLARATIONS = FOLDER / "declarations"
"""Include folder with our minimal declarations of TFLM, for a compiled TFLM runtime."""

_WHEEL_SOURCE = FOLDER / "python_ops.cpp"


def op_sources() -> list[Path]:
    """The C and C++ sources of the ops and their kernels, for any TFLM."""
    sources = [*FOLDER.glob("*.c"), *FOLDER.glob("*.cpp"), *KERNELS.glob("*.c")]
    return sorted(source for source in sources if source != _WHEEL_SOURCE)


def build_custom_ops(folder: str | Path, abi: int) -> Path:
    """Build `folder`/reds_tflm_abi<N>.so, to be loaded by `tflm_reds.tflm.Interpreter`.

    Args:
        abi: generation of TFLM's C++ ABI: `find_wheel().abi`.

    Raises:
        ToolchainError: if `abi` is unknown, or there is no working C++ compiler.
    """
    if abi not in ABIS:
        raise ToolchainError(f"TFLM has no ABI {abi}. Build the custom ops for one of {ABIS}.")
    flags = (f"-DREDS_TFLM_ABI={abi}", "-DTF_LITE_STATIC_MEMORY")
    output = Path(folder) / f"reds_tflm_abi{abi}.so"
    sources = [*op_sources(), _WHEEL_SOURCE]
    return build_shared_library(sources, output, (*INCLUDE, DECLARATIONS), flags)


def cached_custom_ops(abi: int) -> Path:
    """Like `build_custom_ops`, built once for the same sources and compiler, in the cache.

    Raises:
        ToolchainError: as `build_custom_ops`.
        OutputError: if the cache cannot be written.
    """
    digest = hashlib.sha256(host_compiler().version.encode())
    headers = [path for folder in (*INCLUDE, DECLARATIONS) for path in folder.rglob("*.h")]
    build = [Path(__file__), Path(toolchain.__file__)]
    for path in (*op_sources(), _WHEEL_SOURCE, *sorted(headers), *build):
        digest.update(path.read_bytes())
    folder = cache_folder() / f"tflm-ops-{digest.hexdigest()[:16]}"
    output = folder / f"reds_tflm_abi{abi}.so"
    return output if output.is_file() else build_custom_ops(folder, abi)
