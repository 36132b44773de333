"""ESP-IDF components and Zephyr modules: built and run with stand-ins for these systems."""

import subprocess
from pathlib import Path

import packages
import pytest
import random_nets
from cmake_project import build, configure, succeed
from packages import expected_lines, printed_lines

from tflm_reds.codegen.tflm.library import DECLARATIONS
from tflm_reds.package import write_package

IDF = Path(__file__).parent / "esp_idf"
ZEPHYR = Path(__file__).parent / "zephyr"
# What zephyr_module.py accepts below `build`.
MODULE_KEYS = {"cmake", "kconfig", "cmake-ext", "kconfig-ext", "depends", "settings"}


def content_of(form, folder):
    make = packages.for_tflm if form == "tflm" else packages.standalone
    return make(random_nets.ds_cnn(), folder / "sources")


@pytest.mark.parametrize("form", ["standalone", "tflm"])
def test_esp_idf_component(form, monkeypatch, tmp_path):
    yaml = pytest.importorskip("yaml")
    content = content_of(form, tmp_path)
    folder = write_package(content, "esp-idf", tmp_path / content.name)
    component = yaml.safe_load((folder / "idf_component.yml").read_text())
    assert set(component) == {
        "version",
        "description",
        "url",
        "license",
        "dependencies",
        "examples",
    }
    assert ("espressif/esp-tflite-micro" in component["dependencies"]) == content.tflm
    main = folder / component["examples"][0]["path"] / "main"
    (dependency,) = yaml.safe_load((main / "idf_component.yml").read_text())["dependencies"].items()
    assert dependency[0] == folder.name
    assert (main / dependency[1]["override_path"]).resolve() == folder
    monkeypatch.setenv("IDF_PATH", str(IDF))
    library = f"__idf_{content.name}"
    settings = {"COMPONENT": folder, "CMAKE_CXX_FLAGS": "-Wall -Wextra", "CMAKE_C_FLAGS": "-Wall"}
    succeed(configure(main.parent, tmp_path / "build", TFLM_DECLARATIONS=DECLARATIONS, **settings))
    succeed(build(tmp_path / "build", library if content.tflm else "classify"))
    if not content.tflm:
        done = subprocess.run([tmp_path / "build" / "classify"], capture_output=True, text=True)
        assert printed_lines(done.stdout) == expected_lines(content, range(4))


@pytest.mark.parametrize("form", ["standalone", "tflm"])
def test_zephyr_module(form, monkeypatch, tmp_path):
    yaml = pytest.importorskip("yaml")
    content = content_of(form, tmp_path)
    folder = write_package(content, "zephyr", tmp_path / content.name)
    module = yaml.safe_load((folder / "zephyr" / "module.yml").read_text())
    assert module["name"] == content.name and set(module["build"]) <= MODULE_KEYS
    assert (folder / module["build"]["cmake"] / "CMakeLists.txt").is_file()
    assert (folder / module["build"]["kconfig"]).is_file()
    assert all(
        (folder / sample / "classify" / "sample.yaml").is_file() for sample in module["samples"]
    )
    sample = folder / "samples" / "classify"
    assert yaml.safe_load((sample / "sample.yaml").read_text())["sample"]["name"] == content.name
    monkeypatch.setenv("ZEPHYR_BASE", str(ZEPHYR))
    settings = {"CMAKE_CXX_FLAGS": "-Wall -Wextra", "CMAKE_C_FLAGS": "-Wall -Wextra"}
    if content.tflm:
        settings |= {"TFLM_DECLARATIONS": DECLARATIONS}
    succeed(configure(sample, tmp_path / "build", **settings))
    succeed(build(tmp_path / "build", content.name if content.tflm else "app"))
    if not content.tflm:
        done = subprocess.run([tmp_path / "build" / "app"], capture_output=True, text=True)
        assert printed_lines(done.stdout) == expected_lines(content, range(4))


@pytest.mark.parametrize(("has_tflm", "value"), [("y", "y"), ("n", "n")])
def test_zephyr_kconfig(has_tflm, value, tmp_path):
    kconfiglib = pytest.importorskip("kconfiglib")
    content = content_of("tflm", tmp_path)
    folder = write_package(content, "zephyr", tmp_path / content.name)
    root = tmp_path / "Kconfig"
    root.write_text(
        f"config CPP\n\tdef_bool y\nconfig TENSORFLOW_LITE_MICRO\n\tdef_bool {has_tflm}\n"
        f'osource "{folder}/Kconfig"\n'
    )
    kconfig = kconfiglib.Kconfig(str(root), warn_to_stderr=False)
    kconfig.load_config(str(folder / "samples" / "classify" / "prj.conf"))
    assert kconfig.syms["DS_CNN_MODEL"].str_value == value


def test_zephyr_kconfig_needs_nothing_else_when_standalone(tmp_path):
    kconfiglib = pytest.importorskip("kconfiglib")
    content = content_of("standalone", tmp_path)
    folder = write_package(content, "zephyr", tmp_path / content.name)
    kconfig = kconfiglib.Kconfig(str(folder / "Kconfig"), warn_to_stderr=False)
    assert kconfig.syms["DS_CNN_MODEL"].str_value == "n"
    kconfig.load_config(str(folder / "samples" / "classify" / "prj.conf"))
    assert kconfig.syms["DS_CNN_MODEL"].str_value == "y"
