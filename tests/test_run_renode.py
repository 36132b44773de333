"""Running the generated suite: with `renode-test` where it is, here with scripts in its place."""

import time
from dataclasses import replace
from pathlib import Path

import pytest
from fake_program import fake_program
from tiny_model import build

from tflm_reds.boards.schema import Renode
from tflm_reds.errors import SimulationError
from tflm_reds.sim.renode import check_in_renode, run_renode
from tflm_reds.sim.renode_files import write_renode_files


@pytest.fixture(scope="module")
def firmware(tmp_path_factory):
    return build(tmp_path_factory.mktemp("tiny"))


@pytest.fixture(scope="module")
def sources(firmware):
    return [*(firmware.elf.parents[1] / "sources").iterdir()]


@pytest.fixture(scope="module")
def suite(firmware, sources):
    return write_renode_files(firmware, sources, 100_000, firmware.elf.parent)[2]


def test_board_that_renode_does_not_know(firmware, tmp_path):
    board = replace(firmware.board, renode=Renode(missing="it has no file for the chip"))
    unknown = replace(firmware, board=board)
    with pytest.raises(SimulationError, match="does not know nano33ble: it has no file"):
        write_renode_files(unknown, [], 1000, tmp_path)
    verdict = check_in_renode(unknown, [], 1000, tmp_path)
    assert verdict.passed is None and "does not know nano33ble" in verdict.message
    assert not list(tmp_path.iterdir())


def test_a_failing_suite_fails_the_build(firmware, sources, tmp_path, monkeypatch):
    fake_program(tmp_path, "renode-test", "echo 'Subnet 1 FAILED'; exit 1", monkeypatch)
    with pytest.raises(SimulationError, match="Subnet 1 FAILED"):
        check_in_renode(firmware, sources, 1000, tmp_path)
    assert (tmp_path / "tiny.robot").exists()


def test_passing_suite(firmware, suite, tmp_path, monkeypatch):
    fake_program(tmp_path, "renode-test", f'echo "$@" > {tmp_path}/arguments', monkeypatch)
    verdict = run_renode(suite.parent, firmware.elf)
    assert verdict.passed is True
    arguments = (tmp_path / "arguments").read_text()
    assert arguments.startswith(f"--variable ELF:{firmware.elf.resolve()} -r ")
    assert arguments.endswith("--exclude metrics " + str(suite.resolve()) + "\n")


def test_failing_suite_shows_the_output(firmware, suite, tmp_path, monkeypatch):
    fake_program(tmp_path, "renode-test", "echo 'Subnet 1 FAILED'; exit 1", monkeypatch)
    verdict = run_renode(suite.parent, firmware.elf)
    assert verdict.passed is False
    assert "exit code 1" in verdict.message and "Subnet 1 FAILED" in verdict.message


def test_hanging_renode_is_killed_with_its_children(firmware, suite, tmp_path, monkeypatch):
    fake_program(
        tmp_path, "renode-test", f"sleep 60 & echo $! > {tmp_path}/child; wait", monkeypatch
    )
    with pytest.raises(SimulationError, match="did not end within 1 seconds"):
        run_renode(suite.parent, firmware.elf, seconds=1)
    child = Path("/proc") / (tmp_path / "child").read_text().strip()
    for _ in range(100):
        # A killed child stays a zombie until the machine's init collects it.
        if not child.exists() or "Z" in (child / "stat").read_text().split()[2]:
            return
        time.sleep(0.05)
    pytest.fail("the child of renode-test is still running")


def test_without_renode_it_says_how_to_get_it(firmware, suite, tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", str(tmp_path))
    verdict = run_renode(suite.parent, firmware.elf)
    assert verdict.passed is None
    for word in ("1.16.1", "linux-portable", "PATH", "tests/requirements.txt"):
        assert word in verdict.message


def test_folder_without_a_suite(firmware, tmp_path):
    with pytest.raises(SimulationError, match=r"holds no \.robot suite"):
        run_renode(tmp_path, firmware.elf)
