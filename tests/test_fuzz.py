"""Bounded fuzzing: options of custom ops, whole graphs, and model files; longer as `slow`."""

import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
import random_nets
from mutations import damaged_bytes
from sanitizers import FLAGS as SANITIZE
from sanitizers import run_python, sanitized_ops, sanitizing_compiler
from tflm_graphs import Graph

from tflm_reds.codegen.tflm.library import FOLDER, INCLUDE
from tflm_reds.errors import ModelError
from tflm_reds.tflite_io import write_reds_model, write_stock_model
from tflm_reds.tflite_schema import check_file

FUZZ = Path(__file__).parent / "fuzz"
PARSER = ("reds_options.cpp", "reds_flexbuffer.cpp")
DEFAULT, LONG = "default", "slow"
EFFORTS = [DEFAULT, pytest.param(LONG, marks=pytest.mark.slow)]


@dataclass(frozen=True)
class Parser:
    """The options' parser under a coverage-guided fuzzer."""

    program: Path
    seeds: tuple[str, ...]

    def run(self, runs: int) -> subprocess.CompletedProcess:
        command = [str(self.program), str(runs), "1", *self.seeds]
        return subprocess.run(command, capture_output=True, text=True, check=False)


def compile_cpp(source: Path, folder: Path, *flags: str) -> str:
    """The object file of `source` with sanitizers."""
    output = folder / f"{source.stem}.o"
    include = [f"-I{path}" for path in INCLUDE]
    gcc = [*sanitizing_compiler().command, "-x", "c++", "-std=c++17", *SANITIZE, *flags, *include]
    subprocess.run([*gcc, "-c", str(source), "-o", str(output)], check=True)
    return str(output)


@pytest.fixture(scope="module")
def driver(tmp_path_factory) -> str:
    """The object file of the fuzzer itself."""
    return compile_cpp(FUZZ / "driver.cpp", tmp_path_factory.mktemp("driver"))


def build_parser(driver: str, folder: Path, sources: list[Path]) -> Parser:
    """Link `sources` with the fuzzer; its first inputs are real options of every op."""
    objects = [
        compile_cpp(source, folder, "-fsanitize-coverage=trace-pc")
        for source in (FUZZ / "options_target.cpp", *sources)
    ]
    program = folder / "fuzz_options"
    link = [*sanitizing_compiler().command, *SANITIZE, driver, *objects]
    subprocess.run([*link, "-lstdc++", "-o", str(program)], check=True)
    graph = Graph.of_net(random_nets.concatenating(), folder)
    options = {node.op: node.options for node in graph.nodes if node.options}
    for op, content in options.items():
        (folder / op).write_bytes(content)
    return Parser(program, tuple(str(folder / op) for op in options))


@pytest.mark.parametrize("effort", EFFORTS)
def test_no_bytes_crash_the_options_parser(effort, driver, tmp_path):
    parser = build_parser(driver, tmp_path, [FOLDER / name for name in PARSER])
    first = parser.run(0).stdout
    done = parser.run(100_000 if effort == DEFAULT else 20_000_000)
    assert done.returncode == 0, done.stderr
    edges = [int(text.split()[-2]) for text in (first, done.stdout)]
    assert edges[1] > edges[0] + 20  # the mutations reach code that real options do not


def test_the_fuzzer_finds_a_missing_check(driver, tmp_path):
    right, wrong = "position <= size_ - bytes", "position <= size_"
    sources = [tmp_path / name for name in PARSER]
    for source in sources:
        source.write_text((FOLDER / source.name).read_text().replace(right, wrong))
    assert any(right in (FOLDER / name).read_text() for name in PARSER)
    done = build_parser(driver, tmp_path, sources).run(200_000)
    assert done.returncode != 0 and "input: " in done.stderr


@pytest.mark.parametrize("effort", EFFORTS)
def test_no_options_crash_the_ops(effort):
    runs = 400 if effort == DEFAULT else 40_000
    run_python(
        "from fuzz_graphs import fuzz\n"
        f"outcomes = fuzz({str(sanitized_ops())!r}, {runs})\n"
        "assert set(outcomes) >= {'refused by Prepare', 'ran'}, outcomes"
    )


@pytest.mark.parametrize("effort", EFFORTS)
@pytest.mark.parametrize("nested", [True, False])
def test_a_damaged_file_is_loaded_or_refused(nested, effort, tmp_path):
    """`check_file` takes any bytes: no other error than ours, whatever they are."""
    net = random_nets.concatenating()
    path = tmp_path / "model.tflite"
    whole = (
        write_reds_model(net, path) if nested else write_stock_model(net.slice(1), path)
    ).read_bytes()
    random = np.random.default_rng(0)
    refused, runs = 0, 1_500 if effort == DEFAULT else 60_000
    for _ in range(runs):
        content = damaged_bytes(whole, random)
        if random.integers(0, 8) == 0:
            content = content[: random.integers(0, len(content) + 1)]
        try:
            check_file(content, path)
        except ModelError:
            refused += 1
    assert 0 < refused < runs


@pytest.mark.slow
def test_a_guided_fuzzer_finds_nothing_in_the_loader(tmp_path):
    pytest.importorskip("atheris")
    net = random_nets.dense_net()
    write_reds_model(net, tmp_path / "nested.tflite")
    write_stock_model(net.slice(0), tmp_path / "stock.tflite")
    command = [sys.executable, str(FUZZ / "model_file.py"), str(tmp_path), "-runs=100000"]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    assert "Done 100000 runs" in done.stderr
