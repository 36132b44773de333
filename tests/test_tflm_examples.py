"""The packages' examples for TFLM: compiled with both generations, run in its interpreter."""

import subprocess
import sys
from pathlib import Path

import packages
import pytest
import random_nets
from packages import ARDUINO, TESTS, TFLM_API, expected_lines, printed_lines, sketch_main
from tflm_wheels import pinned_wheel

from tflm_reds import tflm_worker
from tflm_reds.codegen.tflm.library import DECLARATIONS
from tflm_reds.codegen.toolchain import build_shared_library, host_compiler
from tflm_reds.package import write_package
from tflm_reds.tflm_wheel import PINS


@pytest.fixture(scope="module")
def content(tmp_path_factory):
    return packages.for_tflm(random_nets.ds_cnn(), tmp_path_factory.mktemp("content"))


@pytest.mark.parametrize("abi", [1, 2])
@pytest.mark.parametrize(
    ("kind", "example"),
    [
        ("arduino", "examples/Classify/Classify.ino"),
        ("platformio", "examples/classify/src/main.cpp"),
        ("cmake", "example/main.cpp"),
        ("esp-idf", "examples/classify/main/main.cpp"),
        ("zephyr", "samples/classify/src/main.cpp"),
    ],
)
def test_examples_for_tflm_compile_with_both_generations(kind, example, abi, content, tmp_path):
    folder = write_package(content, kind, tmp_path / content.name)
    main = tmp_path / "main.cpp"
    main.write_text(f'#include "Arduino.h"\n#include "{folder / example}"\n')
    include = [ARDUINO, TFLM_API, TESTS / "esp_idf" / "include"]
    include += [TESTS / "zephyr" / "include", DECLARATIONS, folder / "src"]
    command = [*host_compiler().command, "-x", "c++", "-std=gnu++14", "-fsyntax-only", main]
    command += ["-Wall", "-Wextra", "-Werror", f"-DREDS_TFLM_ABI={abi}", "-DTF_LITE_STATIC_MEMORY"]
    command += [f"-I{path}" for path in include]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("pin", PINS)
def test_the_sketch_classifies_and_switches_in_tflm(pin, content, tmp_path):
    wheel = pinned_wheel(pin)
    library = write_package(content, "arduino", tmp_path / content.name)
    main = sketch_main(library, "serial_on_host.cpp", tmp_path)
    sources = [main, *(library / "src").glob("*.c"), *(library / "src").glob("*.cpp")]
    program = build_shared_library(
        sources, tmp_path / "sketch.so", [ARDUINO, TFLM_API, DECLARATIONS, library / "src"],
        [f"-DREDS_TFLM_ABI={wheel.abi}", "-DTF_LITE_STATIC_MEMORY"],
    )  # fmt: skip
    worker = Path(tflm_worker.__file__).parent
    command = [sys.executable, "-P", TESTS / "run_in_tflm.py", worker, wheel.runtime, program]
    done = subprocess.run(command, input="2\n9\n0\n", capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert printed_lines(done.stdout) == expected_lines(content, [0, 1, 2, 3, 2, 0])
    assert done.stdout.count("no such subnet") == 1
