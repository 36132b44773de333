"""The calibration image finds the figures of a clock that is known; its results become a board."""

import re
import shutil

import pytest

from tflm_reds import calibration
from tflm_reds.boards import board_file
from tflm_reds.boards.schema import FOLDER, load_board
from tflm_reds.calibration import build_calibration
from tflm_reds.calibration_fit import fit
from tflm_reds.errors import BoardError, DataError, DeviceError, SimulationError
from tflm_reds.sim.cycles import cycle_model
from tflm_reds.sim.elf import Elf
from tflm_reds.sim.machine import Machine
from tflm_reds.sim.op_table import NO_OPS
from tflm_reds.sim.protocol import Limits
from tflm_reds.sim.records import parse_records

PLAIN = {"refill": 2, "load": 2, "unaligned": 1, "data_wait_states": 0, "fetch_wait_states": 0}
SLOW = {"refill": 3, "load": 2.5, "unaligned": 2, "data_wait_states": 4.5, "fetch_wait_states": 7}


def run_with(firmware, figures) -> str:
    """The console of the image on a board whose cycle counter follows the model's `figures`."""
    elf, board = Elf.load(firmware.elf), firmware.board
    machine = Machine(board, elf, NO_OPS)
    model = cycle_model(board, elf.flash_image(board.image_origin))
    machine.counter.count_accesses(True)
    machine.clock = lambda: int(model.events(machine.counter.counts()).cycles(figures))
    machine.boot(Limits())
    return machine.console


@pytest.fixture(scope="module")
def nano(tmp_path_factory):
    """The image for the Nano."""
    return build_calibration(load_board("nano33ble"), tmp_path_factory.mktemp("nano"))


@pytest.fixture(scope="module")
def log(nano):
    """What it prints on a slow board."""
    return run_with(nano, SLOW)


@pytest.mark.parametrize("figures", [PLAIN, SLOW])
def test_the_figures_of_a_known_clock_are_found(nano, figures):
    found = fit(parse_records(run_with(nano, figures)), nano.board)
    assert found.figures == {name: (value, value) for name, value in figures.items()}
    assert len(found.checks) == 9 and all(check.holds for check in found.checks)


@pytest.mark.parametrize("name", ["mps2_an385", "rpi_pico"])
def test_other_cores(name, tmp_path):
    """A Cortex-M3, and a Cortex-M0+ whose counter is SysTick and which has no odd accesses."""
    board = load_board(name)
    found = fit(parse_records(run_with(build_calibration(board, tmp_path), SLOW)), board)
    known = {"refill", "load", "data_wait_states"} | (
        {"unaligned"} if name != "rpi_pico" else set()
    )
    assert found.figures == {key: (SLOW[key], SLOW[key]) for key in found.figures}
    assert found.figures.keys() == known
    assert all(check.holds for check in found.checks)


def test_a_rule_that_the_board_breaks_is_told(nano, log):
    turns = re.search(r"name=dual_multiply_add turns=(\d+) cycles=(\d+)", log)
    slower = int(turns[2]) + 8 * int(turns[1])
    broken = log.replace(turns[0], turns[0].replace(f"cycles={turns[2]}", f"cycles={slower}"))
    found = fit(parse_records(broken), nano.board)
    (check,) = [check for check in found.checks if not check.holds]
    assert (check.what, check.rule, check.board) == ("SMLAD", (1, 1), 2.0)
    assert "2 cycles, BUT THE RULES SAY 1" in calibration.summary(found, nano.board)


def test_loops_that_disagree_make_an_interval(nano, log):
    """A prefetch buffer serves neighbouring words: only far ones stall."""
    ram = re.search(r"name=walk_near_ram turns=\d+ cycles=(\d+)", log)[1]
    near = re.sub(r"(name=walk_near_flash turns=\d+ cycles=)\d+", rf"\g<1>{ram}", log)
    found = fit(parse_records(near), nano.board)
    assert found.figures["data_wait_states"] == (0.0, 4.5)


def command(*arguments):
    return calibration.main([*map(str, arguments)])


def test_command_writes_the_board_file(nano, log, tmp_path, monkeypatch, capsys):
    """The user's own board: figures change, comments and all else stay; again gives the same."""
    board = tmp_path / "mine.toml"
    shutil.copy(FOLDER / "nano33ble.toml", board)
    (tmp_path / "log.txt").write_text("boot noise\r\n" + log.replace("\n", "\r\n"))
    arguments = (tmp_path / "log.txt", "--board", board, "--out", tmp_path / "image")
    assert command(*arguments) == 0
    assert "refill" in capsys.readouterr().out
    before, after = (FOLDER / "nano33ble.toml").read_text(), board.read_text()
    assert load_board(board).timing.intervals == {k: (v, v) for k, v in SLOW.items()}
    origin = f"# measured: calibration image {nano.build}"
    changed = set(after.splitlines()) - set(before.splitlines())
    assert all(line.endswith(origin) for line in changed) and len(changed) == 5
    assert len(after.splitlines()) == len(before.splitlines()) + 3


def test_command_without_a_log_tells_what_to_do(tmp_path, capsys):
    assert command("--out", tmp_path, "--board", "nano33ble") == 0
    out = capsys.readouterr().out
    assert "calibration.elf" in out and "bossac" in out and "LOG_OR_PORT --board nano33ble" in out
    assert (tmp_path / "calibration.bin").stat().st_size > 10_000


def test_a_read_only_package_gets_a_copy_in_the_working_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(board_file.os, "access", lambda path, mode: False)
    assert board_file.writable_path("nano33ble") == tmp_path / "nano33ble.toml"
    target = board_file.writable_path("nano33ble")
    board_file.write_timing("nano33ble", target, {"load": (2.0, 2.25)}, "measured")
    assert load_board(target).timing.load == (2.0, 2.25)
    assert "load = [2, 2.25] # measured" in target.read_text()


def test_a_board_without_timing_gets_the_table(tmp_path):
    text = (FOLDER / "nano33ble.toml").read_text()
    start, end = text.index("[timing]"), text.index("[energy]")
    (tmp_path / "bare.toml").write_text(text[:start] + text[end:])
    out = board_file.write_timing(tmp_path / "bare.toml", tmp_path / "out.toml", PAIRS, "measured")
    assert load_board(out).timing.intervals["refill"] == (1.0, 3.0)


PAIRS = {"refill": (1.0, 3.0), "data_wait_states": (0.5, 0.5)}


def test_wrong_logs(nano, log, tmp_path):
    cut = "".join(line for line in log.splitlines(True) if "walk" not in line)
    with pytest.raises(DataError, match="no loops for data_wait_states"):
        fit(parse_records(cut), nano.board)
    half = "".join(line for line in log.splitlines(True) if "_ram" not in line)
    with pytest.raises(DataError, match="no loop walk_near_ram"):
        fit(parse_records(half), nano.board)
    fast = re.sub(r"(name=empty turns=\d+ cycles=)\d+", r"\g<1>64", log)
    with pytest.raises(DataError, match=r"empty took 2\.0 cycles a turn less"):
        fit(parse_records(fast), nano.board)
    path = tmp_path / "log.txt"
    path.write_text(log.replace(nano.build, "00000000"))
    with pytest.raises(SimulationError, match="another image ran"):
        calibration.read_run(str(path), nano.build)
    path.write_text(log.replace("REDS DONE failures=0\n", ""))
    with pytest.raises(SimulationError, match="without its final record"):
        calibration.read_run(str(path), nano.build)


def test_a_port_that_is_not_there(monkeypatch):
    monkeypatch.setattr("tflm_reds.serial_console.APPEAR_SECONDS", 0)
    with pytest.raises(DeviceError, match="nosuch"):
        calibration.read_run("/dev/nosuch", "00000000")


def test_a_core_without_a_cycle_model(tmp_path):
    with pytest.raises(BoardError, match=r"cortex-m7f.*could be calibrated"):
        build_calibration(load_board("stm32f746g_disco"), tmp_path)
