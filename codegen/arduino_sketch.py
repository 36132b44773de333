"""The image's self-checking run as an Arduino sketch: the same sources, records on USB serial.

For boards whose usual way in and out is Arduino's bootloader and its USB serial port. The sketch
has a build hash of its own: Arduino's compiler and options are not those of the bare image, so that
their timings must not mix.
"""

import hashlib
from collections.abc import Iterable
from pathlib import Path

from tflm_reds.boards import schema
from tflm_reds.codegen.firmware import MAIN, RUNTIME_SOURCES, Firmware
from tflm_reds.codegen.rendering import render
from tflm_reds.files import write_text

# Arduino's core brings its own, or has no use for them.
LEFT_OUT = {"startup.c", "console.c", "stack.c", "memory.c", "arithmetic.c"}
CONSOLE = "sketch_console.cpp"
GENERATED = ("board.h", "firmware_model.h")
# Arduino's core has a main() of its own.
RENAMED_MAIN = "#define main firmware_main\n"


def write_sketch(firmware: Firmware, sources: Iterable[Path], folder: str | Path) -> Path:
    """Write `<folder>/<model>/<model>.ino` and its `src/`; return the sketch's folder.

    Args:
        firmware: the bare image, for its generated headers and build hash.
        sources: C files and headers of the model, as for `build_firmware`.
    """
    sketch = Path(folder) / firmware.model
    board = firmware.board
    names = [*(name for name in RUNTIME_SOURCES if name not in LEFT_OUT), CONSOLE]
    runtime = [schema.FOLDER / name for name in names]
    headers = sorted(schema.FOLDER.glob("*.h"))
    for source in [*map(Path, sources), *runtime, schema.chip_source(board), *headers]:
        write_text(sketch / "src" / source.name, source.read_text())
    write_text(sketch / "src" / "firmware_main.c", RENAMED_MAIN + MAIN.read_text())
    for name in GENERATED:
        text = (firmware.elf.parent / name).read_text()
        text = text.replace(firmware.build, sketch_build(firmware.build))
        write_text(sketch / "src" / name, text)
    text = render(schema.FOLDER / "sketch.ino.j2", {"firmware": firmware})
    write_text(sketch / f"{firmware.model}.ino", text)
    return sketch


def sketch_build(build: str) -> str:
    """The sketch's build hash, from that of the bare image of the same sources and samples."""
    return hashlib.sha256(f"sketch {build}".encode()).hexdigest()[:8]
