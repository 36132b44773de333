"""The parts of an ELF image that simulators and size checks need."""

from bisect import bisect_right
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from io import BytesIO
from pathlib import Path

from elftools.common.exceptions import ELFError
from elftools.elf.constants import SH_FLAGS
from elftools.elf.elffile import ELFFile
from elftools.elf.sections import SymbolTableSection

from tflm_reds.errors import SimulationError
from tflm_reds.sim.line_table import LineTable


@dataclass(frozen=True)
class Symbol:
    """A function or an object of the image; a function's address is even (no Thumb bit).

    `file` is the source of a static one; of all others it is unknown, "".
    """

    name: str
    address: int
    size: int
    is_function: bool
    file: str = ""


@dataclass(frozen=True)
class Elf:
    """One image.

    Attributes:
        segments: (load address, content) of what is written to flash.
        sections: (address, size in bytes) of each allocated section.
        symbols: functions and objects, static ones too, by address.
        markers: (address, whether code begins there, else constants), by address: the "mapping
            symbols" of the Arm ABI, which are set within code.
    """

    path: Path
    segments: tuple[tuple[int, bytes], ...]
    sections: Mapping[str, tuple[int, int]]
    symbols: tuple[Symbol, ...]
    markers: tuple[tuple[int, bool], ...]

    @classmethod
    def load(cls, path: str | Path) -> "Elf":
        """Read the ELF file `path`.

        Raises:
            SimulationError: if the file is missing, truncated, or no 32-bit Arm image.
        """
        path = Path(path)
        try:
            with path.open("rb") as stream:
                return cls._read(path, ELFFile(stream))
        except (OSError, ELFError, ValueError, UnicodeDecodeError) as error:
            raise SimulationError(
                f"{path} is not a complete Arm ELF image ({error}). Build it again."
            ) from error

    @classmethod
    def _read(cls, path: Path, file: ELFFile) -> "Elf":
        if file.get_machine_arch() != "ARM":
            raise ValueError(f"made for {file.get_machine_arch()}")
        loadable = [segment for segment in file.iter_segments("PT_LOAD") if segment["p_filesz"]]
        segments = tuple((segment["p_paddr"], segment.data()) for segment in loadable)
        if not segments or any(
            len(data) != segment["p_filesz"]
            for segment, (_, data) in zip(loadable, segments, strict=True)
        ):
            raise ValueError("its segments are cut off")
        allocated = [s for s in file.iter_sections() if s["sh_flags"] & SH_FLAGS.SHF_ALLOC]
        sections = {s.name: (s["sh_addr"], s["sh_size"]) for s in allocated}
        symbols = tuple(sorted(_symbols(file), key=_by_address))
        return cls(path, segments, sections, symbols, tuple(sorted(_markers(file))))

    @cached_property
    def _by_name(self) -> dict[str, Symbol]:
        return {symbol.name: symbol for symbol in self.symbols}

    @cached_property
    def _starts(self) -> list[int]:
        return [symbol.address for symbol in self.symbols]

    def symbol(self, name: str) -> Symbol:
        """The function or object called `name`.

        Raises:
            SimulationError: if the image has none.
        """
        if name not in self._by_name:
            raise SimulationError(f"{self.path.name} has no symbol {name}. Build it again.")
        return self._by_name[name]

    def find(self, name: str) -> Symbol | None:
        """The function or object called `name`, or None."""
        return self._by_name.get(name)

    def locate(self, address: int) -> str:
        """`address` as "function+0x12", or in hex where no symbol covers it."""
        index = bisect_right(self._starts, address) - 1
        if index >= 0:
            symbol = self.symbols[index]
            if address - symbol.address < max(symbol.size, 1):
                return f"{symbol.name}+{address - symbol.address:#x}"
        return f"{address:#010x}"

    def describe(self, address: int) -> str:
        """Like `locate`, with file and line where the image tells them."""
        place, line = self.locate(address), self._lines.find(address)
        return f"{place} ({line})" if line else place

    @cached_property
    def _lines(self) -> LineTable:
        return LineTable.load(self.path)

    def is_constant(self, address: int) -> bool:
        """Whether there is a constant among the code at `address`."""
        index = bisect_right(self.markers, (address, True)) - 1
        return index >= 0 and not self.markers[index][1]

    def read(self, address: int, size: int) -> bytes:
        """Bytes of the image as written to flash.

        Raises:
            SimulationError: if the image does not hold them.
        """
        for start, data in self.segments:
            if start <= address and address + size <= start + len(data):
                return data[address - start : address - start + size]
        raise SimulationError(f"{self.path.name} has no {size} bytes at {address:#010x}.")

    def read_string(self, address: int) -> str:
        """The zero-terminated ASCII text at `address`."""
        text = b""
        while not text.endswith(b"\0"):
            text += self.read(address + len(text), 1)
        return text[:-1].decode("ascii")

    def patched(self, address: int, data: bytes) -> bytes:
        """The whole file with other bytes at an address of flash.

        Raises:
            SimulationError: if the image holds nothing there.
        """
        self.read(address, len(data))
        content = bytearray(self.path.read_bytes())
        for segment in ELFFile(BytesIO(content)).iter_segments("PT_LOAD"):
            offset = address - segment["p_paddr"]
            if 0 <= offset < segment["p_filesz"]:
                start = segment["p_offset"] + offset
                content[start : start + len(data)] = data
        return bytes(content)

    @property
    def flash_start(self) -> int:
        """Lowest address of what is written to flash."""
        return min(address for address, _ in self.segments)

    def flash_image(self, origin: int) -> bytes:
        """What a programmer writes to flash from `origin` on; gaps are 0xFF."""
        start = min(origin, self.flash_start)
        end = max(address + len(data) for address, data in self.segments)
        image = bytearray(b"\xff" * (end - start))
        for address, data in self.segments:
            image[address - start : address - start + len(data)] = data
        return bytes(image[origin - start :])


def _symbols(file: ELFFile) -> list[Symbol]:
    symbols = []
    source = ""
    for entry in _entries(file):
        kind, binding = entry["st_info"]["type"], entry["st_info"]["bind"]
        if kind == "STT_FILE":
            source = entry.name
        if kind in ("STT_FUNC", "STT_OBJECT") and entry["st_shndx"] != "SHN_UNDEF":
            is_function = kind == "STT_FUNC"
            address = entry["st_value"] & ~1 if is_function else entry["st_value"]
            file = source if binding == "STB_LOCAL" else ""
            symbols.append(Symbol(entry.name, address, entry["st_size"], is_function, file))
    return symbols


def _markers(file: ELFFile) -> Iterator[tuple[int, bool]]:
    sections = enumerate(file.iter_sections())
    allocated = {i for i, section in sections if section["sh_flags"] & SH_FLAGS.SHF_ALLOC}
    for entry in _entries(file):
        # Sections for debuggers have markers, too; their addresses begin at 0.
        if entry.name[:2] in ("$t", "$d") and entry["st_shndx"] in allocated:
            yield entry["st_value"] & ~1, entry.name[1] == "t"


def _entries(file: ELFFile) -> Iterator:
    tables = [s for s in file.iter_sections() if isinstance(s, SymbolTableSection)]
    return (entry for table in tables for entry in table.iter_symbols())


def _by_address(symbol: Symbol) -> tuple[int, int]:
    # Of several symbols at one address the largest comes last, where `locate` finds it.
    return symbol.address, symbol.size
