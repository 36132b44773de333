"""Which line of which source each instruction of an image comes from: DWARF's line table."""

from bisect import bisect_right
from collections.abc import Iterator
from dataclasses import dataclass
from operator import itemgetter
from pathlib import Path

from elftools.dwarf.dwarfinfo import DWARFInfo
from elftools.elf.elffile import ELFFile


@dataclass(frozen=True)
class LineTable:
    """Rows (first address, file without folder, line) by address; line 0 ends a stretch of code."""

    rows: tuple[tuple[int, str, int], ...]

    @classmethod
    def load(cls, path: Path) -> "LineTable":
        """Of an ELF image; empty where it was compiled without."""
        with path.open("rb") as stream:
            file = ELFFile(stream)
            if not file.has_dwarf_info():
                return cls(())
            return cls(tuple(sorted(_rows(file.get_dwarf_info()), key=itemgetter(0))))

    def find(self, address: int) -> str:
        """ "file.c:12", or "" where no line is known."""
        index = bisect_right(self.rows, address, key=itemgetter(0)) - 1
        if index < 0 or self.rows[index][2] == 0:
            return ""
        return f"{self.rows[index][1]}:{self.rows[index][2]}"


def _rows(dwarf: DWARFInfo) -> Iterator[tuple[int, str, int]]:
    for unit in dwarf.iter_CUs():
        program = dwarf.line_program_for_CU(unit)
        for entry in program.get_entries() if program else ():
            if state := entry.state:
                # Files count from 0 since version 5 of DWARF, from 1 before.
                number = state.file - (program["version"] < 5)
                name = program["file_entry"][number].name.decode(errors="replace")
                yield state.address, Path(name).name, 0 if state.end_sequence else state.line
