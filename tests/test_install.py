"""The import trap: tflm_reds.codegen, sim and boards are found in every way of installing."""

import os
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
CHECK = (
    "import tflm_reds.codegen.writer as w, tflm_reds.boards.schema as b, tflm_reds.sim.elf, sys;"
    "assert (w.KERNELS / 'reds.h').is_file() and b.load_board('nano33ble');"
    "assert not any(m in sys.modules for m in ('codegen', 'boards', 'sim'));"
    "print(w.__file__)"
)


def python(executable, *arguments, cwd):
    """Run Python without this test's own path settings."""
    environment = {k: v for k, v in os.environ.items() if k != "PYTHONPATH"}
    command = [str(executable), *map(str, arguments)]
    return subprocess.run(command, cwd=cwd, env=environment, capture_output=True, text=True)


@pytest.fixture(scope="module")
def environment(tmp_path_factory):
    """A virtual environment that sees the packages of this one, but not this project."""
    folder = tmp_path_factory.mktemp("environment")
    assert python(sys.executable, "-m", "venv", folder, cwd=folder).returncode == 0
    inner = folder / "bin" / "python"
    version = f"python{sys.version_info.major}.{sys.version_info.minor}"
    packages = folder / "lib" / version / "site-packages"
    ours = Path(pytest.__file__).parents[1]
    # Last on the path, and as text: an editable install of this project there is not followed.
    (packages / "outer.pth").write_text(f"import sys; sys.path.append({str(ours)!r})\n")
    return inner


@pytest.fixture(scope="module")
def wheel(tmp_path_factory):
    """The built wheel; built from a copy, so that no build folder appears in the checkout."""
    folder = tmp_path_factory.mktemp("wheel")
    files = ["pyproject.toml", "README.md", "LICENSE", "tflm_reds", "codegen", "sim", "boards"]
    for name in files:
        subprocess.run(["cp", "-r", str(ROOT / name), str(folder)], check=True)
    result = python(sys.executable, "-m", "pip", "wheel", "-q", "--no-deps", "-w", folder / "dist",
                    folder, cwd=folder)  # fmt: skip
    assert result.returncode == 0, result.stderr
    return next((folder / "dist").glob("*.whl"))


def test_checkout_without_install(environment):
    result = python(environment, "-c", CHECK, cwd=ROOT)
    assert result.returncode == 0, result.stderr
    assert Path(result.stdout.strip()) == ROOT / "codegen" / "writer.py"
    assert python(environment, "-m", "tflm_reds.build", "--help", cwd=ROOT).returncode == 0


def test_editable_install(environment, tmp_path):
    install = [environment, "-m", "pip", "install", "-q", "--no-deps"]
    assert python(*install, "-e", ROOT, cwd=tmp_path).returncode == 0
    try:
        for folder in (tmp_path, ROOT):
            result = python(environment, "-c", CHECK, cwd=folder)
            assert result.returncode == 0, result.stderr
            assert Path(result.stdout.strip()) == ROOT / "codegen" / "writer.py"
    finally:
        python(environment, "-m", "pip", "uninstall", "-q", "-y", "tflm-reds", cwd=tmp_path)


def test_wheel_install(environment, wheel, tmp_path):
    install = [environment, "-m", "pip", "install", "-q", "--no-deps", "--force-reinstall", wheel]
    assert python(*install, cwd=tmp_path).returncode == 0
    away = python(environment, "-c", CHECK, cwd=tmp_path)
    assert away.returncode == 0 and "site-packages" in away.stdout, away.stderr
    # From the checkout root its own tflm_reds comes first: the trap.
    for arguments in (["-c", CHECK], ["-m", "tflm_reds.build", "--help"]):
        result = python(environment, *arguments, cwd=ROOT)
        assert result.returncode == 0, result.stderr


def test_wheel_holds_every_source(wheel):
    names = set(zipfile.ZipFile(wheel).namelist())
    suffixes = {".c", ".h", ".cpp", ".j2", ".toml", ".py"}
    for top in ("tflm_reds", "codegen", "sim", "boards"):
        for path in (ROOT / top).rglob("*"):
            if path.suffix in suffixes and "__pycache__" not in path.parts:
                inside = path.relative_to(ROOT)
                expected = inside if top == "tflm_reds" else Path("tflm_reds") / inside
                assert str(expected) in names, f"{inside} is not in the wheel"
    assert "tflm_reds/codegen/package/LICENSE" in names  # of the packages


def test_core_does_not_import_tfmot_nor_the_back_end_tensorflow(environment):
    code = (
        "import sys, tflm_reds.quantized, tflm_reds.codegen.lower, tflm_reds.codegen.firmware,"
        "tflm_reds.sim.unicorn, tflm_reds.tflm_verify;"
        "bad = [m for m in ('tensorflow', 'keras', 'tensorflow_model_optimization')"
        " if m in sys.modules]; assert not bad, bad"
    )
    result = python(environment, "-c", code, cwd=ROOT)
    assert result.returncode == 0, result.stderr
