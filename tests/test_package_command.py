"""`python -m tflm_reds.package`: a finished build packaged again, and every kind of bad input."""

import numpy as np
import packages
import pytest
import random_nets
from tflm_wheels import custom_ops, pinned_wheel

from tflm_reds import package
from tflm_reds.codegen.lower import lower
from tflm_reds.codegen.package.render import package_files
from tflm_reds.codegen.writer import write_sources
from tflm_reds.errors import ModelError, OutputError, PackageError, ToolchainError
from tflm_reds.tflite_io import write_reds_model
from tflm_reds.tflm import Interpreter


@pytest.fixture
def build(tmp_path):
    """A folder with what `package` reads of a build."""
    net = random_nets.ds_cnn()
    folder = tmp_path / "build"
    net.save(folder / "quantized.npz")
    write_sources(lower(net), folder / "src")
    packages.governor(net, folder / "src")
    np.save(folder / "samples.npy", random_nets.random_inputs(net, 2, 5))
    return folder


def content_of(folder) -> dict[str, bytes]:
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file()
    }


def test_several_kinds_of_a_finished_build(build, tmp_path):
    kinds = ["arduino", "zephyr"]
    assert package.main([str(build), "--package", *kinds, "--standalone"]) == 0
    content = packages.standalone(random_nets.ds_cnn(), tmp_path / "again")
    for kind in kinds:
        folder = build / "packages" / kind / "ds_cnn_model"
        assert content_of(folder) == package_files(content, kind)


def test_a_package_is_replaced_by_its_next_version(build):
    (folder,) = package.package(build, ["cmake"], standalone=True)
    (folder / "src" / "old.c").write_text("")
    assert package.package(build, ["cmake"], standalone=True) == [folder]
    assert not (folder / "src" / "old.c").exists()


def test_another_folder_is_not_replaced(build, tmp_path):
    mine = tmp_path / "out" / "cmake" / "ds_cnn_model"
    mine.mkdir(parents=True)
    (mine / "notes.txt").write_text("mine")
    with pytest.raises(OutputError, match="holds other files"):
        package.package(build, ["cmake"], standalone=True, out=tmp_path / "out")
    assert (mine / "notes.txt").read_text() == "mine"


def test_the_measured_arena_is_enough_and_not_much_more(build, tmp_path):
    wheel = pinned_wheel()
    (folder,) = package.package(build, ["arduino"])
    header = (folder / "src" / "ds_cnn_model.h").read_text()
    size = int(header.partition("_ARENA_BYTES ")[2].split()[0])
    model = write_reds_model(random_nets.ds_cnn(), tmp_path / "model.tflite")
    library = custom_ops(wheel.abi)
    Interpreter(model, library, wheel, arena_limit=size).close()
    with pytest.raises(ModelError):
        Interpreter(model, library, wheel, arena_limit=size - 2 * package.KIBIBYTE)


def test_without_tflm_standalone_is_the_way_out(build, monkeypatch, tmp_path, capsys):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.delenv("PIP_FIND_LINKS", raising=False)
    monkeypatch.setenv("PIP_CONFIG_FILE", "/dev/null")
    assert package.main([str(build), "--package", "cmake"]) == ToolchainError.exit_code
    assert "Or package with --standalone" in capsys.readouterr().err
    assert not (build / "packages").exists()


def test_no_build(tmp_path, capsys):
    assert package.main([str(tmp_path), "--package", "arduino"]) == PackageError.exit_code
    assert "is no finished build" in capsys.readouterr().err


def test_no_samples(build):
    (build / "samples.npy").unlink()
    with pytest.raises(PackageError, match=r"int8 of shape \(n, "):
        package.package(build, ["arduino"], standalone=True)


@pytest.mark.parametrize("shape", [(), (2, 3), (0, 9, 7, 2)])
def test_samples_of_another_net(build, shape):
    np.save(build / "samples.npy", np.zeros(shape, np.int8))
    with pytest.raises(PackageError, match="holds no inputs of ds_cnn"):
        package.package(build, ["arduino"], standalone=True)


def test_no_sources(build):
    for path in (build / "src").iterdir():
        path.unlink()
    with pytest.raises(PackageError, match="holds no C sources"):
        package.package(build, ["arduino"], standalone=True)


def test_unknown_kind(build, capsys):
    with pytest.raises(PackageError, match="Choose from arduino, cmake"):
        package.package(build, ["mbed"])
    with pytest.raises(SystemExit):
        package.main([str(build), "--package", "mbed"])
    assert "invalid choice: 'mbed'" in capsys.readouterr().err


def test_names_are_checked_before_a_training():
    with pytest.raises(PackageError, match="--name"):
        package.check_packages("arduino_kws", ["arduino"], standalone=True)
