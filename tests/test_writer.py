"""The generated files: deterministic, readable, legal C whatever the names."""

import importlib.util
import subprocess
import sys
from dataclasses import replace

import pytest
from random_nets import concatenating, dense_net, ds_cnn, every_op, residual

from tflm_reds.codegen import cformat
from tflm_reds.codegen.lower import lower
from tflm_reds.codegen.toolchain import build_shared_library, host_compiler
from tflm_reds.codegen.writer import write_sources
from tflm_reds.errors import OutputError

STRICT = ["-std=c11", "-Wall", "-Wextra", "-Werror", "-Wpedantic", "-Wconversion"]


def compile_strictly(command, paths):
    for path in paths:
        if path.suffix == ".c":
            command_line = [*command, *STRICT, "-c", path.name, "-o", "strict.o"]
            done = subprocess.run(
                command_line, cwd=path.parent, capture_output=True, text=True, check=False
            )
            assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("make", [ds_cnn, every_op, dense_net, residual, concatenating])
def test_no_warning_from_the_host_compiler(make, tmp_path):
    compile_strictly(host_compiler().command, write_sources(lower(make()), tmp_path))


def test_no_warning_from_clang(tmp_path):
    if importlib.util.find_spec("ziglang") is None:
        pytest.skip("ziglang is not installed")
    paths = write_sources(lower(every_op()), tmp_path)
    paths += write_sources(lower(concatenating()), tmp_path / "graph")
    compile_strictly([sys.executable, "-m", "ziglang", "cc"], paths)


def test_same_program_same_bytes(tmp_path):
    program = lower(every_op())
    one, two = (write_sources(program, tmp_path / folder) for folder in "ab")
    assert [path.name for path in one] == [path.name for path in two]
    other = write_sources(lower(every_op(1)), tmp_path / "c")
    assert [path.read_bytes() for path in one] != [path.read_bytes() for path in other]
    assert str(tmp_path) not in "".join(path.read_text() for path in one)


def test_only_the_kernels_in_use_are_written(tmp_path):
    names = {path.name for path in write_sources(lower(dense_net()), tmp_path)}
    kernels = {name for name in names if name.startswith("reds") and name.endswith(".c")}
    products = {"reds_fully_connected_s8.c", "reds_vector.c"}
    assert kernels == {"reds.c", "reds_ops.c", "reds_support.c"} | products


def test_model_file_tells_layers_shapes_and_macs(tmp_path):
    net = ds_cnn()
    write_sources(lower(net), tmp_path)
    text = (tmp_path / "ds_cnn_model.c").read_text()
    for op in net.ops:
        assert f"/* {op.name}: {op.kind}" in text
        if op.weights is not None:
            assert " | ".join(str(net.op_macs(op, k)) for k in range(4)) in text
    header = (tmp_path / "ds_cnn_model.h").read_text()
    assert f"#define DS_CNN_INPUT_BYTES {net.input.size}\n" in header
    assert f"#define DS_CNN_SUBNETS {net.subnet_count}\n" in header
    assert all(str(net.macs(k)) in header for k in range(net.subnet_count))


def test_hostile_names(tmp_path):
    """Names that clash, start with a digit, end a comment, or hold quotes and umlauts."""
    net = dense_net()
    names = dict(zip((op.name for op in net.ops), ("a/b", "a.b", "*/ 3"), strict=True))
    rename = {**names, "input": 'in"put'}
    tensors = {
        rename[tensor.name]: replace(tensor, name=rename[tensor.name])
        for tensor in net.tensors.values()
    }
    ops = tuple(
        replace(op, name=names[op.name], inputs=(rename[op.inputs[0]],), output=rename[op.output])
        for op in net.ops
    )
    labels = ('say "yes"\n', "größer??/", *net.labels[2:])
    hostile = replace(net, name="reds", tensors=tensors, ops=ops, labels=labels)
    paths = write_sources(lower(hostile), tmp_path)
    compile_strictly(host_compiler().command, paths)
    sources = [path for path in paths if path.suffix == ".c"]
    assert build_shared_library(sources, tmp_path / "lib.so").exists()


def test_unwritable_folder(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(OutputError, match="Cannot write"):
        write_sources(lower(dense_net()), tmp_path / "file" / "out")


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("conv2d", "conv2d"),
        ("9x", "layer_9x"),
        ("", "layer"),
        ("é", "layer"),
        ("reds", "layer_reds"),
    ],
)
def test_identifier(name, expected):
    assert cformat.identifier(name) == expected


def test_unique_identifiers_survive_numbers_in_names():
    assert list(cformat.unique_identifiers(["a b", "a_b_2", "a.b"]).values()) == [
        "a_b",
        "a_b_2",
        "a_b_3",
    ]


def test_arrays_wrap_within_the_line():
    lines = cformat.array(range(-1000, 1000)).split("\n")
    assert max(map(len, lines)) <= cformat.LINE_LENGTH
    assert [int(v) for v in " ".join(lines).split(",")] == list(range(-1000, 1000))
