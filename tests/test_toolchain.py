import ctypes
import importlib.util
import shutil
import sys
from dataclasses import replace

import pytest
from tiny_model import build, target_compilers

from tflm_reds.codegen.cores import CORES, find_core
from tflm_reds.codegen.toolchain import (
    build_image,
    build_shared_library,
    check_core,
    host_compiler,
    target_compiler,
)
from tflm_reds.errors import ToolchainError
from tflm_reds.sim.elf import Elf
from tflm_reds.sim.thumb import Kind, decode

ZIG = f"{sys.executable} -m ziglang cc"
HOST_COMMANDS = [command for command in (shutil.which("gcc"), ZIG) if command]


@pytest.mark.parametrize("command", HOST_COMMANDS)
def test_host_library_of_c_and_cpp(command, tmp_path, monkeypatch):
    if command == ZIG:
        monkeypatch.setenv("TFLM_REDS_CC", ZIG)
    elif shutil.which("g++") is None:
        pytest.skip("gcc without g++")
    (tmp_path / "value.h").write_text("#define VALUE 40\n")
    sources = tmp_path / "sources"
    sources.mkdir()
    (sources / "c.c").write_text('#include "value.h"\nint from_c(void) { return VALUE + EXTRA; }')
    (sources / "cpp.cpp").write_text(
        'extern "C" int from_c(void);\nextern "C" int from_cpp() { return from_c() * 2; }'
    )
    library = build_shared_library(
        [sources / "c.c", sources / "cpp.cpp"], tmp_path / "both.so", [tmp_path], ["-DEXTRA=2"]
    )
    loaded = ctypes.CDLL(str(library))
    assert loaded.from_c() == 42
    assert loaded.from_cpp() == 84


def test_compile_error_is_quoted_and_leaves_nothing(tmp_path):
    source = tmp_path / "broken.c"
    source.write_text("int f(void) { return no_such_thing; }")
    with pytest.raises(ToolchainError, match=r"broken\.c[\s\S]*no_such_thing"):
        build_shared_library([source], tmp_path / "broken.so")
    assert [path.name for path in tmp_path.iterdir()] == ["broken.c"]


@pytest.mark.parametrize("find", [host_compiler, target_compiler])
def test_missing_compiler_says_how_to_get_one(find, monkeypatch, tmp_path):
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.delenv("TFLM_REDS_CC", raising=False)
    monkeypatch.delenv("TFLM_REDS_TARGET_CC", raising=False)
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(ToolchainError, match=r"pip install ziglang.*apt-get install"):
        find()


def test_configured_compiler_that_does_not_exist(monkeypatch):
    monkeypatch.setenv("TFLM_REDS_CC", "/no/such/compiler")
    with pytest.raises(ToolchainError, match="/no/such/compiler cannot be run"):
        host_compiler()


@pytest.mark.parametrize("compiler", target_compilers(), ids=lambda c: c.version[:12])
@pytest.mark.parametrize("core", CORES.values(), ids=lambda core: core.name)
def test_every_core_has_its_dsp_and_fpu(compiler, core):
    check_core(compiler, core)


@pytest.mark.parametrize("compiler", target_compilers(), ids=lambda c: c.version[:12])
def test_core_without_its_fpu_is_refused(compiler):
    # The trap: a bare -mcpu=cortex_m4 with eabihf compiles, in soft-float.
    bare = replace(
        CORES["cortex-m4f"],
        gcc=("-mthumb", "-mcpu=cortex-m4", "-mfloat-abi=soft"),
        zig=("-target", "thumb-freestanding-eabihf", "-mcpu=cortex_m4"),
    )
    with pytest.raises(ToolchainError, match="__ARM_FP"):
        check_core(compiler, bare)


def test_unknown_core():
    with pytest.raises(ToolchainError, match=r"cortex-m99.*cortex-m4f"):
        find_core("cortex-m99")


@pytest.mark.parametrize("compiler", target_compilers(), ids=lambda c: c.version[:12])
def test_four_byte_memcpy_is_one_load(compiler, tmp_path):
    # A freestanding target turns it into a call, which costs the kernels a factor of 4.
    (tmp_path / "load.c").write_text(
        "int load(const void *p) { int v; __builtin_memcpy(&v, p, 4); return v; }"
    )
    (tmp_path / "load.ld").write_text("SECTIONS { .text 0x10000 : { KEEP(*(.text .text.*)) } }")
    image = build_image(
        [tmp_path / "load.c"], tmp_path / "load.elf", CORES["cortex-m4f"], tmp_path / "load.ld",
        compiler=compiler,
    )  # fmt: skip
    elf = Elf.load(image)
    symbol = elf.symbol("load")
    kinds = [instruction.kind for instruction in decode(elf.read(symbol.address, symbol.size))]
    assert kinds == [Kind.LOAD, Kind.BRANCH]


@pytest.mark.parametrize("compiler", target_compilers(), ids=lambda c: c.version[:12])
def test_same_sources_give_the_same_bytes_without_paths(compiler, tmp_path):
    first = build(tmp_path / "first", compiler=compiler)
    second = build(tmp_path / "second", compiler=compiler)
    content = first.elf.read_bytes()
    assert content == second.elf.read_bytes()
    assert str(tmp_path).encode() not in content
