"""The CMake package in real builds: host, Cortex-M, two models; with TFLM: test_tflm_tree.py."""

import shutil
import struct
import subprocess
from dataclasses import replace
from pathlib import Path

import numpy as np
import packages
import pytest
import random_nets
from cmake_project import build, configure, succeed
from packages import expected_lines, printed_lines

from tflm_reds.package import write_package

CONSUMER = Path(__file__).parent / "cmake"
ARM = 40  # e_machine of ELF


def test_the_example_finds_the_package_and_classifies(tmp_path):
    content = packages.standalone(random_nets.every_op(), tmp_path / "sources")
    folder = write_package(content, "cmake", tmp_path / content.name)
    succeed(configure(folder / "example", tmp_path / "build", CMAKE_C_FLAGS="-Wall -Wextra"))
    succeed(build(tmp_path / "build"))
    done = subprocess.run([tmp_path / "build" / "classify"], capture_output=True, text=True)
    assert printed_lines(done.stdout) == expected_lines(content, range(content.net.subnet_count))
    assert "the governor runs subnet 1." in done.stdout


@pytest.fixture(scope="module")
def two_models(tmp_path_factory):
    """Nets, and the folder of a configured program with both; each holds kernels of its own."""
    root = tmp_path_factory.mktemp("two")
    nets = {
        "first": replace(random_nets.ds_cnn(), name="first"),
        "second": replace(random_nets.every_op(), name="second"),
    }
    for name, net in nets.items():
        content = packages.standalone(net, root / name / "sources")
        write_package(content, "cmake", root / content.name)
    folders = {"FIRST_DIR": root / "first_model", "second_model_DIR": root / "second_model"}
    succeed(configure(CONSUMER, root / "build", CMAKE_C_FLAGS="-Wall -Wextra", **folders))
    return nets, root


def test_two_models_in_one_program_share_the_kernels(two_models):
    nets, root = two_models
    succeed(build(root / "build"))
    program = root / "build" / "two_models"
    done = subprocess.run([program], capture_output=True, text=True, check=True)
    lines = dict(line.split(": ") for line in done.stdout.splitlines())
    for name, net in nets.items():
        x = (np.arange(net.input.size) * 37 % 251).astype(np.uint8).view(np.int8)
        for k in range(net.subnet_count):
            output = net.run(x.reshape(1, *net.input.shape), k).ravel()
            assert lines[f"{name} {k}"] == " ".join(map(str, output))
    assert program.read_bytes().count(b"\0reds_invoke\0") == 1  # in the symbol table


def test_kernels_of_two_versions_do_not_link(two_models, tmp_path):
    _, root = two_models
    changed = tmp_path / "two"
    shutil.copytree(root, changed, ignore=shutil.ignore_patterns("build"))
    for file in ("reds.c", "second_model.c"):
        path = changed / "second_model" / "src" / file
        path.write_text(path.read_text().replace("reds_kernels_", "reds_kernels_0"))
    folders = {"FIRST_DIR": changed / "first_model", "second_model_DIR": changed / "second_model"}
    succeed(configure(CONSUMER, changed / "build", **folders))
    done = build(changed / "build")
    text = done.stdout + done.stderr
    assert done.returncode != 0
    assert "multiple definition of `reds_init'" in text or "duplicate symbol: reds_init" in text


@pytest.mark.parametrize("core", ["cortex-m0plus", "cortex-m4f"])
def test_the_example_links_for_cortex_m_with_the_toolchain_file(core, tmp_path):
    if shutil.which("arm-none-eabi-gcc") is None:
        pytest.skip("arm-none-eabi-gcc is not installed: apt-get install gcc-arm-none-eabi")
    content = packages.standalone(random_nets.ds_cnn(), tmp_path / "sources")
    folder = write_package(content, "cmake", tmp_path / content.name)
    toolchain = folder / "cmake" / "arm-none-eabi.cmake"
    variables = {"CMAKE_TOOLCHAIN_FILE": toolchain, "REDS_CORE": core}
    library_for_semihosting = {"CMAKE_EXE_LINKER_FLAGS": "--specs=rdimon.specs"}
    done = configure(folder / "example", tmp_path / "build", **variables, **library_for_semihosting)
    succeed(done)
    succeed(build(tmp_path / "build"))
    program = (tmp_path / "build" / "classify").read_bytes()
    assert struct.unpack_from("<H", program, 18) == (ARM,) and b"\0reds_invoke\0" in program
    commands = (tmp_path / "build" / "build.ninja").read_text()
    assert f"-mcpu={core.removesuffix('f')}" in commands and "-O2" in commands


def test_unknown_core(tmp_path):
    content = packages.standalone(random_nets.dense_net(), tmp_path / "sources")
    folder = write_package(content, "cmake", tmp_path / content.name)
    toolchain = folder / "cmake" / "arm-none-eabi.cmake"
    done = configure(folder, tmp_path / "b", CMAKE_TOOLCHAIN_FILE=toolchain, REDS_CORE="avr")
    assert done.returncode != 0 and "is none of cortex-m0, cortex-m0plus" in done.stderr
