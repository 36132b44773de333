"""Measured costs on disk, by the content of all that they depend on."""

import hashlib
import json
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

from tflm_reds.boards.schema import FOLDER, Board
from tflm_reds.codegen.program import Program
from tflm_reds.codegen.toolchain import Compiler, target_flags
from tflm_reds.codegen.tuning.measure import Costs, cost_unit, measure
from tflm_reds.codegen.writer import KERNELS, render
from tflm_reds.errors import OutputError
from tflm_reds.files import cache_folder, write_text
from tflm_reds.sim import core_rules, cycles, thumb

RULES = (core_rules.__file__, cycles.__file__, thumb.__file__)


def measure_cached(
    programs: Sequence[Program], board: Board, compiler: Compiler, figure: str = "ws0"
) -> tuple[list[Costs], int]:
    """Like `measure`, and how many programs were really run; the others' costs were known.

    A damaged entry is measured again; a cache that cannot be written is none.
    """
    basis = _basis(board, compiler, figure)
    paths = [_path(program, basis) for program in programs]
    known = {path: _load(path, program) for path, program in zip(paths, programs, strict=True)}
    missing = {path: p for path, p in zip(paths, programs, strict=True) if known[path] is None}
    if missing:
        measured = measure(list(missing.values()), board, compiler, figure)
        for path, costs in zip(missing, measured, strict=True):
            known[path] = costs
            with suppress(OutputError):
                write_text(path, json.dumps({"costs": costs}) + "\n")
    return [known[path] for path in paths], len(missing)


def _basis(board: Board, compiler: Compiler, figure: str) -> bytes:
    """All but the program: core, compiler, flags, sources, and the rules of the count."""
    names = (board.core, compiler.version, target_flags(compiler, board.core_features))
    timing = None if figure == "ws0" else board.timing  # that figure is the core's alone
    digest = hashlib.sha256(repr((names, cost_unit(board.core), figure, timing)).encode())
    for path in [*sorted(KERNELS.glob("*.[ch]")), *sorted(FOLDER.glob("*.c")), *map(Path, RULES)]:
        digest.update(path.read_bytes())
    return digest.digest()


def _path(program: Program, basis: bytes) -> Path:
    digest = hashlib.sha256(basis)
    digest.update(render(program, "model.c.j2").encode())
    return cache_folder() / "tuning" / f"{digest.hexdigest()}.json"


def _load(path: Path, program: Program) -> Costs | None:
    """The costs in a file; None where there are none that make sense."""
    try:
        costs = json.loads(path.read_text())["costs"]
    except (OSError, ValueError, KeyError, TypeError):
        return None
    if not isinstance(costs, list) or len(costs) not in (0, program.subnet_count):
        return None
    return tuple(costs) if all(type(cost) is int and cost > 0 for cost in costs) else None
