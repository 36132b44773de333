"""The rules of arduino-lint 1.3 that a folder alone can break, by their identifiers.

Left out are the rules that ask the Library Manager's index, a git repository, or the network, and
those of formats that no package has (flat layout, precompiled libraries). Levels are those of
`--compliance strict`, the strictest.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

CATEGORIES = (
    "Display", "Communication", "Signal Input/Output", "Sensors", "Device Control", "Timing",
    "Data Storage", "Data Processing", "Other",
)  # fmt: skip
FIELDS = (
    "name", "version", "author", "maintainer", "email", "sentence", "paragraph", "category", "url",
    "architectures", "depends", "dot_a_linkage", "includes", "precompiled", "ldflags",
)  # fmt: skip
BASE_NAME = re.compile(r"[a-zA-Z0-9_][a-zA-Z0-9_.-]*")
NUMBER, SUFFIX = r"(0|[1-9]\d*)", r"(-[\w.-]+)?(\+[\w.-]+)?"
SEMVER = re.compile(rf"{NUMBER}\.{NUMBER}\.{NUMBER}{SUFFIX}", re.ASCII)
LIBRARY_NAME = re.compile(r"[\w .-]*[a-zA-Z][\w .-]*", re.ASCII)
PROPERTIES = "library.properties"
README = re.compile(r"readme\.(md|markdown|rst|txt)", re.IGNORECASE)
LICENSE = re.compile(r"(un)?licen[sc]e(\.(md|txt|html))?", re.IGNORECASE)
BAD_INCLUDE = re.compile(r'^\s*#\s*include\s*["<](?!Arduino\.h)(?i:arduino\.h)[">]', re.MULTILINE)


@dataclass(frozen=True)
class Library:
    """A library's folder."""

    folder: Path

    @cached_property
    def fields(self) -> dict[str, str]:
        """library.properties; ValueError where a line is no `key=value`."""
        text = (self.folder / PROPERTIES).read_text()
        return dict(line.split("=", 1) for line in text.splitlines() if line)

    @cached_property
    def files(self) -> list[Path]:
        return [path for path in self.folder.rglob("*") if not path.is_dir()]

    @cached_property
    def headers(self) -> list[str]:
        return [path.name for path in (self.folder / "src").glob("*.h")]

    @cached_property
    def sketch_files(self) -> list[Path]:
        return [path for sketch in self.sketches for path in sketch.parent.iterdir()]

    @cached_property
    def sketches(self) -> list[Path]:
        return [path for path in self.files if path.suffix in (".ino", ".pde")]

    def field(self, name: str) -> str:
        return self.fields.get(name, "")

    def is_filled(self, name: str) -> bool:
        return self.field(name).strip() != ""

    def folders_like(self, pattern: str) -> list[str]:
        """Names in the root that match, in any case."""
        names = [path.name for path in self.folder.iterdir()]
        return [name for name in names if re.fullmatch(pattern, name, re.IGNORECASE)]


RULES: dict[str, Callable[[Library], bool]] = {
    "LS001 valid library": lambda lib: len(lib.headers) > 0,
    "LS002 folder name length": lambda lib: len(lib.folder.name) <= 63,
    "LS003 folder name characters": lambda lib: bool(BASE_NAME.fullmatch(lib.folder.name)),
    "LS004 no submodule": lambda lib: not (lib.folder / ".gitmodules").exists(),
    "LS005 no symlink": lambda lib: not any(path.is_symlink() for path in lib.files),
    "LS006 no .development": lambda lib: not (lib.folder / ".development").exists(),
    "LS007 no .exe": lambda lib: all(path.suffix.lower() != ".exe" for path in lib.files),
    "LS008 header of the name": lambda lib: f"{lib.field('name')}.h" in lib.headers,
    "LS009 src case": lambda lib: lib.folders_like("src") == ["src"],
    "LS010 no utility folder": lambda lib: not (lib.folder / "utility").exists(),
    "LS011 extras spelling": lambda lib: lib.folders_like("extras?") in ([], ["extras"]),
    "LP001 library.properties": lambda lib: (lib.folder / PROPERTIES).is_file(),
    "LP003 its case": lambda lib: lib.folders_like(PROPERTIES) == [PROPERTIES],
    "LP004 only one": lambda lib: not (lib.folder / "src" / PROPERTIES).exists(),
    "LP006 field names": lambda lib: set(lib.fields) <= set(FIELDS),
    "LP007 name": lambda lib: lib.is_filled("name"),
    "LP009 name length": lambda lib: len(lib.field("name")) <= 63,
    "LP011 name characters": lambda lib: bool(LIBRARY_NAME.fullmatch(lib.field("name"))),
    "LP012, LP014 no Arduino in the name": lambda lib: "arduino" not in lib.field("name").lower(),
    "LP015 no spaces in the name": lambda lib: " " not in lib.field("name"),
    "LP016 no library in the name": lambda lib: "library" not in lib.field("name").lower(),
    "LP021 version": lambda lib: bool(SEMVER.fullmatch(lib.field("version"))),
    "LP023 author": lambda lib: lib.is_filled("author"),
    "LP025 maintainer": lambda lib: lib.is_filled("maintainer"),
    "LP027, LP057 not Arduino's": lambda lib: "arduino" not in lib.field("maintainer").lower(),
    "LP028 no email alias": lambda lib: "email" not in lib.fields,
    "LP031 sentence": lambda lib: lib.is_filled("sentence"),
    "LP034 paragraph": lambda lib: "paragraph" in lib.fields,
    "LP036 no repetition": lambda lib: not lib.field("paragraph").startswith(lib.field("sentence")),
    "LP038 category": lambda lib: lib.field("category") in CATEGORIES,
    "LP041 url": lambda lib: bool(re.fullmatch(r"https?://[\w./-]+", lib.field("url"))),
    "LP044 architectures": lambda lib: lib.is_filled("architectures"),
    "LP047 depends": lambda lib: all(
        LIBRARY_NAME.fullmatch(name.strip()) for name in lib.field("depends").split(",") if name
    ),
    "LP049 dot_a_linkage": lambda lib: lib.field("dot_a_linkage") in ("true", "false"),
    "LP052 includes": lambda lib: set(lib.field("includes").split(",")) <= set(lib.headers),
    "LP053 precompiled": lambda lib: "precompiled" not in lib.fields,
    "LC001 Arduino.h case": lambda lib: (
        not any(
            BAD_INCLUDE.search(path.read_text())
            for path in lib.files
            if path.suffix in (".c", ".h", ".cpp", ".ino")
        )
    ),
    "LD001 readme": lambda lib: any(README.fullmatch(p.name) for p in lib.folder.iterdir()),
    "LD002 license": lambda lib: any(LICENSE.fullmatch(p.name) for p in lib.folder.iterdir()),
    "LD003 no stray sketch": lambda lib: all(
        sketch.relative_to(lib.folder).parts[0] == "examples" for sketch in lib.sketches
    ),
    "LD004 examples": lambda lib: len(lib.sketches) > 0,
    "LD005 examples spelling": lambda lib: (
        lib.folders_like("e(x|xs|s)(am|ma)p(le|el)s?") == ["examples"]
    ),
    "SS001 sketch in a folder of its name": lambda lib: all(
        sketch.stem == sketch.parent.name for sketch in lib.sketches
    ),
    "SS002 sketch file names": lambda lib: all(
        BASE_NAME.fullmatch(path.name) for path in lib.sketch_files
    ),
    "SS003 sketch file name lengths": lambda lib: all(
        len(path.stem) <= 63 for path in lib.sketch_files
    ),
    "SS004 no .pde": lambda lib: all(sketch.suffix == ".ino" for sketch in lib.sketches),
}

RECOMMENDED_NAME_LENGTH = 16  # LP010, a warning of the level `specification`


def broken_rules(folder: Path) -> list[str]:
    """Names of the rules that the library in `folder` breaks."""
    library = Library(folder)
    return [name for name, holds in RULES.items() if not holds(library)]
