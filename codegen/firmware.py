"""Builds the bare-metal image of one model for one board."""

import hashlib
import shutil
import zlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np

from tflm_reds.boards import schema
from tflm_reds.boards.schema import Board
from tflm_reds.codegen.checksum import write_checksum
from tflm_reds.codegen.encodings import check_encodings
from tflm_reds.codegen.rendering import render
from tflm_reds.codegen.toolchain import Compiler, compile_objects, link_image, target_compiler
from tflm_reds.errors import BoardError, DataError
from tflm_reds.files import atomic_path, write_bytes, write_text
from tflm_reds.quantized import QuantizedNet
from tflm_reds.sim.elf import Elf

RUNTIME_SOURCES = (
    "startup.c", "console.c", "record.c", "stack.c", "cycle_counter.c", "crc32.c", "memory.c",
    "arithmetic.c",
)  # fmt: skip
MAIN = schema.FOLDER / "main.c"
RAM_SECTIONS = (".stack", ".noinit", ".data", ".bss")


@dataclass(frozen=True)
class Samples:
    """Inputs embedded in an image, with the reference's outputs.

    Attributes:
        inputs: int8 [samples, input bytes].
        outputs: int8 [subnets, samples, output bytes].
    """

    inputs: np.ndarray
    outputs: np.ndarray

    @classmethod
    def from_net(cls, net: QuantizedNet, x: np.ndarray) -> "Samples":
        """The reference's outputs of every subnet for int8 `x` [samples, *net.input.shape]."""
        outputs = [net.run(x, subnet) for subnet in range(net.subnet_count)]
        return cls(x.reshape(len(x), -1), np.stack([y.reshape(len(x), -1) for y in outputs]))

    @property
    def checksums(self) -> list[list[int]]:
        """CRC-32 of each output, by subnet and sample."""
        return [[zlib.crc32(y.tobytes()) for y in subnet] for subnet in self.outputs]


@dataclass(frozen=True)
class SubnetSize:
    """Bytes of flash and RAM that the model itself takes in an image cut to subnets 0..subnet."""

    subnet: int
    flash_bytes: int
    ram_bytes: int


@dataclass(frozen=True)
class Firmware:
    """One built image.

    Attributes:
        elf, bin: the image for simulators, and for a programmer (from its lowest address on).
        build: 8 hex digits that change with any source, sample, board figure or compiler.
        compiler, objects: what was linked; `relink` links it again.
        flash_bytes: from the image's origin to its end, initial values of variables included.
        ram_bytes: from the start of RAM to the last variable, the reserved stack included.
        samples: what main() runs and checks.
    """

    elf: Path
    bin: Path
    model: str
    build: str
    board: Board
    compiler: Compiler
    objects: tuple[Path, ...] = field(repr=False)
    flash_bytes: int
    ram_bytes: int
    samples: Samples = field(repr=False)

    @property
    def toolchain(self) -> str:
        """Name and version of the compiler."""
        return self.compiler.version


def build_firmware(
    sources: Iterable[Path],
    model: str,
    samples: Samples,
    board: Board,
    folder: str | Path,
    sizes: Sequence[SubnetSize] = (),
    flags: Sequence[str] = (),
    compiler: Compiler | None = None,
    main: Path = MAIN,
) -> Firmware:
    """Compile a generated model with the board's startup code and a self-checking main().

    Args:
        sources: C files and headers of the model, as `write_sources` returns them.
        model: the C identifier that prefixes its symbols.
        samples: at least one; they are embedded in flash.
        folder: receives `<model>.elf`, `<model>.bin`, the generated headers and `objects/`.
        sizes: of each subnet, to say which one would fit a board that is too small.
        flags: further compiler flags.
        main: the file with main(); by default it runs and checks the samples.

    Raises:
        DataError: if there is no sample, or samples are not int8.
        BoardError: if flash or RAM of the board are too small.
        ToolchainError: if the compiler is missing or refuses a source.
    """
    _check_samples(samples)
    folder, compiler = Path(folder), compiler or target_compiler()
    sources = [Path(source) for source in sources]
    runtime = [*(schema.FOLDER / name for name in RUNTIME_SOURCES), main, schema.chip_source(board)]
    compiled = [*(source for source in sources if source.suffix == ".c"), *runtime]
    templates = sorted([*schema.FOLDER.glob("*.j2"), *schema.FOLDER.glob("*.h")])
    build = _build_hash([*sources, *runtime, *templates], samples, board, compiler, flags)
    _write_generated(folder, model, build, samples, board)
    include = sorted({folder, schema.FOLDER, *(source.parent for source in sources)})
    objects = folder / "objects"
    shutil.rmtree(objects, ignore_errors=True)
    objects.mkdir(parents=True)
    compiled = compile_objects(compiled, objects, board.core_features, include, flags, compiler)
    path = folder / f"{model}.elf"
    unlinked = Firmware(
        elf=path,
        bin=path.with_suffix(".bin"),
        model=model,
        build=build,
        board=board,
        compiler=compiler,
        objects=tuple(compiled),
        flash_bytes=0,
        ram_bytes=0,
        samples=samples,
    )
    return _link(unlinked, sizes)


def relink(firmware: Firmware, board: Board, folder: str | Path) -> Firmware:
    """Link the objects of `firmware` for the memory of `board`, into `folder`.

    The build hash stays that of `firmware`: it is the same code and the same data.

    Raises:
        BoardError: if they do not fit.
        ToolchainError: if the linker refuses them.
    """
    elf = Path(folder) / firmware.elf.name
    _write_templates(elf.parent, ["linker.ld"], {"board": board})
    return _link(replace(firmware, board=board, elf=elf, bin=elf.with_suffix(".bin")))


def _link(firmware: Firmware, sizes: Sequence[SubnetSize] = ()) -> Firmware:
    """Link by the script beside the ELF file; the same with its sizes, which fit the board."""
    board, script = firmware.board, firmware.elf.with_name("linker.ld")
    with atomic_path(firmware.elf) as temporary:
        link_image(firmware.objects, temporary, board.core_features, script, firmware.compiler)
        write_checksum(temporary)
        elf = Elf.load(temporary)
        check_encodings(elf, board.core_features)
        flash_bytes = len(elf.flash_image(board.image_origin))
        linked = replace(firmware, flash_bytes=flash_bytes, ram_bytes=_ram_bytes(elf, board))
        _check_fits(linked, sizes)
    write_bytes(firmware.bin, elf.flash_image(elf.flash_start))
    return linked


def _ram_bytes(elf: Elf, board: Board) -> int:
    ends = [sum(elf.sections[name]) for name in RAM_SECTIONS if name in elf.sections]
    return max(ends) - board.ram.origin


def _check_samples(samples: Samples) -> None:
    inputs, outputs = samples.inputs, samples.outputs
    if len(inputs) == 0 or inputs.dtype != np.int8 or outputs.dtype != np.int8:
        raise DataError(
            f"A firmware needs at least one int8 sample and its int8 outputs, got {len(inputs)} of "
            f"{inputs.dtype}. Use Samples.from_net(net, net.quantize_input(x[:3]))."
        )


def _build_hash(files, samples, board, compiler, flags) -> str:
    digest = hashlib.sha256(repr((board, compiler.version, tuple(flags))).encode())
    for path in files:
        digest.update(path.name.encode() + path.read_bytes())
    digest.update(samples.inputs.tobytes() + samples.outputs.tobytes())
    return digest.hexdigest()[:8]


def _write_generated(folder: Path, model: str, build: str, samples: Samples, board: Board) -> None:
    values = {
        "board": board,
        "name": model,
        "build": build,
        "samples": samples.inputs.tolist(),
        "expected": samples.checksums,
    }
    _write_templates(folder, ["board.h", "firmware_model.h", "linker.ld"], values)


def _write_templates(folder: Path, names: Sequence[str], values: Mapping[str, Any]) -> None:
    for name in names:
        write_text(folder / name, render(schema.FOLDER / f"{name}.j2", values))


def _check_fits(firmware: Firmware, sizes: Sequence[SubnetSize]) -> None:
    board = firmware.board
    flash_excess = firmware.flash_bytes - board.image_flash_bytes
    ram_excess = firmware.ram_bytes - board.ram.size
    if max(flash_excess, ram_excess) <= 0:
        return
    needs = [
        f"{size} bytes of {name}, {excess} more than the {size - excess} there are"
        for name, size, excess in (
            ("flash", firmware.flash_bytes, flash_excess),
            ("RAM", firmware.ram_bytes, ram_excess),
        )
        if excess > 0
    ]
    raise BoardError(
        f"{firmware.model} does not fit {board.name}: it needs {' and '.join(needs)}. "
        f"{_way_out(sizes, flash_excess, ram_excess)}"
    )


def _way_out(sizes: Sequence[SubnetSize], flash_excess: int, ram_excess: int) -> str:
    full = max(sizes, key=lambda size: size.subnet, default=None)
    fitting = [
        size.subnet
        for size in sizes
        if full.flash_bytes - size.flash_bytes >= flash_excess
        and full.ram_bytes - size.ram_bytes >= ram_excess
    ]
    if fitting:
        return f"Cut to subnets 0..{max(fitting)} it would fit; or choose a larger board."
    if sizes:
        return "Not even subnet 0 alone would fit: choose a larger board or a smaller model."
    return "Choose a larger board or a smaller model."
