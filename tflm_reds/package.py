"""`python -m tflm_reds.package`: a finished build as a library of another ecosystem."""

import argparse
import importlib
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from tflm_reds.codegen.firmware import Samples
from tflm_reds.codegen.package.content import PackageContent
from tflm_reds.codegen.package.forms import standalone_content, tflm_content
from tflm_reds.codegen.package.render import KINDS, check_kind, check_name, package_files
from tflm_reds.errors import DataError, ModelError, PackageError, RedsError, ToolchainError
from tflm_reds.files import staged_folder, write_bytes
from tflm_reds.quantized import QuantizedNet
from tflm_reds.report.model import Report
from tflm_reds.tflm_tree import compile_with_tree
from tflm_reds.tflm_wheel import find_wheel

KIBIBYTE = 1024


def package(
    build: str | Path,
    kinds: Sequence[str],
    standalone: bool = False,
    out: str | Path | None = None,
    tflm_tree: Path | None = None,
) -> list[Path]:
    """Package a finished build; nothing is trained, quantised or simulated again.

    >>> package("build/kws", ["arduino", "cmake"], standalone=True)        # doctest: +SKIP

    Args:
        build: output folder of `python -m tflm_reds.build`.
        kinds: of KINDS: "arduino", "cmake", "esp-idf", "platformio", "zephyr".
        standalone: the executor alone; otherwise custom ops for a TensorFlow Lite Micro that the
            user has.
        out: default: the folder `packages` in `build`. Each package is <out>/<kind>/<name>_model.
        tflm_tree: compile the package of kind "cmake" against this source tree of TFLM.

    Returns:
        The folders of the packages.

    Raises:
        PackageError: for an unknown kind, a name that it does not allow, or a folder that holds no
            build of this version.
        ToolchainError: without `standalone`, if TFLM's interpreter cannot be had, which measures
            the arena; if the package does not compile with `tflm_tree`.
        OutputError: if `out` cannot be written, or a folder of that name holds other things.
    """
    build = Path(build)
    if not kinds:
        return []
    for kind in kinds:
        check_kind(kind)
    _check_tree(tflm_tree, kinds, standalone)
    net = _load_net(build)
    samples = _load_samples(net, build)
    content = _standalone(net, samples, build) if standalone else _for_tflm(net, samples, build)
    out = build / "packages" if out is None else Path(out)
    folders = [write_package(content, kind, out / kind / content.name) for kind in kinds]
    if tflm_tree:
        compile_with_tree(folders[list(kinds).index("cmake")], tflm_tree)
    return folders


def write_package(content: PackageContent, kind: str, folder: Path) -> Path:
    """Write one package; `folder` appears whole or not at all."""
    files = package_files(content, kind)
    with staged_folder(folder, marker=f"src/{content.name}.h") as staged:
        for path, data in files.items():
            write_bytes(staged / path, data)
    return folder


def check_packages(
    name: str, kinds: Sequence[str], standalone: bool, tflm_tree: Path | None = None
) -> None:
    """Find before hours of training what `package` would refuse after them.

    Raises:
        PackageError, ToolchainError: as `package`.
    """
    for kind in kinds:
        check_name(f"{name}_model", kind)
    _check_tree(tflm_tree, kinds, standalone)
    if kinds and not standalone:
        _check_tflm()


def _check_tflm() -> None:
    """What the form for TFLM is made and measured with is there."""
    try:
        importlib.import_module("tflm_reds.tflite_schema")
        find_wheel()
    except ToolchainError as error:
        raise ToolchainError(
            f"{error} Or package with --standalone, which needs no TFLM."
        ) from error


def _check_tree(tflm_tree: Path | None, kinds: Sequence[str], standalone: bool) -> None:
    if tflm_tree and (standalone or "cmake" not in kinds):
        raise PackageError(
            f"--tflm {tflm_tree} compiles the CMake package of custom ops: give --package cmake, "
            "without --standalone."
        )


def _load_net(build: Path) -> QuantizedNet:
    try:
        return QuantizedNet.load(build / "quantized.npz")
    except ModelError as error:
        raise PackageError(
            f"{build} is no finished build ({error}). Give the output folder of "
            "`python -m tflm_reds.build`."
        ) from error


def _load_samples(net: QuantizedNet, build: Path) -> Samples:
    """The inputs that the build embedded in its image, with the reference's outputs."""
    path = build / "samples.npy"
    try:
        x = np.load(path)
        if len(x) == 0:
            raise ValueError("the array is empty")
        return Samples.from_net(net, x)
    except (OSError, TypeError, ValueError, DataError) as error:
        raise PackageError(
            f"{path} holds no inputs of {net.name} for the example ({error}). Save some there: "
            f"int8 of shape (n, {str(net.input.shape)[1:]}; or build the model again."
        ) from error


def _standalone(net: QuantizedNet, samples: Samples, build: Path) -> PackageContent:
    sources = sorted((build / "src").glob("*.[ch]"))
    if not sources:
        raise PackageError(f"{build / 'src'} holds no C sources. Build the model again.")
    return standalone_content(net, samples, sources)


def _for_tflm(net: QuantizedNet, samples: Samples, build: Path) -> PackageContent:
    _check_tflm()
    from tflm_reds.tflite_io import write_reds_model

    report, sources = build / "report.json", build / "src"
    optimize = Report.load(report).optimize if report.is_file() else "speed"
    governor = [*sources.glob("reds_governor.[ch]"), *sources.glob("*_costs.[ch]")]
    with tempfile.TemporaryDirectory() as folder:
        model = write_reds_model(net, Path(folder) / f"{net.name}.tflite", optimize)
        arena_bytes = measure_arena(model)
        return tflm_content(net, samples, model.read_bytes(), arena_bytes, governor)


def measure_arena(model: str | Path) -> int:
    """Bytes of arena, a multiple of 1 KiB, with which TFLM's interpreter starts on this host.

    Its 64-bit pointers make that more than enough for a microcontroller.
    """
    from tflm_reds.tflm import Interpreter

    with Interpreter(model, "build") as tflm:
        size = -(-tflm.arena_bytes // KIBIBYTE) * KIBIBYTE
    while not _starts(model, size):  # small models need more while they start than afterwards
        size += KIBIBYTE
    return size


def _starts(model: str | Path, arena_bytes: int) -> bool:
    from tflm_reds.tflm import Interpreter

    try:
        Interpreter(model, "build", arena_limit=arena_bytes).close()
    except ModelError:
        return False
    return True


def parse_arguments(arguments: list[str] | None = None) -> argparse.Namespace:
    """Parse the command line."""
    parser = argparse.ArgumentParser(prog="python -m tflm_reds.package", description=__doc__)
    parser.add_argument("build", type=Path, help="output folder of python -m tflm_reds.build")
    add_package_arguments(parser, required=True)
    parser.add_argument("--out", type=Path, help="(default: BUILD/packages)")
    return parser.parse_args(arguments)


def add_package_arguments(parser, required: bool = False) -> None:
    """The arguments that the build command shares."""
    parser.add_argument(
        "--package", nargs="+", choices=KINDS, default=(), required=required, metavar="KIND",
        help=f"libraries for other ecosystems: {', '.join(KINDS)}",
    )  # fmt: skip
    parser.add_argument(
        "--standalone",
        action="store_true",
        help="packages hold the executor and need nothing else; by default they hold custom ops "
        "for a TensorFlow Lite Micro that you have",
    )
    parser.add_argument(
        "--tflm",
        dest="tflm_tree",
        type=Path,
        metavar="DIR",
        help="compile the CMake package with this source tree of TensorFlow Lite Micro",
    )


def main(arguments: list[str] | None = None) -> int:
    """Run the command; return its exit status (0, or the error's `exit_code`)."""
    parsed = parse_arguments(arguments)
    try:
        folders = package(
            parsed.build, parsed.package, parsed.standalone, parsed.out, parsed.tflm_tree
        )
    except RedsError as error:
        print(f"{type(error).__name__}: {error}", file=sys.stderr)
        return error.exit_code
    print("\n".join(map(str, folders)))
    return 0


if __name__ == "__main__":
    sys.exit(main())
