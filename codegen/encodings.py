"""Checks that an image for a Cortex-M0 or M0+ holds no instruction that these cores lack.

A simulator finds one only when it is reached, and Renode's M0+ runs them all.
"""

import struct
from collections.abc import Iterator

from tflm_reds.codegen.cores import Core
from tflm_reds.errors import ToolchainError
from tflm_reds.sim.elf import Elf

# (mask, value) of the encodings of Armv6-M ARM (DDI 0419): A5.2.5, miscellaneous instructions of 16
# bits, whose other encodings are CBZ, CBNZ and IT; and A5.3, all instructions of 32 bits.
MISCELLANEOUS = (
    (0xFF00, 0xB000),  # ADD, SUB of SP
    (0xFF00, 0xB200),  # SXTH, SXTB, UXTH, UXTB
    (0xFE00, 0xB400),  # PUSH
    (0xFFEF, 0xB662),  # CPS
    (0xFF80, 0xBA00),  # REV, REV16
    (0xFFC0, 0xBAC0),  # REVSH
    (0xFE00, 0xBC00),  # POP
    (0xFF00, 0xBE00),  # BKPT
    (0xFF0F, 0xBF00),  # NOP, YIELD, WFE, WFI, SEV
)
WIDE = (
    (0xF800D000, 0xF000D000),  # BL
    (0xFFF0FF00, 0xF3808800),  # MSR
    (0xFFFFFFC0, 0xF3BF8F40),  # DSB, DMB, ISB
    (0xFFFFF000, 0xF3EF8000),  # MRS
    (0xFFF0F000, 0xF7F0A000),  # UDF
)


def check_encodings(elf: Elf, core: Core) -> None:
    """Check every function of an image for a core of Armv6-M; others have no such check.

    Raises:
        ToolchainError: naming the first instruction that the core does not have.
    """
    if not core.is_armv6m:
        return
    for symbol in elf.symbols:
        if not symbol.is_function:
            continue
        for address, size, instruction in _instructions(elf, symbol.address, symbol.size):
            if not is_armv6m(instruction, size):
                raise ToolchainError(
                    f"{elf.path.name} holds an instruction that a {core.name} does not have: "
                    f"{instruction:0{2 * size}x} at {elf.describe(address)}. Compile every source "
                    "for this core, without -mcpu of another one and without its assembly."
                )


def is_armv6m(instruction: int, size: int) -> bool:
    """Whether Armv6-M has an instruction of 2 or 4 bytes, the first halfword the higher one."""
    if size == 2 and instruction >> 12 != 0xB:
        return True
    known = MISCELLANEOUS if size == 2 else WIDE
    return any(instruction & mask == value for mask, value in known)


def _instructions(elf: Elf, start: int, size: int) -> Iterator[tuple[int, int, int]]:
    """(address, size, instruction) of a function, without the constants in it."""
    code = elf.read(start, size)
    offset = 0
    while offset + 2 <= size:
        address = start + offset
        (first,) = struct.unpack_from("<H", code, offset)
        width = 4 if first >> 11 >= 0x1D else 2
        if elf.is_constant(address):
            width = 2
        elif width == 2:
            yield address, 2, first
        elif offset + 4 <= size:
            (second,) = struct.unpack_from("<H", code, offset + 2)
            yield address, 4, first << 16 | second
        offset += width
