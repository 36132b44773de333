"""The generated Renode files keep to the rules that were seen to work in Renode 1.16.1."""

import re
from pathlib import Path

import pytest
import tiny_model
from robot import api
from tiny_model import build

from tflm_reds.boards.schema import available_boards, load_board
from tflm_reds.sim.elf import Elf
from tflm_reds.sim.records import parse_records
from tflm_reds.sim.renode_files import write_renode_files
from tflm_reds.sim.unicorn import UnicornSession

BOARDS = [name for name in available_boards() if load_board(name).renode.platform]


on_one_board = pytest.mark.parametrize("board", BOARDS[:1], indirect=True, scope="module")


@pytest.fixture(scope="module", params=BOARDS)
def board(request):
    return load_board(request.param)


@pytest.fixture(scope="module")
def session(board, tmp_path_factory):
    return UnicornSession(build(tmp_path_factory.mktemp("tiny"), board=board))


def write(session, folder, instructions=None):
    """The paths of the generated files by what they are."""
    sources = [*(session.firmware.elf.parents[1] / "sources").iterdir()]
    count = session.boot_instructions if instructions is None else instructions
    paths = write_renode_files(session.firmware, sources, count, folder)
    return dict(zip(("repl", "resc", "robot", "faulty", "governor"), paths, strict=True))


@pytest.fixture(scope="module")
def files(session):
    folder = session.firmware.elf.parent
    files = write(session, folder)
    board = session.firmware.board.name
    names = [f"{board}.repl", "tiny.resc", "tiny.robot", "tiny_faulty.elf", "governor/tiny.elf"]
    assert [str(path.relative_to(folder)) for path in files.values()] == names
    return files


def test_boards_that_renode_knows():
    assert BOARDS == ["nano33ble", "stm32f4_disco", "stm32f746g_disco"]
    page = (Path(__file__).parents[1] / "docs" / "renode.md").read_text()
    for name in BOARDS:
        assert "renode" in load_board(name).tools.simulators
        assert f"`{load_board(name).renode.platform}`" in page


@pytest.mark.parametrize("name", sorted(set(available_boards()) - set(BOARDS)))
def test_other_boards_tell_why(name):
    board = load_board(name)
    assert "1.16.1" in board.renode.missing and "renode" not in board.tools.simulators


def run_suite(suite: Path, output: Path, exclude: str | None = None, **options) -> dict[str, str]:
    """Robot Framework's status of each test, with the keywords of renode_keywords.py."""
    robot = api.TestSuite.from_file_system(suite)
    robot.configure(exclude_tags=exclude)
    robot.resource.imports.library(str(Path(__file__).with_name("renode_keywords.py")))
    result = robot.run(output=output / "output.xml", console="none", **options)
    return {test.name: test.status for test in result.suite.tests}


def test_suite_is_valid_for_robot_framework(files, tmp_path):
    statuses = run_suite(files["robot"], tmp_path, dryrun=True)
    assert set(statuses.values()) == {"PASS"} and "Boots This Build" in statuses


def test_suite_passes_on_the_image(files, tmp_path):
    statuses = run_suite(files["robot"], tmp_path)
    assert set(statuses.values()) == {"PASS"}, statuses
    assert len(statuses) == tiny_model.SUBNETS + 8
    assert (files["robot"].parent / "metrics.dump").exists()


@on_one_board
def test_metrics_can_be_left_out(files, tmp_path):
    (files["robot"].parent / "metrics.dump").unlink(missing_ok=True)
    assert "Writes Its Metrics" not in run_suite(files["robot"], tmp_path, exclude="metrics")
    assert not (files["robot"].parent / "metrics.dump").exists()


def test_suite_fails_on_an_image_with_a_wrong_checksum(files, tmp_path):
    statuses = run_suite(files["robot"], tmp_path, variable=[f"ELF:{files['faulty']}"])
    assert statuses["Boots This Build"] == "PASS"
    assert statuses["Subnet 0 Gives The Results Of The Reference"] == "FAIL"
    assert statuses["Subnet 1 Gives The Results Of The Reference"] == "PASS"
    assert statuses["Ends With Its Final Record"] == "FAIL"


@on_one_board
def test_suite_fails_where_the_governor_is_missing(files, tmp_path):
    statuses = run_suite(files["robot"], tmp_path, variable=[f"GOVERNOR:{files['faulty']}"])
    failed = [name for name, status in statuses.items() if status == "FAIL"]
    assert failed == ["Governor Picks The Subnet For Each Deadline"]


@on_one_board
def test_suite_fails_on_another_build(board, files, tmp_path):
    other = build(tmp_path / "other", "sum += 1; sum -= 1;" * 2, board=board)
    statuses = run_suite(files["robot"], tmp_path, variable=[f"ELF:{other.elf}"])
    assert statuses["Boots This Build"] == "FAIL"


@on_one_board
def test_suite_fails_on_a_fault(board, files, tmp_path):
    jump = 'if (state->active == 1) __asm volatile("udf #0");'
    other = build(tmp_path / "other", jump, board=board)
    statuses = run_suite(files["robot"], tmp_path, variable=[f"ELF:{other.elf}"])
    assert statuses["Subnet 0 Gives The Results Of The Reference"] == "PASS"
    assert statuses["Subnet 1 Gives The Results Of The Reference"] == "FAIL"


@on_one_board
def test_faulty_image_differs_in_one_bit_and_in_its_checksum(session, files):
    faulty = Elf.load(files["faulty"])
    expected, checksum = (faulty.symbol(f"firmware_{n}").address for n in ("expected", "checksum"))
    good = session.elf.patched(checksum, faulty.read(checksum, 4))
    bits = int.from_bytes(good, "little") ^ int.from_bytes(files["faulty"].read_bytes(), "little")
    assert bits.bit_count() == 1
    assert faulty.read(expected, 4) != session.elf.read(expected, 4)
    assert faulty.read(checksum, 4) != session.elf.read(checksum, 4)


def test_platform_indents_by_four_spaces_and_has_no_hash_comments(files):
    text = files["repl"].read_text()
    assert "\t" not in text and "#" not in text
    for line in text.splitlines():
        indent = len(line) - len(line.lstrip(" "))
        assert indent % 4 == 0, line


def test_platform_needs_no_network(files):
    text = files["repl"].read_text()
    assert "http" not in text and "ApplySVD" not in text
    # A later init replaces the platform's own, which downloads.
    assert re.search(r"^sysbus:\n    init:\n        Tag <", text, re.MULTILINE)
    assert "init add" not in text
    assert "http" not in files["resc"].read_text()


def test_platform_sets_clock_and_cycle_counter(board, files):
    text = files["repl"].read_text()
    assert text.splitlines()[1] == f'using "{board.renode.platform}"'
    assert board.clock_hz % 1_000_000 == 0  # so that the counter counts instructions
    assert f"cpu:\n    PerformanceInMips: {board.clock_hz // 1_000_000}\n" in text
    assert f"nvic:\n    systickFrequency: {board.clock_hz}\n" in text
    counter = f"Miscellaneous.DWT @ sysbus 0xE0001000\n    frequency: {board.clock_hz}\n"
    assert f"dwt: {counter}" in text


def test_no_object_is_created_twice(files):
    names = re.findall(r"^(\w+):", files["repl"].read_text(), re.MULTILINE)
    assert len(names) == len(set(names))


def test_script_lets_the_caller_choose_the_image(board, files):
    lines = files["resc"].read_text().splitlines()
    assert "$bin?=@tiny.elf" in lines
    assert f"machine LoadPlatformDescription $ORIGIN/{board.name}.repl" in lines
    start = lines.index("macro reset")
    assert lines[start + 1 : start + 4] == ['"""', "    sysbus LoadELF $bin", '"""']
    assert lines[start + 4] == "runMacro $reset"
    assert not any(line.startswith("start") for line in lines)  # the suite starts it


def test_suite_sets_the_image_before_the_script(files):
    text = files["robot"].read_text()
    assert "\t" not in text
    assert text.index("$bin=@${image}") < text.index("include @${SCRIPT}")
    assert "defaultPauseEmulation=True" in text
    # A failing log string would not end a wait for a line: Renode looks at it in waits for the log.
    assert "Register Failing Log String" not in text
    assert text.index("Create Log Tester") < text.index("Should Not Be In Log")
    assert text.index("Create Terminal Tester") < text.index("Register Failing Uart String")
    assert "Register Failing Uart String    REDS FAULT" in text


def test_suite_waits_for_every_result(session, files):
    waits = re.findall(
        r"Wait For Line On Uart    (REDS RESULT subnet.*)", files["robot"].read_text()
    )
    results = [record for record in parse_records(session.console) if record.kind == "RESULT"]
    assert len(waits) == len(results) + 1  # the one of the faulty image


def test_suite_has_a_test_for_each_subnet(files):
    cases = re.findall(r"^(Subnet \d+) ", files["robot"].read_text(), re.MULTILINE)
    assert cases == [f"Subnet {k}" for k in range(tiny_model.SUBNETS)]


@on_one_board
def test_time_limit_is_virtual_and_grows_with_the_instructions(session, tmp_path):
    def timeout(instructions):
        robot = write(session, tmp_path, instructions)["robot"].read_text()
        return float(re.search(r"\$\{TIMEOUT\} +([\d.]+)", robot)[1])

    least = timeout(0)
    assert least > 1
    assert timeout(session.firmware.board.clock_hz) - least == pytest.approx(2.0, abs=0.11)


@on_one_board
def test_files_are_deterministic_and_hold_no_path(session, files, tmp_path):
    for kind, path in write(session, tmp_path).items():
        content = path.read_bytes()
        assert content == files[kind].read_bytes()
        assert bytes(Path.home()) not in content and bytes(tmp_path) not in content


def test_governor_visits_every_subnet_twice(files):
    steps = re.findall(r"REDS STEP index=(\d+) subnet=(\d+) fits=(\d)", files["robot"].read_text())
    assert [int(subnet) for _, subnet, _ in steps] == [0, 1, 2, 2, 1, 0, 0]
    assert [int(fits) for *_, fits in steps] == [1] * 6 + [0]
