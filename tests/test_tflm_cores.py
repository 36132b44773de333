"""The custom ops without TFLM: compiled and run for every core, in a context of our own."""

import shutil

import numpy as np
import pytest
import random_nets
from host_machine import Host
from machines import CortexM, QemuCortexM
from sanitizers import run_python, sanitized_ops
from tflm_graphs import FLAGS, FLAGS_2, INCLUDES, SOURCES, Graph, Session
from tflm_nets import check_all, separable
from tiny_model import target_compilers

from tflm_reds.codegen.cores import CORES, find_core
from tflm_reds.codegen.tflm.library import op_sources
from tflm_reds.codegen.toolchain import compile_objects
from tflm_reds.sim.qemu import BOARDS, PROGRAM

STRICT = ("-Wall", "-Wextra", "-Werror")
VARIABLES = 4096
SETTER_LIMIT, FIRST_LIMIT = 16, 64  # instructions: ARCHITECTURE contract 6
GUARDED = [("cortex-m0plus", FLAGS), ("cortex-m4f", FLAGS_2)]
GCC = [compiler for compiler in target_compilers() if not compiler.is_zig]
STANDARDS = ("gnu++14", "c++17")
# The others have the same kernels: Cortex-M3 those of M0+, M4 and M7 those of M33.
QEMU_CORES = [
    pytest.param(core, marks=[pytest.mark.slow] * (core not in ("cortex-m33f", "cortex-m55f")))
    for core in BOARDS
]


@pytest.mark.parametrize("compiler", GCC, ids=lambda c: c.version[:12])
@pytest.mark.parametrize("core", CORES)
def test_ops_compile_without_a_warning(core, compiler, tmp_path):
    """In both standards that their users compile with, against both generations of TFLM.

    Warnings that need optimisation are errors in the images below.
    """
    ops = [source for source in op_sources() if source.suffix == ".cpp"]
    for abi, standard in enumerate(STANDARDS, start=1):
        flags = (f"-DREDS_TFLM_ABI={abi}", f"-std={standard}", *STRICT, "-fsyntax-only")
        compile_objects(ops, tmp_path, find_core(core), INCLUDES, flags, compiler)


@pytest.mark.parametrize(("core", "flags"), GUARDED, ids=["cortex-m0plus", "cortex-m4f"])
def test_all_subnets_in_unicorn(core, flags, tmp_path):
    """Every tensor ends at unmapped memory; a context of each generation of TFLM."""
    options = (SOURCES, tmp_path, INCLUDES, (*flags, *STRICT))
    machine = CortexM(*options, core=core, variables=VARIABLES)
    check_all(machine, tmp_path, seed=1)


@pytest.mark.skipif(shutil.which(PROGRAM) is None, reason=f"{PROGRAM} not installed")
@pytest.mark.parametrize("core", QEMU_CORES)
def test_all_subnets_in_qemu(core, tmp_path):
    options = (SOURCES, tmp_path, INCLUDES, (*FLAGS, *STRICT))
    with QemuCortexM(*options, core=core, variables=VARIABLES) as machine:
        check_all(machine, tmp_path, seed=2)


def test_the_default_state_serves_a_context_without_one(tmp_path):
    machine = Host(SOURCES, tmp_path, INCLUDES, FLAGS)
    net = random_nets.dense_net(3)
    session = Session(machine, Graph.of_net(net, tmp_path), external=False)
    assert session.prepare() == 0
    x = random_nets.random_inputs(net, 4)
    for subnet, sample in enumerate(x):
        assert machine.call("reds_tflm_set_subnet", subnet) == 0
        np.testing.assert_array_equal(session.run(sample), net.run(sample[np.newaxis], subnet)[0])
        assert machine.call("reds_tflm_active_subnet") == subnet


@pytest.mark.parametrize("compiler", target_compilers(), ids=lambda c: c.version[:12])
def test_a_switch_costs_a_store(compiler, tmp_path):
    """Simulated instructions on the Cortex-M4F: the setters, and the first run after a switch."""
    options = {"compiler": compiler, "variables": VARIABLES, "guard": False}
    machine = CortexM(SOURCES, tmp_path, INCLUDES, (*FLAGS, *STRICT), **options)
    net = separable(0)
    session = Session(machine, Graph.of_net(net, tmp_path))
    assert session.prepare() == 0
    session.run(random_nets.random_inputs(net, 1)[0])
    for subnet in (0, 3, 1, 2, 0):
        setters = (
            machine.count_instructions("reds_tflm_state_set_subnet", session.state, subnet),
            machine.count_instructions("reds_tflm_set_subnet", subnet),
        )
        first, second = (
            machine.count_instructions("context_invoke", session.context) for _ in range(2)
        )
        assert session.active == subnet
        assert max(setters) < SETTER_LIMIT
        assert abs(first - second) <= FIRST_LIMIT


def test_sanitizers_find_nothing(tmp_path):
    run_python(
        "from pathlib import Path; from host_machine import Host; from tflm_nets import check_all\n"
        f"check_all(Host.of_library({str(sanitized_ops())!r}), Path({str(tmp_path)!r}), 3)"
    )
