"""`python -m tflm_reds.build` as a user runs it: the whole story, and every kind of bad input."""

import dataclasses
import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import keras
import numpy as np
import pytest
from fake_program import fake_program
from keras_models import data, make

from tflm_reds import build, device, gate, stages
from tflm_reds.codegen import toolchain
from tflm_reds.codegen.governor.files import worthwhile
from tflm_reds.device_options import DeviceOptions
from tflm_reds.errors import DataError, GrowthError, QuantizationError
from tflm_reds.options import BuildOptions
from tflm_reds.report import Report
from tflm_reds.report.costs import subnet_costs

ROOT = Path(__file__).parents[1]


@pytest.fixture(scope="module")
def workspace(tmp_path_factory):
    """A trained model file and its data file."""
    folder = tmp_path_factory.mktemp("user")
    model = make("ds_cnn", seed=1)
    x, y = data(model, 240)
    model.save(folder / "net.keras")
    np.savez(folder / "net.npz", x=x[:160], y=y[:160], x_validation=x[160:200],
             y_validation=y[160:200], x_test=x[200:], y_test=y[200:])  # fmt: skip
    return folder


def run(workspace, *flags, model="net.keras", calibration="net.npz", out="out"):
    """Exit status of one small build."""
    arguments = [str(workspace / model), "--calibration", str(workspace / calibration),
                 "--out", str(workspace / out), "--epochs", "1", "--compare", "12",
                 "--no-tflm", *map(str, flags)]  # fmt: skip
    return build.main(arguments)


@pytest.fixture(scope="module")
def built(workspace):
    """The folder of a build that succeeded."""
    assert run(workspace, "--quiet", "--package", "cmake", "--standalone", out="built") == 0
    return workspace / "built"


def test_both_models_for_tflm_are_written_even_without_its_wheel(built):
    names = {path.name for path in (built / "tflm").iterdir()}
    assert names == {"model_reds.tflite", "model_full.tflite"}


def test_the_package_holds_the_builds_sources_and_samples(built):
    package = built / "packages" / "cmake" / "built_model"
    names = {path.name for path in (built / "src").iterdir()}
    assert {path.name for path in (package / "src").iterdir()} == names
    model = (built / "src" / "built_model.c").read_text()
    assert (package / "src" / "built_model.c").read_text().startswith(model)
    samples = np.load(built / "samples.npy")
    assert len(samples) == stages.EMBEDDED_SAMPLES and samples.dtype == np.int8


def test_the_folder_is_ready_to_be_flashed(built, tmp_path, monkeypatch):
    fake_program(tmp_path, "arduino-cli", f'echo "$@" >> {tmp_path}/calls', monkeypatch)
    assert device.main([str(built), "--flash", "--port", "COM3"]) == 0
    assert (tmp_path / "calls").read_text().endswith(f"{built / 'firmware/sketch/built'}\n")


def test_options_for_a_board():
    def options(*arguments):
        parsed = build.parse_arguments(["net.keras", *arguments])
        return BuildOptions.from_arguments(vars(parsed))

    assert options().device == DeviceOptions() and not options().device
    assert options("--flash").device == DeviceOptions(upload=True)
    assert options("--flash").flash is None
    assert options("--flash", "65536").flash == [65536]  # a budget
    assert not options("--flash", "65536").device
    given = options("--flash", "--bare", "--serial", "/dev/ttyUSB0", "--seconds", "9").device
    assert given == DeviceOptions(True, True, None, "/dev/ttyUSB0", 9.0)


def test_report_has_the_agreed_names_and_consistent_numbers(built):
    report = json.loads((built / "report.json").read_text())
    assert report["schema"] == 1 and report["board"] == "nano33ble"
    assert {"status", "gap", "seconds", "direction"} <= set(report["plan"])
    assert report["switch_instructions"] < 16
    macs = [subnet["macs"] for subnet in report["subnets"]]
    assert macs == sorted(macs) and len(macs) == 4
    for k, subnet in enumerate(report["subnets"]):
        assert subnet["index"] == k and subnet["mac_fraction"] <= subnet["budget"]
        assert subnet["first_after_switch_instructions"] <= 64
        assert subnet["differing_bytes"]["host"] == subnet["differing_bytes"]["unicorn"] == 0
        assert subnet["differing_bytes"]["qemu"] is None
        assert subnet["instructions"]["unicorn"] > sum(subnet["instructions_per_op"].values()) > 0
        low, high = subnet["cycles_modelled"]
        assert low <= subnet["cycles_modelled_ws0"] <= subnet["cycles_modelled_ws2"] <= high
        assert subnet["samples"] == 40 and subnet["compared_inputs"] == 12
        assert list(subnet["instructions_per_op"]) == ["conv1", "dw1", "pw1", "pool", "fc"]
    assert 0 < report["arena_used_bytes"] <= report["subnets"][-1]["arena_bytes"]
    assert 0 < report["stack_bytes"] < 4096
    assert report["optimize"] == "speed" and report["live_bytes"] <= arenas(report)[-1]
    choices = {op["name"]: op for op in report["ops"]}
    assert list(choices) == list(report["subnets"][0]["instructions_per_op"])
    pointwise = choices["pw1"]
    assert pointwise["kernel"] == "reds_convolve_1x1_s8" and pointwise["why"]
    assert pointwise["why_kernel"].startswith("the fastest; reds_convolve_s8 ")
    assert report["cost_unit"] == "modelled cycles" and report["notes"][0].startswith("Candidates")
    for candidate in pointwise["candidates"]:
        assert len(candidate["costs"]) == 4 and min(candidate["costs"]) > 0
    parts = report["flash_bytes"]
    assert parts["total"] == sum(size for part, size in parts.items() if part != "total")
    flash = [subnet["flash_bytes"] for subnet in report["subnets"]]
    assert flash == sorted(flash) and flash[-1] == parts["total"]
    assert arenas(report) == sorted(arenas(report))


def test_sources_hold_the_governor_and_its_costs(built):
    sources, report = built / "src", Report.load(built / "report.json")
    assert "uint32_t speed" in (sources / "reds_governor.h").read_text()
    table = (sources / "built_costs.c").read_text()
    for cost in worthwhile(subnet_costs(report)):
        assert f"{{{cost.subnet}, {cost.time_us}, {cost.energy_uj}, " in table
        low, high = report.subnets[cost.subnet].ms_modelled
        assert 1000 * low < 1000 * high <= cost.time_us < 1000 * high + 1


def test_all_simulators_that_are_here(workspace):
    flags = ("--quiet", "--epochs", "0", "--no-tuning", "--sim", "all", "--board", "nucleo_l4r5zi")
    assert run(workspace, *flags, out="all") == 0
    report = json.loads((workspace / "all" / "report.json").read_text())
    has_qemu = shutil.which("qemu-system-arm") is not None
    assert report["relinked"] == has_qemu  # no machine of QEMU has this board's memory
    for subnet in report["subnets"]:
        counts = subnet["instructions"]
        assert counts["renode"] is None and counts["unicorn"] > 0
        assert counts["qemu"] == (counts["unicorn"] if has_qemu else None)
        assert subnet["differing_bytes"]["qemu"] == (0 if has_qemu else None)


def test_a_board_that_only_qemu_knows(workspace, capsys, monkeypatch):
    flags = ("--quiet", "--epochs", "0", "--board", "mps3_an547")
    if shutil.which("qemu-system-arm"):
        assert run(workspace, *flags, out="m55") == 0
        report = json.loads((workspace / "m55" / "report.json").read_text())
        for subnet in report["subnets"]:
            assert subnet["instructions"]["unicorn"] is subnet["cycles_modelled"] is None
            assert subnet["instructions"]["qemu"] > 0 and subnet["instructions_per_op"] is None
    monkeypatch.setenv("PATH", "")
    fail(workspace, capsys, 6, "apt-get install qemu-system-arm", *flags)


def arenas(report: dict) -> list[int]:
    return [subnet["arena_bytes"] for subnet in report["subnets"]]


def test_report_loads_and_renders(built):
    text = (built / "report.json").read_text()
    report = Report.load(built / "report.json")
    assert json.loads(json.dumps(report.to_dict())) == json.loads(text)
    page = (built / "report.md").read_text()
    assert " 0 (25 %) |" in page and "modelled" in page and "simulated" in page
    assert "## Choices for speed" in page and "| pw1 | reds_convolve_1x1_s8 |" in page


def test_nested_model_builds_again_to_the_same_bytes(workspace, built):
    """Contract 8: same .keras, calibration and toolchain give the same generated files."""
    model = str(built / "nested.keras")
    flags = ["--epochs", "0", "--quiet", "--name", "net"]
    for out in ("again_1", "again_2"):
        assert run(workspace, *flags, model=model, out=out) == 0
    for path in sorted((workspace / "again_1" / "src").iterdir()):
        assert path.read_bytes() == (workspace / "again_2" / "src" / path.name).read_bytes()
    first, second = (workspace / f"again_{i}" / "firmware" / "net.elf" for i in (1, 2))
    assert first.read_bytes() == second.read_bytes()
    text = "".join(path.read_text() for path in (workspace / "again_1" / "src").iterdir())
    assert str(workspace) not in text and str(ROOT) not in text


@pytest.mark.parametrize("name", ["reds", "two__bars"])
def test_a_name_that_the_writer_changes_still_builds(workspace, name):
    """`reds` is the runtime's own prefix; the firmware must use the symbols as written."""
    flags = ("--quiet", "--epochs", "0", "--name", name, "--no-tuning")
    assert run(workspace, *flags, out=name) == 0
    report = json.loads((workspace / name / "report.json").read_text())
    assert report["cost_unit"] is None and "--no-tuning" in report["notes"][0]
    assert {op["why_kernel"] for op in report["ops"]} == {"by shape"}


def test_prints_the_table(workspace, capsys, tmp_path, monkeypatch):
    fake_program(tmp_path, "arduino-cli", f'echo "$1" >> {tmp_path}/calls', monkeypatch)
    flags = ("--budgets", "0.5", "--ram", "400", "--multiple", "2", "--optimize", "ram")
    assert run(workspace, *flags, "--port", "COM3", "--flash") == 0
    assert (tmp_path / "calls").read_text() == "compile\nupload\n"
    captured = capsys.readouterr()
    assert " 0 (50 %) |" in captured.out and "[ 8/8]" in captured.err
    report = json.loads((workspace / "out" / "report.json").read_text())
    assert arenas(report)[0] <= 400 < arenas(report)[1]
    assert report["optimize"] == "ram"


def test_a_missing_programmer_is_told_before_the_training(workspace, capsys, monkeypatch, tmp_path):
    monkeypatch.setenv("PATH", str(tmp_path))
    fail(workspace, capsys, 6, "arduino-cli is not on PATH", "--port", "COM3", "--flash")
    fail(workspace, capsys, 12, "arduino-cli needs the board's serial port", "--flash")


def fail(workspace, capsys, code, message, *flags, **names):
    """The build ends with `code` and one paragraph that matches `message`; no result appears."""
    assert run(workspace, *flags, out="failed", **names) == code
    error = capsys.readouterr().err
    paragraph = error.strip().splitlines()[-1]
    assert re.search(message, paragraph), error
    assert "Traceback" not in error
    assert not (workspace / "failed").exists()


def test_missing_and_corrupt_models(workspace, capsys):
    fail(workspace, capsys, 2, "There is no model file", model="missing.keras")
    (workspace / "corrupt.keras").write_bytes(b"not a zip")
    fail(workspace, capsys, 2, "cannot read .*corrupt.keras", model="corrupt.keras")


def test_unsupported_layer(workspace, capsys):
    layer = keras.layers.Conv2DTranspose(2, 3, name="u")
    model = keras.Sequential([keras.Input((12, 8, 1)), layer])
    model.save(workspace / "unsupported.keras")
    fail(workspace, capsys, 2, "Layer 'u' .Conv2DTranspose.", model="unsupported.keras")


def test_float_only_network_is_refused_before_training(tmp_path, capsys):
    arguments = ["--zoo", "vit_digits", "--out", str(tmp_path / "out")]
    assert build.main(arguments) == QuantizationError.exit_code
    error = capsys.readouterr().err
    assert "stay float" in error and "nested.subnet(k)" in error and "[ 1/8]" not in error
    assert not (tmp_path / "out").exists()


def test_budget_too_small(workspace, capsys):
    fail(workspace, capsys, 4, "smallest feasible budget", "--budgets", "0.0001")


def test_ram_too_small_names_the_layer(workspace, capsys):
    fail(workspace, capsys, 4, "B of RAM, but", "--budgets", "0.5", "--ram", "16")


def test_bad_calibration(workspace, capsys):
    with np.load(workspace / "net.npz") as file:
        arrays = dict(file)
    np.savez(workspace / "shape.npz", x=arrays["x"][:, :6], y=arrays["y"])
    fail(workspace, capsys, 3, r"\(n, 12, 8, 1\)", calibration="shape.npz")
    arrays["x"][5, 0, 0, 0] = np.nan
    np.savez(workspace / "nan.npz", x=arrays["x"], y=arrays["y"])
    fail(workspace, capsys, 3, "NaN", calibration="nan.npz")
    (workspace / "broken.npz").write_bytes(b"PK")
    fail(workspace, capsys, 3, "broken.npz", calibration="broken.npz")
    assert build.main([str(workspace / "net.keras"), "--out", str(workspace / "failed")]) == 3
    assert "--calibration" in capsys.readouterr().err


def test_board_too_small_names_the_subnet_that_fits(workspace, built, capsys):
    text = (ROOT / "boards" / "nano33ble.toml").read_text()
    full = Report.load(built / "report.json")
    # Flash one byte short of the full image: all subnets but the last still fit.
    size = 0x10000 + full.flash_bytes["total"] - 64
    assert "size = 0x100000" in text
    (workspace / "tiny.toml").write_text(text.replace("size = 0x100000", f"size = {size}"))
    fail(workspace, capsys, 7, r"more than the \d+ there are.*subnets 0\.\.2 it would fit",
         "--board", workspace / "tiny.toml")  # fmt: skip
    fail(workspace, capsys, 7, "nano33ble", "--board", "nosuchboard")


def test_missing_toolchain(workspace, capsys, monkeypatch):
    monkeypatch.setattr(toolchain, "_on_path", lambda *names: ())
    monkeypatch.setattr(toolchain, "_ziglang", lambda tool: ())
    monkeypatch.delenv("TFLM_REDS_CC", raising=False)
    monkeypatch.delenv("TFLM_REDS_TARGET_CC", raising=False)
    fail(workspace, capsys, 6, "pip install ziglang")


def test_unwritable_output(workspace, capsys):
    (workspace / "a_file").write_text("")
    arguments = [str(workspace / "net.keras"), "--calibration", str(workspace / "net.npz")]
    assert build.main([*arguments, "--out", str(workspace / "a_file" / "out")]) == 9
    assert "writable folder" in capsys.readouterr().err


def test_interrupted_build_keeps_earlier_results(workspace, built, capsys, monkeypatch):
    before = (built / "report.json").read_bytes()

    def interrupt(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr(stages, "lower", interrupt)
    assert run(workspace, out="built") == 130
    assert (built / "report.json").read_bytes() == before
    assert "as it was before" in capsys.readouterr().err


def test_arguments_out_of_range(capsys):
    for flags in (["--compare", "0"], ["--epochs", "-1"], ["--distillation", "1.5"]):
        with pytest.raises(SystemExit, match="2"):
            build.main(flags)
        assert flags[0] in capsys.readouterr().err


def test_help_is_quick_and_teaches():
    """Without TensorFlow: --help must answer at once."""
    code = (
        "import sys; sys.modules['tensorflow'] = None\n"
        "from tflm_reds.build import main; main(['--help'])"
    )
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT)
    assert result.returncode == 0 and "examples:" in result.stdout


def test_default_story_end_to_end(tmp_path):
    """No argument, fewer epochs: digits from scikit-learn to the simulated board."""
    command = [sys.executable, "-m", "tflm_reds.build", "--out", str(tmp_path / "digits"),
               "--epochs", "2", "--quantization-epochs", "1", "--float-epochs", "3",
               "--compare", "20", "--no-tflm"]  # fmt: skip
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    result = subprocess.run(command, capture_output=True, text=True, env=environment, cwd=tmp_path)
    assert result.returncode == 0, result.stderr
    assert " 3 (100 %) |" in result.stdout
    report = Report.load(tmp_path / "digits" / "report.json")
    for subnet in report.subnets:
        assert abs(subnet.accuracy_int8 - subnet.accuracy_float) < 0.02
    check_own_budgets(report)


def check_own_budgets(report):
    """What the default network takes does not grow; planned widths do not depend on training."""
    gates = [gate.Gate.load(path) for path in sorted((ROOT / "tests" / "budgets").glob("*.toml"))]
    mine = [one for one in gates if one.toolchain == report.toolchain]
    if not mine:
        pytest.skip(f"tests/budgets has no budgets for {report.toolchain}")
    gate.check(mine[0], report)


def test_budgets_of_a_build(workspace, built, capsys):
    """--check fails with a table and its own status; a file that is none fails before the work."""
    report = Report.load(built / "report.json")
    less = dataclasses.replace(report.subnets[0], arena_bytes=report.subnets[0].arena_bytes - 8)
    smaller = dataclasses.replace(report, model="gated", subnets=(less, *report.subnets[1:]))
    path, updated = workspace / "budgets.toml", workspace / "updated.toml"
    gate.update(path, smaller)
    flags = ("--quiet", "--check", path, "--update-budgets", updated)
    assert run(workspace, *flags, out="gated") == GrowthError.exit_code
    assert re.search(r"\| 0 \| arena_bytes \| \d+ \| \d+ \| \+", capsys.readouterr().err)
    gate.check(gate.Gate.load(updated), Report.load(workspace / "gated" / "report.json"))
    path.write_text(path.read_text().replace("arena_bytes = 0.0", "arena_bytes = -1"))
    fail(workspace, capsys, DataError.exit_code, "arena_bytes = -1 is no budget", "--check", path)
