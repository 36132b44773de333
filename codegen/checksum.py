"""The checksum in an image, by which its startup code finds damaged weights, tables and code."""

import zlib
from pathlib import Path

from tflm_reds.sim.elf import Elf

CHECKSUM = "firmware_checksum"  # startup.c; what it covers follows it
BYTES = 4


def write_checksum(path: Path) -> None:
    """Set the checksum of the linked image `path` to the one of its content."""
    elf = Elf.load(path)
    address = elf.symbol(CHECKSUM).address
    checksum = zlib.crc32(elf.flash_image(address + BYTES))
    path.write_bytes(elf.patched(address, checksum.to_bytes(BYTES, "little")))
