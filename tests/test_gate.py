"""Budgets of a build: what keeps them, what grew, and files that are none."""

from dataclasses import replace

import pytest

from tflm_reds import gate
from tflm_reds.errors import DataError, GrowthError
from tflm_reds.gate import Gate
from tflm_reds.report import PlanFacts, Report, SubnetRow


def report(**changes) -> Report:
    rows = tuple(
        SubnetRow(k, 0.5 + 0.5 * k, {"a": 4 + 4 * k}, instructions={"unicorn": 1000 * (k + 1)},
                  arena_bytes=100 + k, flash_bytes=5000 + k)
        for k in range(2)
    )  # fmt: skip
    plan = PlanFacts("optimal", 0.0, 0.1, "bottom-up", "width")
    return replace(Report("net", "nano33ble", "gcc 12", 0, "0", plan, rows, {}), **changes)


def grown(name: str, value, subnet: int = 1) -> Report:
    rows = list(report().subnets)
    rows[subnet] = replace(rows[subnet], **{name: value})
    return report(subnets=tuple(rows))


@pytest.fixture
def path(tmp_path):
    return gate.update(tmp_path / "budgets.toml", report())


def test_a_report_keeps_its_own_budgets(path):
    gate.check(Gate.load(path), report())
    assert Gate.load(path) == Gate.from_report(report())


def test_growth_within_the_tolerance_passes(path):
    gate.check(Gate.load(path), grown("instructions", {"unicorn": 2020}))
    gate.check(Gate.load(path), grown("flash_bytes", 5051))


@pytest.mark.parametrize(
    "name, value, row",
    [
        ("instructions", {"unicorn": 2021}, r"\| 1 \| instructions \| 2,000 \| 2,021 \| \+1"),
        ("arena_bytes", 102, r"\| 1 \| arena_bytes \| 101 \| 102 \| \+1.0 % \|"),
        ("flash_bytes", 5052, r"\| 1 \| flash_bytes \| 5,001 \| 5,052 \|"),
    ],
)  # fmt: skip
def test_what_grew_is_in_the_table(path, name, value, row):
    with pytest.raises(GrowthError, match=row) as caught:
        gate.check(Gate.load(path), grown(name, value))
    assert str(caught.value).startswith("1 figures of net exceed") and caught.value.exit_code == 13


def test_another_toolchain_is_told(path, tmp_path, capsys):
    other = grown("arena_bytes", 200)
    with pytest.raises(GrowthError, match=r"they are of gcc 12, this build is of clang 22"):
        gate.check(Gate.load(path), replace(other, toolchain="clang 22"))
    saved = replace(report(), toolchain="clang 22").save(tmp_path / "report.json")
    assert gate.main([str(saved), str(path)]) == 0
    assert "keeps its budgets (they are of gcc 12, this build" in capsys.readouterr().out


@pytest.mark.parametrize("changes", [{"model": "n"}, {"board": "b"}, {"subnets": ()}])
def test_budgets_of_another_build_are_refused(path, changes):
    with pytest.raises(GrowthError, match="budgets are for net on nano33ble with 2 subnets"):
        gate.check(Gate.load(path), report(**changes))


def test_a_figure_without_a_budget_is_not_checked(path):
    lines = path.read_text().splitlines()
    path.write_text("\n".join(line for line in lines if "flash_bytes = 50" not in line))
    gate.check(Gate.load(path), grown("flash_bytes", 9999))


def test_a_missing_figure_cannot_be_compared(path):
    with pytest.raises(DataError, match="no instructions of subnet 1"):
        gate.check(Gate.load(path), grown("instructions", {"unicorn": None}))


def test_command_checks_and_updates(path, tmp_path, capsys):
    saved = grown("arena_bytes", 150).save(tmp_path / "report.json")
    path.write_text(path.read_text().replace("arena_bytes = 0.0", "arena_bytes = 0.25"))
    assert gate.main([str(saved), str(path)]) == GrowthError.exit_code
    assert "| 1 | arena_bytes | 101 | 150 |" in capsys.readouterr().err
    assert gate.main([str(saved), str(path), "--update"]) == 0
    assert gate.main([str(saved), str(path)]) == 0
    assert Gate.load(path).tolerance["arena_bytes"] == 0.25


@pytest.mark.parametrize(
    "old, new, message",
    [
        ("[tolerance]", "[tolerance", "holds no budgets .*--update"),
        ('board = "nano33ble"', "", "holds no budgets"),
        ('board = "nano33ble"', 'board = "b"\ncolour = 1', "colour"),
        ("[[subnets]]", "[[subnet]]", "'subnets'"),
        ("arena_bytes = 100", "arena_bytes = -1", "arena_bytes = -1 is no budget"),
        ("arena_bytes = 100", "ram = 1", "ram = 1 is no budget"),
        ("instructions = 0.01", "instructions = true", "instructions = True is no budget"),
        ("instructions = 0.01", "instructions = nan", "instructions = nan is no budget"),
    ],
)
def test_files_that_hold_no_budgets(path, old, new, message):
    assert old in path.read_text()
    path.write_text(path.read_text().replace(old, new))
    with pytest.raises(DataError, match=message):
        Gate.load(path)


def test_a_missing_file(tmp_path):
    with pytest.raises(DataError, match=r"gone\.toml holds no budgets"):
        Gate.load(tmp_path / "gone.toml")
    assert gate.main([str(tmp_path / "gone.json"), str(tmp_path / "gone.toml")]) == 2
