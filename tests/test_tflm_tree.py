"""A CMake package against trees of TFLM: our declarations laid out like one, and bad ones."""

import os
import shutil
from pathlib import Path

import packages
import pytest
import random_nets

from tflm_reds import package
from tflm_reds.codegen.tflm.library import DECLARATIONS
from tflm_reds.errors import PackageError, ToolchainError
from tflm_reds.package import write_package
from tflm_reds.tflm_tree import compile_with_tree

KERNEL_UTIL = "tensorflow/lite/micro/kernels/kernel_util.h"
MICRO_CONTEXT = "tensorflow/lite/micro/micro_context.h"
FLATBUFFERS = "flatbuffers/flatbuffers.h"
REAL_TREE = "TFLM_REDS_TFLM_TREE"

pytestmark = pytest.mark.skipif(shutil.which("cmake") is None, reason="cmake not installed")


@pytest.fixture(scope="module")
def cmake_package(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("package")
    content = packages.for_tflm(random_nets.dense_net(), folder)
    return write_package(content, "cmake", folder / content.name)


@pytest.fixture
def tree(tmp_path) -> Path:
    """Our declarations as a tree of generation 1, which needs TF_LITE_STATIC_MEMORY."""
    root = tmp_path / "tree"
    shutil.copytree(DECLARATIONS, root)
    header = root / MICRO_CONTEXT
    first = "#define REDS_TFLM_ABI 1\n#define TENSORFLOW_LITE_C_COMMON_H_\n"
    header.write_text(first + header.read_text())
    schema = root / "tensorflow" / "lite" / "schema" / "schema_generated.h"
    schema.parent.mkdir()
    schema.touch()
    flatbuffers = root / "third_party" / "flatbuffers" / "include" / FLATBUFFERS
    flatbuffers.parent.mkdir(parents=True)
    flatbuffers.write_text("#define FLATBUFFERS_FLATBUFFERS_H_\n")
    return root


def test_the_package_compiles_with_a_tree(cmake_package, tree):
    compile_with_tree(cmake_package, tree)


@pytest.mark.slow
def test_an_arduino_library_is_a_tree(cmake_package, tree):
    library = tree.with_name("library")
    library.mkdir()
    shutil.move(tree, library / "src")
    compile_with_tree(cmake_package, library)


def test_ops_that_do_not_fit_are_a_clear_error(cmake_package, tree):
    header = tree / MICRO_CONTEXT
    header.write_text(header.read_text().replace("GetScratchBuffer", "ScratchBuffer"))
    with pytest.raises(ToolchainError, match=r"TFLM tree .*tree:\n.*GetScratchBuffer"):
        compile_with_tree(cmake_package, tree)


@pytest.mark.parametrize(
    ("header", "content", "named"),
    [
        (KERNEL_UTIL, None, "kernel_util.h"),
        (KERNEL_UTIL, "// of 2021: no function that makes a registration\n", "RegisterOp"),
        (MICRO_CONTEXT, "// of 2022\n", "external_context"),
        (f"third_party/flatbuffers/include/{FLATBUFFERS}", None, "flatbuffers.h"),
    ],
)
def test_an_unknown_tree_is_refused(header, content, named, cmake_package, tree):
    if content is None:
        (tree / header).unlink()
    else:
        (tree / header).write_text(content)
    with pytest.raises(ToolchainError, match=named) as caught:
        compile_with_tree(cmake_package, tree)
    assert "TFLM_DIR" in str(caught.value)


def test_a_missing_folder_and_a_missing_cmake(cmake_package, tree, monkeypatch):
    with pytest.raises(ToolchainError, match="no folder"):
        compile_with_tree(cmake_package, tree / "none")
    monkeypatch.setenv("PATH", "")
    with pytest.raises(ToolchainError, match="pip install cmake"):
        compile_with_tree(cmake_package, tree)


@pytest.mark.parametrize(("kinds", "standalone"), [(["arduino"], False), (["cmake"], True)])
def test_a_tree_without_the_package_that_links_it(kinds, standalone, tree, tmp_path):
    with pytest.raises(PackageError, match="--package cmake"):
        package.package(tmp_path, kinds, standalone, tflm_tree=tree)
    with pytest.raises(PackageError, match="--package cmake"):
        package.check_packages("kws", kinds, standalone, tree)


@pytest.mark.skipif(not os.environ.get(REAL_TREE), reason=f"{REAL_TREE} names no tree of TFLM")
def test_the_package_compiles_with_a_real_tree(cmake_package):
    compile_with_tree(cmake_package, Path(os.environ[REAL_TREE]))
