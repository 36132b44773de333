"""What the flash of an image holds, part by part, from the symbols of its ELF file."""

from pathlib import Path

from tflm_reds.codegen.firmware import Firmware
from tflm_reds.sim.elf import Elf, Symbol

WEIGHTS = "_weights"
TABLES = ("_bias", "_multiplier", "_shift", "_lookup")
RUNTIME_FILES = ("reds.c", "reds_ops.c")
RUNTIME = ("reds_init", "reds_set_subnet", "reds_invoke", "reds_run_")
REST = "firmware"


def flash_parts(firmware: Firmware) -> dict[str, int]:
    """Bytes of each part and their total.

    weights, tables: constant data of the model; kernels: their code; runtime: the executor and
    the generated ops with their parameters; firmware: the rest, which is the startup code, the
    console, the samples, texts and padding.
    """
    parts = dict.fromkeys(("weights", "tables", "kernels", "runtime"), 0)
    for symbol in _flash_symbols(firmware):
        part = _part(symbol, firmware.model)
        if part != REST:
            parts[part] += symbol.size
    rest = firmware.flash_bytes - sum(parts.values())
    return {**parts, REST: rest, "total": firmware.flash_bytes}


def kernel_bytes(firmware: Firmware) -> dict[str, int]:
    """Bytes of code of each kernel, the static functions of its file included; functions that
    several kernels share by their own names."""
    sizes: dict[str, int] = {}
    for symbol in _flash_symbols(firmware):
        if _part(symbol, firmware.model) == "kernels":
            name = Path(symbol.file).stem or symbol.name.removesuffix("_get_buffer_size")
            sizes[name] = sizes.get(name, 0) + symbol.size
    return sizes


def _flash_symbols(firmware: Firmware) -> list[Symbol]:
    flash = firmware.board.flash
    symbols = Elf.load(firmware.elf).symbols
    return [s for s in symbols if 0 <= s.address - flash.origin < flash.size]


def _part(symbol: Symbol, model: str) -> str:
    if symbol.file == f"{model}_model.c" or symbol.name == f"{model}_model":
        if symbol.name.endswith(WEIGHTS):
            return "weights"
        return "tables" if symbol.name.endswith(TABLES) else "runtime"
    if symbol.file in RUNTIME_FILES or symbol.name.startswith(RUNTIME):
        return "runtime"
    own = symbol.file or symbol.name
    return "kernels" if own.startswith("reds_") else REST
