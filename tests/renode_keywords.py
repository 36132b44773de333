"""Renode's Robot Framework keywords that the generated suites use, played on Unicorn.

Renode cannot be installed everywhere. With these keywords Robot Framework itself runs a generated
suite: on the console of the image that the suite's script loads, simulated by Unicorn. A command or
keyword that the generated files should not use is an error.
"""

import re
from contextlib import suppress
from functools import cache
from pathlib import Path
from types import SimpleNamespace

from tflm_reds.boards.schema import load_board
from tflm_reds.errors import SimulationError
from tflm_reds.sim.elf import Elf
from tflm_reds.sim.machine import Machine
from tflm_reds.sim.op_table import NO_OPS
from tflm_reds.sim.protocol import Limits

ROBOT_AUTO_KEYWORDS = False
ROBOT_LIBRARY_SCOPE = "TEST"
PLATFORM = r"machine LoadPlatformDescription \$ORIGIN/(\w+)\.repl"
IGNORED = (
    r"using sysbus", r'mach create "\w+"', r'emulation SetGlobalQuantum "0\.001"',
    r"emulation SetGlobalAdvanceImmediately true", r"showAnalyzer \w+",
)  # fmt: skip


@cache
def console_lines(board: str, elf: Path) -> tuple[str, ...]:
    """What the image prints on the board's serial port, until it halts or faults."""
    machine = Machine(load_board(board), Elf.load(elf), NO_OPS)
    with suppress(SimulationError):
        machine.boot(Limits(seconds=60))
    return tuple(machine.console.splitlines())


class renode_keywords:  # noqa: N801 (Robot Framework wants the name of the file)
    """One emulation: what `Execute Command` set up, and how far the console has been read."""

    def __init__(self):
        self.variables: dict[str, str] = {}
        self.macros: dict[str, list[str]] = {}
        self.board = self.elf = None
        self.position = 0
        self.log_tester = False
        self.failing: list[str] = []

    def execute_command(self, command: str) -> str:
        """A command of Renode's monitor."""
        if found := re.fullmatch(r"\$(\w+)(\??)=@(.+)", command):
            name, default, path = found.groups()
            if not default or name not in self.variables:
                self.variables[name] = path
        elif found := re.fullmatch(r"include @(.+)", command):
            self._include(Path(found[1]))
        elif found := re.fullmatch(r"runMacro \$(\w+)", command):
            for line in self.macros[found[1]]:
                self.execute_command(line.strip())
        elif found := re.fullmatch(PLATFORM, command):
            assert (self.origin / f"{found[1]}.repl").is_file()
            self.board = found[1]
        elif command == "sysbus LoadELF $bin":
            assert self.board, "no platform is loaded"
            self.elf = self.origin / self.variables["bin"]
        elif command == "machine EnableProfiler $metrics":
            Path(self.variables["metrics"]).write_bytes(b"")
        else:
            assert any(re.fullmatch(pattern, command) for pattern in IGNORED), command
        return ""

    def _include(self, script: Path) -> None:
        self.origin = script.parent
        lines = iter(script.read_text().splitlines())
        for line in lines:
            if found := re.fullmatch(r"macro (\w+)", line):
                assert next(lines) == '"""'
                self.macros[found[1]] = list(iter(lambda: next(lines), '"""'))
            elif line and line[0] not in "#:":
                self.execute_command(line)

    def create_terminal_tester(self, uart: str, timeout="8", defaultPauseEmulation="False"):  # noqa: N803
        assert uart == f"sysbus.{load_board(self.board).renode.uart}"
        assert float(timeout) > 0 and defaultPauseEmulation == "True"

    def create_log_tester(self, timeout: str, defaultPauseEmulation="False"):  # noqa: N803
        self.log_tester = float(timeout) > 0

    def register_failing_uart_string(self, text: str):
        self.failing.append(text)

    def should_not_be_in_log(self, text: str, timeout="1"):
        """Renode logs an unmapped access and goes on; Unicorn ends there, without a last line."""
        assert self.log_tester, "KeywordException: no log tester"
        assert float(timeout) == 0 and text == "non existing peripheral"

    def wait_for_line_on_uart(self, text: str, treatAsRegex="false"):  # noqa: N803
        """The next line that contains `text`; fails at a failing string or the end."""
        pattern = text if treatAsRegex == "true" else re.escape(text)
        for line in console_lines(self.board, self.elf)[self.position :]:
            self.position += 1
            assert not any(failing in line for failing in self.failing), line
            if found := re.search(pattern, line):
                return SimpleNamespace(Line=line, Groups=found.groups())
        raise AssertionError(f"Terminal tester failed: no line with {text}")
