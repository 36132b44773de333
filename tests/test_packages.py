"""Packages of generated models: the same files as in the build, structure, Arduino."""

import configparser
import json
import shutil
import subprocess
from dataclasses import replace

import packages
import pytest
import random_nets
from arduino_lint import broken_rules
from packages import ARDUINO, TFLM_API, expected_lines, printed_lines, sketch_main

from tflm_reds.boards.schema import load_board
from tflm_reds.codegen.firmware import build_firmware
from tflm_reds.codegen.package import values
from tflm_reds.codegen.package.render import KINDS, package_files
from tflm_reds.codegen.tflm.library import DECLARATIONS
from tflm_reds.codegen.toolchain import host_compiler, target_compiler
from tflm_reds.errors import PackageError
from tflm_reds.package import write_package
from tflm_reds.sim.elf import Elf
from tflm_reds.sim.machine import Machine
from tflm_reds.sim.op_table import NO_OPS
from tflm_reds.sim.protocol import Limits

# The flags of the Arduino Nano 33 BLE: cflags.txt, cxxflags.txt and platform.txt of
# ArduinoCore-mbed, but for include folders and the memory map.
NANO = (
    "-c", "-Wall", "-Wextra", "-Wno-missing-field-initializers", "-Wno-unused-parameter", "-Os",
    "-g3", "-nostdlib", "-fdata-sections", "-ffunction-sections", "-fmessage-length=0",
    "-fno-delete-null-pointer-checks", "-fno-exceptions", "-fomit-frame-pointer",
    "-funsigned-char", "-mcpu=cortex-m4", "-mfloat-abi=softfp", "-mfpu=fpv4-sp-d16", "-mthumb",
    "-DARDUINO=10819", "-DARDUINO_ARCH_MBED", "-DARDUINO_ARCH_NRF52840",
    "-DARDUINO_ARDUINO_NANO33BLE", "-DMBED_TRAP_ERRORS_ENABLED=1",
)  # fmt: skip
NANO_C, NANO_CPP = ("-std=gnu11",), ("-std=gnu++14", "-Wvla", "-fno-rtti")


@pytest.fixture(scope="module")
def contents(tmp_path_factory):
    """Both forms of one net."""
    folder = tmp_path_factory.mktemp("content")
    net = random_nets.every_op()
    return {
        "standalone": packages.standalone(net, folder),
        "tflm": packages.for_tflm(net, folder),
    }


@pytest.fixture(scope="module")
def libraries(contents, tmp_path_factory):
    """The Arduino library of each form."""
    folder = tmp_path_factory.mktemp("libraries")
    return {
        form: write_package(content, "arduino", folder / form / content.name)
        for form, content in contents.items()
    }


@pytest.mark.parametrize("form", ["standalone", "tflm"])
@pytest.mark.parametrize("kind", KINDS)
def test_same_content_same_files_and_no_place_of_this_machine(kind, form, contents, tmp_path):
    files = package_files(contents[form], kind)
    assert files == package_files(contents[form], kind)
    text = b"".join(files.values())
    assert str(tmp_path.parent).encode() not in text and b"{%" not in text
    for path, data in contents[form].sources.items():
        assert files[f"src/{path}"] == data
    assert files["LICENSE"].lstrip().startswith(b"Apache License")
    assert {path.rpartition(".")[2] for path in files if path.startswith("src/")} <= {
        "c", "cpp", "h"
    }  # fmt: skip


def test_standalone_sources_are_those_of_the_build_and_name_no_tflm(contents):
    content = contents["standalone"]
    assert not any(name.endswith(".cpp") for name in content.sources)
    assert b"tensorflow" not in b"".join(content.sources.values())


def test_the_tflm_form_holds_the_model_file(contents):
    content = contents["tflm"]
    text = content.sources[f"{content.name}.cpp"].decode()
    numbers = text.partition("_data[")[2].partition("{")[2].partition("}")[0]
    assert bytes(int(number) for number in numbers.split(",")) == content.model


def test_version_is_that_of_the_project(pytestconfig):
    assert f'version = "{values.VERSION}"' in (pytestconfig.rootpath / "pyproject.toml").read_text()


@pytest.mark.parametrize("form", ["standalone", "tflm"])
def test_arduino_lint(form, libraries):
    assert broken_rules(libraries[form]) == []
    # As an archive: the linker takes what two models share from one of their libraries.
    properties = (libraries[form] / "library.properties").read_text()
    assert "dot_a_linkage=true" in properties.splitlines()


@pytest.mark.parametrize(
    ("change", "rule"),
    [
        (lambda lib: (lib / "LICENSE").unlink(), "LD002"),
        (lambda lib: (lib / "examples/Classify").rename(lib / "examples/Other"), "SS001"),
        (lambda lib: (lib / "src").rename(lib / "source"), "LS001"),
        (lambda lib: _edit(lib, "category=Data Processing", "category=Learning"), "LP038"),
        (lambda lib: _edit(lib, "version=0.1.0", "version=0.1"), "LP021"),
        (lambda lib: _edit(lib, "includes=", "includes=x"), "LP052"),
        (lambda lib: _edit(lib, "maintainer=", "maintener="), "LP025"),
    ],
)
def test_the_rules_see_a_broken_library(change, rule, libraries, tmp_path):
    library = shutil.copytree(libraries["standalone"], tmp_path / "every_op_model")
    change(library)
    assert any(broken.startswith(rule) for broken in broken_rules(library))


def _edit(library, old, new):
    path = library / "library.properties"
    assert old in path.read_text()
    path.write_text(path.read_text().replace(old, new))


def test_keywords_exist(libraries):
    for library in libraries.values():
        text = "".join(path.read_text() for path in (library / "src").iterdir())
        for line in (library / "keywords.txt").read_text().splitlines():
            word, kind = line.split("\t")
            assert word in text and kind in ("KEYWORD1", "KEYWORD2", "LITERAL1")


@pytest.mark.parametrize("form", ["standalone", "tflm"])
def test_library_and_sketch_compile_under_the_nanos_flags(form, libraries, tmp_path):
    compiler = shutil.which("arm-none-eabi-gcc")
    if compiler is None:
        pytest.skip("arm-none-eabi-gcc is not installed: apt-get install gcc-arm-none-eabi")
    library = libraries[form]
    include = ["-isystem", DECLARATIONS, "-isystem", TFLM_API, "-I", ARDUINO, "-I", library / "src"]
    macros = ["-DREDS_TFLM_ABI=1", "-DTF_LITE_STATIC_MEMORY"]
    sketch = library / "examples" / "Classify" / "Classify.ino"
    for source in [sketch, *sorted((library / "src").iterdir())]:
        assert "arm_acle.h" not in source.read_text()  # not in the core's GCC 7
        if source.suffix == ".h":
            continue
        language = NANO_C if source.suffix == ".c" else ("-x", "c++", *NANO_CPP)
        command = [compiler, *language, *NANO, "-Werror", *macros, *include, source]
        command += ["-include", "Arduino.h"] if source == sketch else []
        done = subprocess.run([*command, "-o", tmp_path / "o"], capture_output=True, text=True)
        assert done.returncode == 0, done.stderr


def test_sketch_on_the_board_classifies_and_switches_by_serial(libraries, contents, tmp_path):
    content, library = contents["standalone"], libraries["standalone"]
    board = load_board("nano33ble")
    flags = ["-Os", "-funsigned-char", f"-I{ARDUINO}", r'-DSERIAL_INPUT="2\n9\n0"']
    if not target_compiler().is_zig:
        flags.append("-mfloat-abi=softfp")
    main = sketch_main(library, "serial_on_board.cpp", tmp_path)
    firmware = build_firmware(
        sorted((library / "src").iterdir()), content.prefix, content.samples, board,
        tmp_path / "image", flags=flags, main=main,
    )  # fmt: skip
    machine = Machine(board, Elf.load(firmware.elf), NO_OPS)
    machine.boot(Limits(instructions=100_000_000, seconds=120))
    assert printed_lines(machine.console) == expected_lines(content, [0, 1, 2, 2, 0])
    assert machine.console.count("no such subnet") == 1
    assert "the governor runs subnet 1." in machine.console
    time = packages.times(machine.console)
    count = len(content.samples.inputs)
    assert 0 < time[0] < time[2 * count]  # of the smallest and of the full network


def test_sketch_of_many_subnets_and_no_labels_on_this_host(tmp_path):
    net = random_nets.NetBuilder((5, 5, 2), subnets=12, seed=1)
    net = net.convolution(13, (3, 3), "relu").flatten().dense(4).build("twelve")
    content = packages.standalone(replace(net, labels=()), tmp_path / "sources")
    library = write_package(content, "arduino", tmp_path / content.name)
    main = sketch_main(library, "serial_on_host.cpp", tmp_path)
    program = tmp_path / "sketch"
    compiler = host_compiler()
    objects = []
    for source in [main, *(library / "src").glob("*.c")]:
        language = ["-x", "c++", "-std=c++14"] if source == main else ["-std=c11"]
        command = [*compiler.command, *language, "-O1", "-c", f"-I{ARDUINO}", f"-I{library}/src"]
        objects.append(tmp_path / f"{source.stem}.o")
        subprocess.run([*command, source, "-o", objects[-1]], check=True)
    subprocess.run([*compiler.command, *objects, "-o", program], check=True)
    done = subprocess.run([program], input="b\nc\n1\n", capture_output=True, text=True, check=True)
    assert printed_lines(done.stdout) == expected_lines(content, [*range(12), 11, 1])
    assert "Send 0..9, a..b" in done.stdout and done.stdout.count("no such subnet") == 1


@pytest.mark.parametrize("form", ["standalone", "tflm"])
def test_platformio_metadata(form, contents):
    content = contents[form]
    files = package_files(content, "platformio")
    library = json.loads(files["library.json"])
    assert library["name"] == content.name and library["version"] == values.VERSION
    assert f"src/{library['headers']}" in files
    for example in library["examples"]:
        assert all(f"{example['base']}/{file}" in files for file in example["files"])
    assert ("dependencies" in library) == content.tflm
    project = configparser.ConfigParser()
    project.read_string(files["examples/classify/platformio.ini"].decode())
    assert project["env:nano33ble"]["lib_deps"].startswith(f"{content.name}=symlink://")


def test_unknown_kind(contents):
    with pytest.raises(PackageError, match=r"no package 'mbed'.*arduino, cmake"):
        package_files(contents["standalone"], "mbed")


@pytest.mark.parametrize(
    ("name", "match"), [("arduino_kws", "starts with `arduino`"), ("k" * 60, "66 characters")]
)
def test_names_that_arduino_refuses(name, match, tmp_path):
    content = packages.standalone(replace(random_nets.dense_net(), name=name), tmp_path)
    with pytest.raises(PackageError, match=match):
        package_files(content, "arduino")


def test_kernels_of_another_version_are_refused(tmp_path):
    net = random_nets.dense_net()
    packages.standalone(net, tmp_path)
    (tmp_path / "reds.c").write_text("/* older */\n")
    sources = sorted(tmp_path.glob("*.[ch]"))
    with pytest.raises(PackageError, match=r"reds\.c comes from another version"):
        packages.standalone_content(net, packages.samples_of(net), sources)
