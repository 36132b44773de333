"""Board: everything this project knows about one microcontroller board, read from TOML."""

import re
import tomllib
from collections.abc import Mapping
from dataclasses import MISSING, Field, dataclass, field, fields, is_dataclass
from math import inf
from pathlib import Path
from types import UnionType
from typing import Any, get_args, get_origin, get_type_hints

from tflm_reds.codegen.cores import CORES, Core
from tflm_reds.errors import BoardError

FOLDER = Path(__file__).resolve().parent


@dataclass(frozen=True)
class Memory:
    """One memory region; addresses and sizes in bytes."""

    origin: int
    size: int

    @property
    def end(self) -> int:
        """First address behind the region."""
        return self.origin + self.size


Interval = tuple[float, float]
"""(lowest, highest)"""


@dataclass(frozen=True)
class Timing:
    """What the cycle model must know of a board beside its core, in cycles.

    Attributes:
        data_wait_states: stalls of a data read from flash.
        fetch_wait_states: stalls of a line of code that the instruction cache does not hold.
        cache_bytes, cache_line_bytes: of that cache, modelled as fully associative; a board without
            one has a single line, the width of its flash. 0: fetches are taken not to stall.
        refill, load, unaligned: of the pipeline after a branch, of a load that is not pipelined, of
            an access at an odd halfword; measured by `tflm_reds.calibration`, else the core's.
    """

    data_wait_states: Interval = (0.0, 0.0)
    fetch_wait_states: Interval = (0.0, 0.0)
    cache_bytes: int = 0
    cache_line_bytes: int = 0
    refill: Interval | None = None
    load: Interval | None = None
    unaligned: Interval | None = None

    @property
    def intervals(self) -> dict[str, Interval]:
        """Those that are known, by name."""
        return {name: v for name, v in vars(self).items() if isinstance(v, tuple)}


@dataclass(frozen=True)
class Energy:
    """Supply voltage and the interval of the current while the core computes."""

    voltage_v: float
    active_current_ma: Interval

    @property
    def power_mw(self) -> Interval:
        """(lowest, highest) power; times milliseconds this is microjoules."""
        low, high = self.active_current_ma
        return self.voltage_v * low, self.voltage_v * high


@dataclass(frozen=True)
class Tools:
    """What runs and flashes the board's image; empty where there is nothing.

    Attributes:
        simulators: those that run the image.
        qemu_machine: the machine of QEMU that has the board's core and memory; if there is none,
            the image is linked again for a machine with the same core.
        flash: the command; {bin}, {elf}, {port} and {port_file} (the port without its folder) are
            replaced.
        arduino: name of the board for arduino-cli (FQBN); empty where there is none.
    """

    simulators: tuple[str, ...]
    qemu_machine: str = ""
    flash: str = ""
    arduino: str = ""


@dataclass(frozen=True)
class Registers:
    """Address range of a peripheral that the image writes to and a simulator has no model of."""

    name: str
    origin: int
    size: int


@dataclass(frozen=True)
class Renode:
    """The board in Renode: what the generated platform file is made of.

    Attributes:
        platform: Renode's own file of the chip; empty where it has none.
        missing: why it has none.
        uart: the serial port's name in that file.
        init: commands in place of the platform's own, which download a file.
        registers: peripherals that the platform lacks; they become plain memory.
    """

    platform: str = ""
    missing: str = "its TOML file has no [renode] table"
    uart: str = "uart0"
    init: tuple[str, ...] = ()
    registers: tuple[Registers, ...] = ()


@dataclass(frozen=True)
class Board:
    """One `boards/<name>.toml`.

    Attributes:
        chip: selects `chip_<chip>.c`, the code for clock, cache and serial port; "none" for a core
            and memory without them, which prints by semihosting.
        core: a key of `tflm_reds.codegen.cores.CORES`.
        clock_hz: that the chip's code sets.
        image_origin: address of the image's vector table, behind a bootloader if there is one.
        stack_bytes: reserved at the bottom of RAM, so that an overflow leaves RAM and faults.
        peripherals: base addresses by name; the chip's code reads them as BOARD_<NAME>.
        serial: of its port: pin, clock; likewise BOARD_SERIAL_<NAME>.
        energy: None where no document tells the current.
    """

    name: str
    title: str
    chip: str
    core: str
    clock_hz: int
    image_origin: int
    stack_bytes: int
    flash: Memory
    ram: Memory
    tools: Tools
    peripherals: Mapping[str, int] = field(default_factory=dict)
    serial: Mapping[str, int] = field(default_factory=dict)
    renode: Renode = Renode()
    timing: Timing = Timing()
    energy: Energy | None = None

    @property
    def image_flash_bytes(self) -> int:
        """Flash that an image may fill: from its origin to the end of the region."""
        return self.flash.end - self.image_origin

    @property
    def core_features(self) -> Core:
        """Compiler flags and features of the core."""
        return CORES[self.core]


def available_boards() -> list[str]:
    """Names of the boards that come with this package."""
    return sorted(path.stem for path in FOLDER.glob("*.toml"))


def load_board(name_or_path: str | Path) -> Board:
    """Read a board by its name, or from a TOML file of the user's own.

    Raises:
        BoardError: if there is no such board, or a key is missing, unknown or invalid.
    """
    path = Path(name_or_path)
    if path.suffix != ".toml":
        path = FOLDER / f"{name_or_path}.toml"
    try:
        table = tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise BoardError(
            f"No board {name_or_path}. Available: {', '.join(available_boards())}; or give the "
            "path of a .toml file of the same form."
        ) from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise BoardError(f"{path} is not valid TOML: {error}.") from error
    board = _build(Board, table, path.name)
    _check(board, path.name)
    return board


def _build(kind: type, table: Any, where: str) -> Any:
    """An object of dataclass `kind` from a TOML table with exactly its keys."""
    if not isinstance(table, dict):
        raise BoardError(f"{where} must be a table, got {table!r}.")
    names = [field.name for field in fields(kind)]
    required = [field.name for field in fields(kind) if _is_required(field)]
    if missing := [name for name in required if name not in table]:
        raise BoardError(f"{where} lacks the key {missing[0]}. Required: {', '.join(required)}.")
    if unknown := [name for name in table if name not in names]:
        raise BoardError(f"{where} has the unknown key {unknown[0]}. Known: {', '.join(names)}.")
    types = get_type_hints(kind)
    return kind(**{key: _value(types[key], table[key], f"{where}: {key}") for key in table})


def _is_required(of: Field) -> bool:
    return of.default is MISSING and of.default_factory is MISSING


def _value(kind: Any, value: Any, where: str) -> Any:
    if get_origin(kind) is UnionType:  # X | None; TOML has no null: the key is left out
        kind = next(option for option in get_args(kind) if option is not type(None))
    if is_dataclass(kind):
        return _build(kind, value, where)
    if get_origin(kind) is Mapping:
        if not isinstance(value, dict):
            raise BoardError(f"{where} must be a table, got {value!r}.")
        item = get_args(kind)[1]
        return {name: _value(item, value[name], f"{where}: {name}") for name in value}
    if get_origin(kind) is tuple:
        items = get_args(kind)
        if not isinstance(value, list) or (items[-1] is not ... and len(value) != len(items)):
            count = "a list" if items[-1] is ... else f"a list of {len(items)} values"
            raise BoardError(f"{where} must be {count}, got {value!r}.")
        return tuple(_value(items[0], item, where) for item in value)
    accepted = (int, float) if kind is float else kind
    if not isinstance(value, accepted) or isinstance(value, bool):
        raise BoardError(f"{where} must be of type {kind.__name__}, got {value!r}.")
    return kind(value)


def _check(board: Board, where: str) -> None:
    """Refuse values that no real board has."""
    inside_flash = board.flash.origin <= board.image_origin < board.flash.end
    timing = board.timing
    sizes = timing.cache_bytes, timing.cache_line_bytes
    problems = {
        f"core {board.core} is unknown; known: {', '.join(CORES)}": board.core not in CORES,
        f"chip {board.chip} has no chip_{board.chip}.c": not chip_source(board).exists(),
        "clock_hz must be positive": board.clock_hz <= 0,
        "flash and ram sizes must be positive": min(board.flash.size, board.ram.size) <= 0,
        f"image_origin {board.image_origin:#x} is not in flash": not inside_flash,
        "image_origin must be a multiple of 512 (VTOR)": board.image_origin % 512 != 0,
        "stack_bytes must be a multiple of 8 within ram": (
            board.stack_bytes % 8 != 0 or not 0 < board.stack_bytes < board.ram.size
        ),
        f"timing: cache of {sizes[0]} bytes in lines of {sizes[1]}: powers of 2, or 0 and 0": (
            not (sizes == (0, 0) or sizes[0] >= sizes[1] > 0)
            or any(size & (size - 1) for size in sizes)
        ),
    }
    intervals = {f"timing: {name}": interval for name, interval in timing.intervals.items()}
    if board.energy:
        intervals["energy: active_current_ma"] = board.energy.active_current_ma
        problems["energy: voltage_v must be positive"] = not board.energy.voltage_v > 0
    for name, (low, high) in intervals.items():
        problems[f"{name} {low:g}, {high:g} must be ordered and not negative"] = not (
            0 <= low <= high < inf
        )
    for message, found in problems.items():
        if found:
            raise BoardError(f"{where}: {message}.")
    _check_chip_values(board, where)


def _check_chip_values(board: Board, where: str) -> None:
    """The file must name the addresses and values that the chip's code reads."""
    given = {name.upper() for name in board.peripherals}
    given |= {f"SERIAL_{name.upper()}" for name in board.serial}
    for name in sorted(_names_read(chip_source(board)) - given):
        table = "serial" if name.startswith("SERIAL_") else "peripherals"
        key = name.removeprefix("SERIAL_").lower()
        raise BoardError(f"{where}: {table} lacks the key {key}, which chip_{board.chip}.c reads.")


def _names_read(source: Path) -> set[str]:
    """Names behind BOARD_ in a file, and in the files of its folder that it includes."""
    text = source.read_text(encoding="utf-8")
    names = set(re.findall(r"\bBOARD_([A-Z0-9_]+)\b", text)) - {"H_", "CLOCK_HZ", "IMAGE_ORIGIN"}
    included = [FOLDER / name for name in re.findall(r'#include "(.+?)"', text)]
    return names.union(*(_names_read(path) for path in included if path.exists()))


def chip_source(board: Board) -> Path:
    """The C file that drives the board's chip."""
    return FOLDER / f"chip_{board.chip}.c"
