"""The generated C equals QuantizedNet.run: on this host, under sanitizers, on a Cortex-M4F."""

import subprocess
from pathlib import Path

import numpy as np
import pytest
from host_machine import Host
from machines import CortexM
from random_nets import (
    NetBuilder,
    concatenating,
    dense_net,
    ds_cnn,
    every_op,
    random_inputs,
    residual,
    with_shared_tables,
)

from tflm_reds.codegen.host import HostLibrary
from tflm_reds.codegen.lower import lower
from tflm_reds.codegen.program import Program
from tflm_reds.codegen.toolchain import host_compiler
from tflm_reds.codegen.writer import write_sources
from tflm_reds.errors import DataError

NETS = [ds_cnn, every_op, dense_net, residual, concatenating]
ERROR_ARGUMENT, ERROR_ARENA, ERROR_SUBNET = 1, 2, 3
STATE_BYTES = 64


def odd_shapes(seed: int = 0):
    """Dilation, uneven strides, single channels, a view, views of views, in-place ops."""
    net = NetBuilder((13, 7, 1), subnets=3, seed=seed)
    net.convolution(5, (3, 3), "none", dilation=(2, 1), stride=(1, 2)).leaky_relu(0.1)
    net.pad(0, 2, 1, 1).depthwise((2, 3), "relu6", stride=(2, 1)).pad(1, 1, 1, 1).pool()
    return net.convolution(9, (2, 1), cut=False).flatten().dense(7, cut=True).dense(3).build("odd")


@pytest.mark.parametrize("make", [*NETS, odd_shapes])
@pytest.mark.parametrize("seed", [0, 1])
def test_every_subnet_whatever_the_arena_holds(make, seed, tmp_path):
    net = make(seed)
    library = HostLibrary(lower(net), tmp_path)
    x = random_inputs(net, 40, seed)
    for subnet in range(net.subnet_count):
        library.scramble_arena()
        np.testing.assert_array_equal(library.run(x, subnet), net.run(x, subnet))
        assert library.active_subnet == subnet


@pytest.mark.parametrize("fields", [("biases",), ("scales",), ("biases", "scales")])
def test_subnets_that_share_tables(fields, tmp_path):
    net = with_shared_tables(concatenating(1), *fields)
    library = HostLibrary(lower(net), tmp_path)
    text = (tmp_path / "concatenating_model.c").read_text()
    for field, shared in {"bias": "biases", "requantisation": "scales"}.items():
        assert f".shares_{field} = {int(shared in fields)}," in text
    assert "/* all subnets */" in text
    x = random_inputs(net, 40)
    for subnet in range(net.subnet_count):
        np.testing.assert_array_equal(library.run(x, subnet), net.run(x, subnet))


def test_switch_before_each_input(tmp_path):
    net = every_op(2)
    x = random_inputs(net, 60)
    subnets = np.random.default_rng(0).integers(0, net.subnet_count, len(x))
    outputs = HostLibrary(lower(net), tmp_path).run_switching(x, subnets)
    for subnet in range(net.subnet_count):
        chosen = subnets == subnet
        np.testing.assert_array_equal(outputs[chosen], net.run(x[chosen], subnet))


def test_bad_input_of_the_library(tmp_path):
    net = dense_net()
    library = HostLibrary(lower(net), tmp_path)
    with pytest.raises(DataError, match="25 values"):
        library.run(np.zeros((2, 24), np.int8), 0)
    with pytest.raises(DataError, match="float32"):
        library.run(np.zeros((2, 25), np.float32), 0)
    with pytest.raises(DataError, match=r"Subnet 4.*0\.\.3"):
        library.run(np.zeros((2, 25), np.int8), 4)
    assert library.run(np.zeros((0, 25), np.int8), 0).shape == (0, 12)


class Model:
    """A generated model on a machine, driven through the C API of reds.h."""

    def __init__(self, machine, program: Program, name: str) -> None:
        self.machine = machine
        self.name = name
        self.state = machine.place(bytes(STATE_BYTES))
        self.arena_bytes = program.arena_sizes[-1]
        self.arena = machine.place(b"\xa5" * self.arena_bytes)
        self.output_size = program.edges[program.output].size
        self.output = machine.place(bytes(self.output_size))

    def init(self, arena: int, size: int) -> int:
        model = self.machine.symbol(f"{self.name}_model")
        return self.machine.call("reds_init", self.state, model, arena, size)

    def run(self, x: np.ndarray, subnet: int) -> np.ndarray:
        assert self.machine.call("reds_set_subnet", self.state, subnet) == 0
        data = self.machine.place(x.tobytes())
        assert self.machine.call("reds_invoke", self.state, data, self.output) == 0
        return np.frombuffer(self.machine.read(self.output, self.output_size), np.int8)


def sources_of(program: Program, folder: Path) -> list[Path]:
    return [path for path in write_sources(program, folder) if path.suffix == ".c"]


@pytest.mark.parametrize("flags", [(), ("-Os", "-funsigned-char")])
@pytest.mark.parametrize("make", [*NETS, odd_shapes])
def test_cortex_m4(make, flags, tmp_path):
    net = make(4)
    program = lower(net)
    machine = CortexM(sources_of(program, tmp_path), tmp_path, tmp_path, flags)
    model = Model(machine, program, net.name)
    assert model.init(model.arena, model.arena_bytes) == 0
    x = random_inputs(net, 12)
    for i, sample in enumerate(x):
        subnet = (i * 5) % net.subnet_count
        expected = net.run(x[i : i + 1], subnet)[0]
        np.testing.assert_array_equal(model.run(sample, subnet), expected.ravel())


def test_switch_costs_nothing(tmp_path):
    net = ds_cnn()
    program = lower(net)
    machine = CortexM(sources_of(program, tmp_path), tmp_path, tmp_path)
    model = Model(machine, program, net.name)
    model.init(model.arena, model.arena_bytes)
    x = random_inputs(net, 1)[0]
    model.run(x, 3)
    assert machine.count_instructions("reds_set_subnet", model.state, 1) < 16
    data = machine.place(x.tobytes())
    invoke = ("reds_invoke", model.state, data, model.output)
    first, second = (machine.count_instructions(*invoke) for _ in range(2))
    assert first == second


@pytest.fixture
def two_models(tmp_path):
    """Two networks in one library."""
    nets = [ds_cnn(), dense_net()]
    programs = [lower(net) for net in nets]
    sources = {path for program in programs for path in sources_of(program, tmp_path)}
    machine = Host(sorted(sources), tmp_path, tmp_path)
    models = [Model(machine, p, net.name) for p, net in zip(programs, nets, strict=True)]
    return machine, list(zip(nets, models, strict=True))


def test_two_models_in_one_program(two_models):
    _, pairs = two_models
    for _, model in pairs:
        assert model.init(model.arena, model.arena_bytes) == 0
    for i in range(6):
        for net, model in pairs:
            x = random_inputs(net, 1, i)
            subnet = i % net.subnet_count
            np.testing.assert_array_equal(model.run(x[0], subnet), net.run(x, subnet)[0])


def test_bad_arguments_of_the_executor(two_models):
    machine, ((_, model), _) = two_models
    data = machine.place(bytes(4096))
    assert machine.call("reds_invoke", model.state, data, model.output) == ERROR_ARGUMENT
    assert machine.call("reds_set_subnet", model.state, 0) == ERROR_ARGUMENT
    assert machine.call("reds_init", 0, machine.symbol("ds_cnn_model"), model.arena, 9999) == 1
    assert machine.call("reds_init", model.state, 0, model.arena, 9999) == ERROR_ARGUMENT
    assert model.init(0, model.arena_bytes) == ERROR_ARENA
    assert model.init(model.arena, model.arena_bytes - 1) == ERROR_ARENA
    assert model.init(model.arena + 8, model.arena_bytes) == ERROR_ARENA
    assert model.init(model.arena, model.arena_bytes) == 0
    assert machine.call("reds_invoke", model.state, 0, model.output) == ERROR_ARGUMENT
    assert machine.call("reds_invoke", model.state, data, 0) == ERROR_ARGUMENT
    assert machine.call("reds_invoke", 0, data, model.output) == ERROR_ARGUMENT
    assert machine.call("reds_set_subnet", 0, 0) == ERROR_ARGUMENT


def test_bad_subnet_keeps_the_current_one(two_models):
    machine, ((net, model), _) = two_models
    model.init(model.arena, model.arena_bytes)
    x = random_inputs(net, 1)
    model.run(x[0], 1)
    for subnet in (-1, net.subnet_count, 2**31 - 1):
        assert machine.call("reds_set_subnet", model.state, subnet) == ERROR_SUBNET
    data = machine.place(x[0].tobytes())
    assert machine.call("reds_invoke", model.state, data, model.output) == 0
    result = np.frombuffer(machine.read(model.output, model.output_size), np.int8)
    np.testing.assert_array_equal(result, net.run(x, 1)[0])


SANITIZED_MAIN = """
#include <stdio.h>
#include <stdlib.h>
#include "{name}_model.h"

static void hook(void *count, int32_t index) {{ if (index >= 0) ++*(int *)count; }}

int main(void) {{
  /* Exact sizes on the heap: one byte beyond is an error. */
  int8_t *arena = aligned_alloc(16, {name_upper}_ARENA_BYTES);
  int8_t *input = malloc({name_upper}_INPUT_BYTES), *output = malloc({name_upper}_OUTPUT_BYTES);
  int calls = 0;
  reds_state state;
  if (reds_init(&state, &{name}_model, arena, {name_upper}_ARENA_BYTES)) return 1;
  state.hook = hook;
  state.hook_context = &calls;
  for (int i = 0; fread(input, {name_upper}_INPUT_BYTES, 1, stdin) == 1; ++i) {{
    if (reds_set_subnet(&state, i % {name_upper}_SUBNETS)) return 2;
    if (reds_invoke(&state, input, output)) return 3;
    fwrite(output, {name_upper}_OUTPUT_BYTES, 1, stdout);
    if (calls != (i + 1) * ({name}_model.op_count + 1)) return 4;
  }}
  free(arena), free(input), free(output);
  return 0;
}}
"""


def little_scratch(seed: int = 0):
    """Under `ram`: the convolutions that save scratch; widths that fall and rise."""
    net = NetBuilder((6, 5, 3), subnets=2, seed=seed).convolution(58, (1, 1))
    net.convolution(43, (1, 1)).convolution(58, (1, 1)).convolution(43, (3, 3), padding="SAME")
    return net.mean().dense(3).build("little_scratch")


@pytest.mark.parametrize(
    ("make", "optimize"),
    [*((make, "speed") for make in (*NETS, odd_shapes)), (little_scratch, "ram")],
)
def test_sanitizers_find_nothing(make, optimize, tmp_path):
    compiler = host_compiler()
    if compiler.is_zig:
        pytest.skip("AddressSanitizer needs gcc")
    net = make(5)
    sources = sources_of(lower(net, optimize), tmp_path)
    main = tmp_path / "main.c"
    main.write_text(SANITIZED_MAIN.format(name=net.name, name_upper=net.name.upper()))
    flags = ["-std=c11", "-g", "-O1", "-fsanitize=address,undefined", "-fno-sanitize-recover=all"]
    program = tmp_path / "sanitized"
    command = [*compiler.command, *flags, *map(str, sources), str(main), "-o", str(program)]
    subprocess.run(command, check=True, capture_output=True)
    x = random_inputs(net, 3 * net.subnet_count)
    done = subprocess.run([str(program)], input=x.tobytes(), capture_output=True, check=False)
    assert done.returncode == 0, done.stderr.decode()
    outputs = np.frombuffer(done.stdout, np.int8).reshape(len(x), -1)
    for i, output in enumerate(outputs):
        expected = net.run(x[i : i + 1], i % net.subnet_count)[0]
        np.testing.assert_array_equal(output, expected.ravel())
