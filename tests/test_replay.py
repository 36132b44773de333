"""Traces, their replay on this machine and in the simulated board, and the command around them."""

import importlib.util
import json
import re
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
import random_nets

from tflm_reds import governor, replay_output
from tflm_reds.boards.schema import load_board
from tflm_reds.codegen.governor.files import SubnetCost, worthwhile
from tflm_reds.codegen.lower import lower
from tflm_reds.codegen.writer import write_sources
from tflm_reds.errors import VerificationError
from tflm_reds.replay import Device
from tflm_reds.replay_board import BoardReplay, check_same
from tflm_reds.report.costs import subnet_costs
from tflm_reds.report.model import PlanFacts, Report, SubnetRow
from tflm_reds.stages import add_governor
from tflm_reds.traces import Request, load_trace, save_trace

EXAMPLES = Path(__file__).parents[1] / "examples" / "governor"
MILLISECONDS = ((9.0, 10.0), (18.0, 20.0), (27.0, 30.0), (36.0, 40.0))
ACCURACIES = (0.8, 0.85, 0.9, 0.95)


def make_report(name: str, subnets: int) -> Report:
    """The report of a build whose times are round."""
    rows = tuple(
        SubnetRow(
            index=k, budget=(k + 1) / subnets, widths={"a": k + 1}, ms_modelled=MILLISECONDS[k],
            energy_uj_modelled=tuple(10 * ms for ms in MILLISECONDS[k]),
            accuracy_int8=ACCURACIES[k], samples=1000,
        )
        for k in range(subnets)
    )  # fmt: skip
    plan = PlanFacts("optimal", 0.0, 0.1, "bottom-up", "width")
    return Report(name, "nano33ble", "gcc", 0, "0", plan, rows, flash_bytes={})


@pytest.fixture(scope="module")
def build(tmp_path_factory):
    """A folder as a build leaves it: report, int8 network, sources with the governor."""
    folder = tmp_path_factory.mktemp("build")
    net = random_nets.ds_cnn()
    net.save(folder / "quantized.npz")
    write_sources(lower(net), folder / "src")
    report = make_report(net.name, net.subnet_count)
    report.save(folder / "report.json")
    add_governor(report, load_board("nano33ble"), folder / "src")
    return folder


def device(subnets: int = 4, slowdown: float = 1.0) -> Device:
    costs = subnet_costs(make_report("net", subnets))
    return Device(costs, ACCURACIES[:subnets], slowdown)


def test_outcomes_by_hand():
    trace = [Request(i, deadline_us=us) for i, us in enumerate((45_999, 46_000, 39_999, 5000))]
    found = {o.policy: o for o in governor.replay_on_host(trace, device())}
    assert found["governor"].subnets == (3, 3, 2, 0)
    assert found["oracle"].subnets == (3, 3, 2, 0)
    assert [found[f"static {k}"].misses for k in range(4)] == [1, 1, 1, 2]
    assert found["governor"].accuracy == pytest.approx((0.95 + 0.95 + 0.9) / 4)
    assert found["governor"].accuracy_in_time == pytest.approx((0.95 + 0.95 + 0.9) / 3)
    assert found["governor"].energy_mj == pytest.approx(0.4 + 0.4 + 0.3 + 0.1)
    assert found["governor"].switches == 2 and found["static 3"].switches == 0


def test_a_slower_device_costs_the_governor_one_miss():
    trace = [Request(i, deadline_us=47_000, energy_uj=470) for i in range(40)]
    modelled, slow = device(), device(slowdown=1.3)
    assert governor.replay_on_host(trace, modelled)[0].subnets == (3,) * 40
    outcome, *static, oracle = governor.replay_on_host(trace, slow)
    assert outcome.subnets == (3,) + (2,) * 39 and outcome.misses == 1
    assert oracle.subnets == (2,) * 40 and static[3].misses == 40


def test_unknown_accuracies_stay_unknown():
    trace = [Request(0, deadline_us=25_000), Request(1, battery_permille=0)]
    unknown = replace(device(), accuracies=(None,) * 4)
    outcome = governor.replay_on_host(trace, unknown)[0]
    assert outcome.accuracy is None and outcome.accuracy_in_time is None
    assert outcome.subnets == (1, 0)
    assert "| - | - |" in replay_output.render_outcomes([outcome])


def test_traces_round_trip(tmp_path):
    trace = (Request(0.0, 5, None, 1000), Request(0.25, None, 7, 0), Request(0.25))
    assert load_trace(save_trace(trace, tmp_path / "a.csv")) == trace


@pytest.mark.parametrize("name", ["busy", "harvest"])
def test_examples_are_what_their_generator_makes(name):
    spec = importlib.util.spec_from_file_location("make_traces", EXAMPLES / "make_traces.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    assert load_trace(EXAMPLES / f"{name}.csv") == tuple(getattr(module, name)())


BAD_TRACES = {
    "time_s,deadline\n0,5\n": "has the columns time_s, deadline",
    "deadline_us\n5\n": "has the columns deadline_us",
    "time_s\n0\n": "one or more of",
    "": r"\(none\)",
    "time_s,deadline_us\n": "no row below its header",
    "time_s,deadline_us\n0,5\n1,x\n": "line 3: invalid literal",
    "time_s,deadline_us\n0,5,6\n": "line 2: its number of cells",
    "time_s,deadline_us\n0\n": "line 2: its number of cells",
    "time_s,deadline_us\nnan,5\n": "line 2: time_s is nan",
    "time_s,energy_uj\n0,-1\n": "line 2: energy_uj is -1",
    "time_s,energy_uj\n0,4294967295\n": "line 2: energy_uj is 4294967295",
    "time_s,battery_permille\n0,1001\n": "line 2: battery_permille is 1001",
    "time_s,deadline_us\n2,5\n1,5\n": "1 s comes after 2 s. Sort",
    "\xff": "codec can't decode",
}


@pytest.mark.parametrize("text", BAD_TRACES)
def test_bad_traces_are_refused(build, tmp_path, capsys, text):
    (tmp_path / "bad.csv").write_bytes(text.encode("latin-1"))
    arguments = [str(build), str(tmp_path / "bad.csv"), "--out", str(tmp_path / "out")]
    assert governor.main(arguments) == 3
    error = capsys.readouterr().err
    assert re.search(BAD_TRACES[text], error), error
    assert not (tmp_path / "out").exists()


def write_trace(folder: Path) -> Path:
    """Every subnet once at least, and every kind of limit."""
    deadlines = (12_000, 24_000, 60_000, 60_000, 31_000, 9000)
    trace = [Request(i, deadline_us=us) for i, us in enumerate(deadlines)]
    trace += [Request(7, energy_uj=250), Request(8, battery_permille=400), Request(9)]
    return save_trace(trace, folder / "trace.csv")


@pytest.mark.parametrize("board", [None, pytest.param("rpi_pico", marks=pytest.mark.slow)])
def test_command_on_host_and_simulated_board(build, tmp_path, capsys, board):
    out = tmp_path / "out"
    arguments = [str(build), str(write_trace(tmp_path)), "--out", str(out)]
    arguments += ["--board", board] if board else []
    assert governor.main([*arguments, "--simulate", "--slowdown", "1.2"]) == 0
    printed = capsys.readouterr().out
    assert "The simulated board chose the same 9 times" in printed
    assert "| governor | " in printed and "| oracle | " in printed
    rows = json.loads((out / "replay.json").read_text())
    assert rows[0]["policy"] == "governor" and rows[0]["requests"] == 9
    assert sum(rows[0]["subnet_shares"].values()) == pytest.approx(1)
    steps = (out / "steps.csv").read_text().splitlines()
    assert len(steps) == 10 and steps[1].startswith("0,12000,,,")
    assert (out / "firmware" / "ds_cnn.elf").stat().st_size > 1000
    if replay_output.can_plot():
        assert (out / "replay.png").read_bytes().startswith(b"\x89PNG")


def test_without_matplotlib_all_but_the_plot_is_written(build, tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(governor, "can_plot", lambda: False)
    arguments = [str(build), str(write_trace(tmp_path)), "--out", str(tmp_path / "out")]
    assert governor.main(arguments) == 0
    assert "tflm-reds[plot]" in capsys.readouterr().out
    names = {path.name for path in (tmp_path / "out").iterdir()}
    assert names == {"replay.md", "replay.json", "steps.csv"}


def test_without_unicorn_only_the_simulation_is_refused(build, tmp_path):
    code = (
        "import sys; sys.modules['unicorn'] = None\n"
        "from tflm_reds.governor import main; sys.exit(main(sys.argv[1:]))"
    )
    arguments = [str(build), str(write_trace(tmp_path)), "--out", str(tmp_path / "out")]
    for flags, status in (([], 0), (["--simulate"], 6)):
        command = [sys.executable, "-c", code, *arguments, *flags]
        done = subprocess.run(command, capture_output=True, text=True, cwd=EXAMPLES.parents[1])
        assert done.returncode == status, done.stderr
    assert "pip install 'tflm-reds[sim]'" in done.stderr


def test_command_refuses_a_wrong_build_and_slowdown(build, tmp_path, capsys):
    trace = str(write_trace(tmp_path))
    out = ["--out", str(tmp_path / "out")]
    assert governor.main([str(tmp_path), trace, *out]) == 2
    assert "is not a report" in capsys.readouterr().err
    assert governor.main([str(build), trace, *out, "--slowdown", "17"]) == 3
    assert "not between 1/16 and 16" in capsys.readouterr().err
    report = make_report("net", 3)
    rows = [replace(row, ms_modelled=None) for row in report.subnets]
    replace(report, subnets=tuple(rows)).save(tmp_path / "report.json")
    assert governor.main([str(tmp_path), trace, *out]) == 3
    assert "no modelled times" in capsys.readouterr().err
    assert governor.main([str(build), trace, "--out", str(tmp_path)]) == 9
    assert not (tmp_path / "out").exists()


def test_a_board_that_chooses_otherwise_is_refused():
    host = governor.replay_on_host([Request(0, 25_000), Request(1, 25_000)], device())[0]
    check_same(host, BoardReplay((1, 1), (5, 5)))
    with pytest.raises(VerificationError, match="Request 1 got subnet 2 on the board and 1"):
        check_same(host, BoardReplay((1, 2), (5, 5)))


def test_costs_of_a_report():
    costs = subnet_costs(make_report("net", 2))
    assert costs == (SubnetCost(0, 10_000, 100, 800), SubnetCost(1, 20_000, 200, 850))
    report = make_report("net", 2)
    rows = [replace(r, accuracy_int8=None, energy_uj_modelled=None) for r in report.subnets]
    unknown = subnet_costs(replace(report, subnets=tuple(rows)))
    assert unknown == (SubnetCost(0, 10_000, 0), SubnetCost(1, 20_000, 0))
    assert worthwhile(unknown) == unknown
