"""python -m tflm_reds.sweep: grids, results that survive a kill, failures, a Dask cluster."""

import json
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tflm_reds.errors import DataError, ToolchainError
from tflm_reds.sweep import Results, main, make_trials, parse_options, run_trials
from tflm_reds.trial import Trial

ROOT = Path(__file__).parents[1]
SHORT = ["float_epochs=5", "epochs=1", "budgets=[0.5]"]


def command(out: Path, *options: str) -> list[str]:
    return [sys.executable, "-m", "tflm_reds.sweep", "--out", str(out), *SHORT, *options]


def results_in(folder: Path) -> list[dict]:
    return [json.loads(path.read_text()) for path in sorted(folder.glob("*.json"))]


def start_and_wait_for_one(out: Path, *options: str) -> subprocess.Popen:
    """A running sweep that has finished its first trial."""
    running = subprocess.Popen(command(out, *options), cwd=ROOT, stderr=subprocess.DEVNULL)
    deadline = time.monotonic() + 400
    while not list(out.glob("*.json")) and time.monotonic() < deadline:
        assert running.poll() is None
        time.sleep(0.1)
    return running


def test_grid():
    options = parse_options(None, ["seed=[0, 1]", "epochs=3", "budgets=[[0.25, 0.5], [0.3]]"])
    trials = make_trials(options)
    assert len({trial.key for trial in trials}) == 4
    assert trials[0].options == {"seed": 0, "epochs": 3, "budgets": [0.25, 0.5]}
    assert make_trials({"budgets": [0.25, 0.5]})[0].options == {"budgets": [0.25, 0.5]}
    reordered = Trial(dict(reversed(trials[0].options.items())))
    assert reordered.key == trials[0].key


def test_toml_file(tmp_path):
    file = tmp_path / "sweep.toml"
    file.write_text('zoo = "digits_ds_cnn"\nseed = [0, 1, 2]\n')
    assert len(make_trials(parse_options(file, []))) == 3
    assert len(make_trials(parse_options(file, ["seed=7"]))) == 1


def test_runs_and_records_failures(tmp_path, capfd):
    """One trial ends well, one fails; a second run does neither again."""
    arguments = ["--out", str(tmp_path), *SHORT, 'zoo=["digits_ds_cnn", "nope"]']
    assert main(arguments) == 1
    output = capfd.readouterr().out
    assert "zoo=digits_ds_cnn  int8 accuracy at 50 %: 0." in output
    assert "zoo=nope  FAILED: ModelError: The zoo has no 'nope'" in output
    before = {path: path.stat().st_mtime_ns for path in tmp_path.glob("*.json")}
    assert main(arguments) == 1
    assert before == {path: path.stat().st_mtime_ns for path in tmp_path.glob("*.json")}
    done = next(r for r in results_in(tmp_path) if r["status"] == "done")
    assert done["subnets"][-1]["accuracy_int8"] > 0.4  # chance is 0.1
    assert done["samples"] > 100


def test_damaged_result_counts_as_none(tmp_path, capfd):
    results, trial = Results(tmp_path), Trial({"seed": 1})
    result = {"options": {"seed": 1}, "status": "failed", "error": "x"}
    results.save(trial, result)
    assert results.load(trial) == result
    path = next(tmp_path.glob("*.json"))
    for damage in (path.read_text()[:20], "[]", '{"options": {"seed": 2}, "status": "done"}'):
        path.write_text(damage)
        assert results.load(trial) is None
        assert "runs again" in capfd.readouterr().err


def test_bad_input(tmp_path, capsys):
    with pytest.raises(DataError, match="no option 'epoch'"):
        make_trials({"epoch": 3})
    with pytest.raises(DataError, match="leaves no trial"):
        make_trials({"seed": []})
    with pytest.raises(DataError, match="strings in quotes"):
        parse_options(None, ["zoo=dnn"])
    assert main(["a.toml", "b.toml", "--out", str(tmp_path)]) == DataError.exit_code
    pytest.importorskip("distributed")
    with pytest.raises(ToolchainError, match="No Dask scheduler answers"):
        run_trials([Trial({"seed": 0})], Results(tmp_path), dask="tcp://127.0.0.1:9")


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGINT])
def test_killed_sweep_resumes(tmp_path, number):
    running = start_and_wait_for_one(tmp_path, "seed=[0, 1]")
    running.send_signal(number)
    assert running.wait(60) == (130 if number == signal.SIGINT else -number)
    finished = {p: p.read_bytes() for p in tmp_path.glob("*.json")}
    assert len(finished) == 1
    subprocess.run(command(tmp_path, "seed=[0, 1]"), cwd=ROOT, check=True)
    assert [r["status"] for r in results_in(tmp_path)] == ["done", "done"]
    assert all(path.read_bytes() == content for path, content in finished.items())


@pytest.mark.slow
def test_failed_trial_is_retried_on_request(tmp_path):
    model = tmp_path / "late.npz"
    options = (f'calibration="{model}"', 'zoo="digits_ds_cnn"')
    failed = subprocess.run(command(tmp_path / "out", *options), cwd=ROOT, capture_output=True)
    assert failed.returncode == 1
    _write_digits(model)
    again = command(tmp_path / "out", *options)
    assert subprocess.run(again, cwd=ROOT, capture_output=True).returncode == 1
    assert subprocess.run([*again, "--retry-failed"], cwd=ROOT).returncode == 0


@pytest.mark.slow
def test_dask_cluster(tmp_path, monkeypatch):
    distributed = pytest.importorskip("distributed")
    monkeypatch.chdir(ROOT)
    with distributed.LocalCluster(
        n_workers=1, threads_per_worker=1, processes=False, dashboard_address=None
    ) as cluster:
        arguments = ["--out", str(tmp_path), "--dask", cluster.scheduler_address]
        assert main([*arguments, *SHORT, 'zoo=["digits_ds_cnn", "nope"]']) == 1
    assert sorted(r["status"] for r in results_in(tmp_path)) == ["done", "failed"]


def _write_digits(path: Path) -> None:
    import numpy as np

    from tflm_reds.datasets import load_dataset

    digits = load_dataset("digits")
    parts = {f"{a}_{p}": getattr(digits, f"{a}_{p}")
             for a in "xy" for p in ("validation", "test")}  # fmt: skip
    np.savez(path, x=digits.x_train, y=digits.y_train, **parts)
