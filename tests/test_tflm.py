"""The TFLM interpreter in its own process, and the cache of wheels."""

import os
import re
import signal
import subprocess
import sys
import textwrap
import time
from pathlib import Path

import numpy as np
import pytest
import random_nets
from tflm_wheels import custom_ops, pinned_wheel

from tflm_reds import tflm_wheel
from tflm_reds.errors import DataError, ModelError, RedsError, SimulationError, ToolchainError
from tflm_reds.tflite_io import write_stock_model
from tflm_reds.tflm import Interpreter

NET = random_nets.ds_cnn().slice(3)
INPUTS = random_nets.random_inputs(NET, 20)


@pytest.fixture
def model(tmp_path) -> Path:
    return write_stock_model(NET, tmp_path / "model.tflite")


@pytest.fixture
def wheel():
    return pinned_wheel()


def test_runs_batches_of_any_length(model, wheel):
    with Interpreter(model, wheel=wheel) as tflm:
        expected = NET.run(INPUTS, 0)
        for count in (0, 1, 20):
            assert np.array_equal(tflm.run(INPUTS[:count]), expected[:count])


def test_both_generations_give_the_same_bytes(model):
    outputs = []
    for pin in tflm_wheel.PINS:
        with Interpreter(model, wheel=pinned_wheel(pin)) as tflm:
            outputs.append(tflm.run(INPUTS))
    assert np.array_equal(*outputs)
    assert [pinned_wheel(pin).abi for pin in tflm_wheel.PINS] == [1, 2]


def test_arena_holds_at_least_input_and_output(model, wheel):
    with Interpreter(model, wheel=wheel) as tflm:
        assert tflm.arena_bytes >= NET.input.size + NET.output.size
        assert tflm.arena_bytes == tflm.arena_bytes


def test_too_small_an_arena_is_a_clear_error(model, wheel):
    with pytest.raises(ModelError, match=r"arena_limit is 1,024") as failure:
        Interpreter(model, wheel=wheel, arena_limit=1024)
    needed = int(re.search(r"needs ([\d,]+) bytes", str(failure.value))[1].replace(",", ""))
    with Interpreter(model, wheel=wheel) as tflm:
        assert tflm.arena_bytes == needed
    with Interpreter(model, wheel=wheel, arena_limit=needed + 512) as tflm:
        assert np.array_equal(tflm.run(INPUTS), NET.run(INPUTS, 0))


@pytest.mark.parametrize("x", [INPUTS.astype(np.float32), INPUTS[:, :-1]])
def test_inputs_of_another_type_or_shape_are_refused(x, model, wheel):
    with Interpreter(model, wheel=wheel) as tflm, pytest.raises(DataError, match="int8 inputs"):
        tflm.run(x)


def test_a_stock_model_has_no_subnets(model, wheel):
    with Interpreter(model, wheel=wheel) as tflm, pytest.raises(ModelError, match="no subnets"):
        tflm.run_switching(INPUTS, [0] * len(INPUTS))


def test_a_missing_file_is_a_clear_error(wheel, tmp_path):
    with pytest.raises(ModelError, match="Cannot read"):
        Interpreter(tmp_path / "none.tflite", wheel=wheel)


def test_a_foreign_file_is_a_clear_error(wheel, tmp_path):
    path = tmp_path / "foreign.tflite"
    path.write_bytes(b"PK\x03\x04 this is a zip file, renamed")
    with pytest.raises(ModelError, match="its identifier"):
        Interpreter(path, wheel=wheel)


@pytest.mark.parametrize("kept", [0, 7, 20, 0.3, 0.6, 0.9, 0.99])
def test_a_truncated_file_is_a_clear_error(kept, model, wheel):
    content = model.read_bytes()
    length = int(kept * len(content)) if isinstance(kept, float) else kept
    model.write_bytes(content[:length])
    with pytest.raises(ModelError, match="tflite"):
        Interpreter(model, wheel=wheel)


def test_a_damaged_file_never_takes_us_down(model, wheel):
    """Random bytes changed: it still runs, or gives one of our errors."""
    content = np.frombuffer(model.read_bytes(), np.uint8)
    random = np.random.default_rng(0)
    outcomes = set()
    for _ in range(30):
        damaged = content.copy()
        damaged[random.integers(0, len(content), 8)] = random.integers(0, 256, 8)
        model.write_bytes(damaged.tobytes())
        try:
            with Interpreter(model, wheel=wheel, time_limit=10) as tflm:
                outcomes.add(tflm.run(INPUTS[:1]).dtype)
        except RedsError as error:
            outcomes.add(type(error))
    assert len(outcomes) > 1


def test_a_crash_of_the_interpreter_becomes_an_error(model, wheel):
    with Interpreter(model, wheel=wheel) as tflm:
        os.kill(tflm.pid, signal.SIGSEGV)
        with pytest.raises(SimulationError, match="code -11"):
            tflm.run(INPUTS)


def test_the_time_limit_ends_a_long_run(model, wheel):
    many = np.broadcast_to(INPUTS[:1], (300_000, *NET.input.shape))
    with (
        Interpreter(model, wheel=wheel, time_limit=1) as tflm,
        pytest.raises(SimulationError, match="time limit of 1 s"),
    ):
        tflm.run(many)


def is_running(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().split(") ")[1][0] != "Z"
    except OSError:
        return False


def test_closing_ends_the_process(model, wheel):
    with Interpreter(model, wheel=wheel) as tflm:
        assert is_running(tflm.pid)
    assert not is_running(tflm.pid)


def test_the_process_ends_with_a_killed_parent(model, wheel):
    script = textwrap.dedent(f"""
        import sys; sys.path[:] = {sys.path!r}
        from tflm_reds.tflm import Interpreter
        print(Interpreter({str(model)!r}, wheel={wheel.version!r}).pid, flush=True)
        input()
    """)
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
    with subprocess.Popen([sys.executable, "-c", script], **pipes) as parent:
        worker = int(parent.stdout.readline())
        assert is_running(worker)
        parent.kill()
    deadline = time.monotonic() + 20
    while is_running(worker) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not is_running(worker)


def test_without_a_package_index_the_error_says_how_to_get_a_wheel(monkeypatch, tmp_path):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    with pytest.raises(ToolchainError, match="PIP_INDEX_URL"):
        tflm_wheel.find_wheel()
    assert not list((tmp_path / "tflm_reds").iterdir())


def test_a_vanished_pin_falls_back_to_the_next_and_says_so(monkeypatch, wheel):
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setattr(tflm_wheel, "PINS", ("0.dev1", wheel.version))
    with pytest.warns(RuntimeWarning, match=rf"0\.dev1.*Using tflite-micro {wheel.version}"):
        assert tflm_wheel.find_wheel() == wheel


def test_an_unwritable_cache_is_a_clear_error(monkeypatch, tmp_path):
    (tmp_path / "file").write_text("not a folder")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "file"))
    with pytest.raises(ToolchainError, match="XDG_CACHE_HOME"):
        tflm_wheel.find_wheel()


def test_a_runtime_of_an_unknown_generation_is_refused(tmp_path):
    strange = tflm_wheel.Wheel("9.9", tmp_path)
    strange.runtime.parent.mkdir(parents=True)
    strange.runtime.write_bytes(b"MicroMutableOpResolverILj200EE but no GetEvalInput")
    with pytest.raises(ToolchainError, match=r"9\.9 has a C\+\+ interface"):
        _ = strange.abi


def test_custom_ops_of_the_wrong_generation_are_a_clear_error(model):
    other = pinned_wheel(tflm_wheel.PINS[1])
    with pytest.raises(ToolchainError, match=r"abi=2"):
        Interpreter(model, custom_ops(abi=1), other)


def test_missing_custom_ops_are_a_clear_error(model, wheel, tmp_path):
    with pytest.raises(ToolchainError, match="build_custom_ops"):
        Interpreter(model, tmp_path / "none.so", wheel)
