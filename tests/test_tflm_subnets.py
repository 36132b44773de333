"""How the custom ops learn their subnet, in the real interpreter: an input tensor, a state."""

import subprocess
import sys
import textwrap
from pathlib import Path

import numpy as np
import pytest
import random_nets
import tflite
from tflm_wheels import custom_ops, pinned_wheel

import tflm_reds.tflm_worker
from tflm_reds.codegen.tflm.library import DECLARATIONS, INCLUDE, op_sources
from tflm_reds.codegen.toolchain import build_shared_library
from tflm_reds.errors import DataError
from tflm_reds.quantized import QuantizedNet
from tflm_reds.tflite_io import write_reds_model
from tflm_reds.tflm import Interpreter
from tflm_reds.tflm_wheel import PINS

TESTS = Path(__file__).parent
WORKER = Path(tflm_reds.tflm_worker.__file__).parent


def expected_outputs(net: QuantizedNet, x: np.ndarray, subnets: np.ndarray) -> np.ndarray:
    outputs = np.empty((len(x), *net.output.shape), np.int8)
    for k in range(net.subnet_count):
        outputs[subnets == k] = net.run(x[subnets == k], k)
    return outputs


@pytest.mark.parametrize("pin", PINS)
@pytest.mark.parametrize("make", [random_nets.every_op, random_nets.concatenating])
def test_an_input_tensor_selects_the_subnet(make, pin):
    net = make(0)
    x = random_nets.random_inputs(net, 100)
    subnets = np.random.default_rng(0).integers(0, net.subnet_count, len(x))
    with Interpreter.from_net(net, pinned_wheel(pin), subnet_input=True) as tflm:
        full = net.run(x[:5], net.subnet_count - 1)
        assert np.array_equal(tflm.run(x[:5]), full)
        expected = expected_outputs(net, x, subnets)
        assert np.count_nonzero(tflm.run_switching(x, subnets) != expected) == 0
        with pytest.raises(DataError, match=f"no subnet {net.subnet_count}"):
            tflm.run_switching(x[:1], [net.subnet_count])
        assert np.array_equal(tflm.run(x[-1:]), expected[-1:])


def test_the_second_input_is_one_int32(tmp_path):
    path = write_reds_model(random_nets.ds_cnn(), tmp_path / "m.tflite", subnet_input=True)
    subgraph = tflite.Model.GetRootAs(path.read_bytes()).Subgraphs(0)
    tensor = subgraph.Tensors(subgraph.Inputs(1))
    assert (tensor.Name(), tensor.Type(), list(tensor.ShapeAsNumpy())) == (
        b"subnet",
        tflite.TensorType.INT32,
        [1],
    )


@pytest.fixture(scope="module", params=PINS)
def own_states(request, tmp_path_factory):
    """A wheel, and custom ops that give each of its interpreters a state."""
    wheel = pinned_wheel(request.param)
    output = tmp_path_factory.mktemp("own") / "own_states.so"
    flags = (f"-DREDS_TFLM_ABI={wheel.abi}", "-DTF_LITE_STATIC_MEMORY", "-Wall", "-Wextra")
    sources = [*op_sources(), TESTS / "tflm_own_states.cpp"]
    return wheel, build_shared_library(sources, output, (*INCLUDE, DECLARATIONS), flags)


@pytest.mark.parametrize("mode", ["input", "external"])
def test_two_interpreters_in_one_program_run_different_subnets(mode, own_states, tmp_path):
    wheel, library = own_states
    nets = [random_nets.ds_cnn(), random_nets.every_op()]
    calls = {}
    for index, net in enumerate(nets):
        write_reds_model(net, tmp_path / f"{index}.tflite", subnet_input=mode == "input")
        calls[f"x{index}"] = random_nets.random_inputs(net, 50, index)
        calls[f"count{index}"] = net.subnet_count
        random = np.random.default_rng(index)
        calls[f"subnets{index}"] = random.integers(0, net.subnet_count, 50)
    np.savez(tmp_path / "calls.npz", **calls)
    library = library if mode == "external" else custom_ops(wheel.abi)
    command = [sys.executable, "-P", TESTS / "two_interpreters.py", WORKER]
    command += [wheel.runtime, library, tmp_path, mode]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    outputs = np.load(tmp_path / "outputs.npz")
    for index, net in enumerate(nets):
        expected = expected_outputs(net, calls[f"x{index}"], calls[f"subnets{index}"])
        assert np.count_nonzero(outputs[f"y{index}"] != expected) == 0


@pytest.mark.parametrize("times", [1, 2])
def test_ops_registered_twice_are_refused(times, tmp_path):
    wheel, library = pinned_wheel(), custom_ops(1)
    path = write_reds_model(random_nets.ds_cnn(), tmp_path / "m.tflite")
    script = textwrap.dedent(f"""
        import sys; sys.path.insert(0, {str(WORKER)!r})
        from tflm_worker import Worker
        worker = Worker({str(wheel.runtime)!r})
        worker.load_custom_ops({str(library)!r})
        content = open({str(path)!r}, "rb").read()
        recording = worker._runtime.PythonInterpreterConfig.kAllocationRecording
        registerers = ["reds_tflm_register"] * {times}
        worker._runtime.InterpreterWrapper(content, registerers, 1 << 20, 0, recording, 0)
    """)
    command = [sys.executable, "-P", "-c", script]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    refused = "RuntimeError" in done.stderr and "reds_tflm_register" in done.stderr
    assert (done.returncode, refused) == ((0, False) if times == 1 else (1, True)), done.stderr
