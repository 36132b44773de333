"""Every C kernel against QuantizedNet's numpy kernels, on this host and on simulated Cortex-M.

The host, M0 and M3 run the plain bodies, M4, M7 and M33 the DSP bodies, M55 the vector bodies.
"""

import importlib.util
import shutil
import sys
from contextlib import nullcontext
from dataclasses import replace
from itertools import product

import numpy as np
import pytest
from host_machine import KERNELS, Host
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from kernel_calls import KernelCall
from machines import CortexM, QemuCortexM
from random_nets import NetBuilder

from tflm_reds.codegen.lower import lower, translate
from tflm_reds.codegen.passes.overlap import reach, reach_above, works_in_place
from tflm_reds.codegen.passes.select_kernels import (
    CONVOLVE_1X1_SMALL,
    scratch_bytes,
    select_kernels,
    smaller_kernels,
)
from tflm_reds.codegen.program import PAIR_KERNELS, Program
from tflm_reds.codegen.toolchain import target_compiler
from tflm_reds.quantized import QuantizedNet
from tflm_reds.reference import run_op
from tflm_reds.sim.qemu import PROGRAM

SOURCES = sorted(KERNELS.glob("*.c"))
UNICORN_CORES = ("cortex-m0", "cortex-m3", "cortex-m4f", "cortex-m7f", "cortex-m33f")
MACHINES = ("host", *UNICORN_CORES, "zig", "cortex-m55f", "cortex-m55f by zig")
EXAMPLES = dict.fromkeys(("host", "cortex-m4f", "zig"), 40)
FEWER_EXAMPLES, MANY_EXAMPLES = 8, 2000
zero_points = st.sampled_from([-128, 127, 0, -1]) | st.integers(-128, 127)
scales = st.sampled_from([1e-6, 1e-3, 0.02, 0.05, 0.05, 1.0])
sizes = st.integers(1, 9)
seeds = st.integers(0, 2**32 - 1)
LINEAR = ("convolution", "narrow", "pointwise", "depthwise", "dense")
activations = st.sampled_from(["none", "relu", "relu6"])
A_LOOKUP = np.random.default_rng(0).permutation(256).astype(np.uint8).view(np.int8)


@pytest.fixture(scope="module", params=MACHINES)
def machine_name(request) -> str:
    return request.param


@pytest.fixture(scope="module")
def machine(machine_name, tmp_path_factory):
    with make_machine(machine_name, tmp_path_factory.mktemp(machine_name)) as found:
        yield found


@pytest.fixture
def examples(machine_name) -> int:
    return EXAMPLES.get(machine_name, FEWER_EXAMPLES)


def make_machine(name: str, folder, sources=SOURCES):
    """A context manager of the machine called `name`, with all kernels."""
    if name == "host":
        return nullcontext(Host(sources, folder))
    if name.startswith("cortex-m55f"):
        if shutil.which(PROGRAM) is None:
            pytest.skip(f"{PROGRAM} not installed")
        compiler = zig_compiler() if name.endswith("zig") else None
        return QemuCortexM(sources, folder, compiler=compiler)
    if name == "zig":
        return nullcontext(CortexM(sources, folder, compiler=zig_compiler()))
    return nullcontext(CortexM(sources, folder, core=name))


def zig_compiler():
    """clang, where the default compiler is gcc."""
    compiler = target_compiler()
    if compiler.is_zig or importlib.util.find_spec("ziglang") is None:
        pytest.skip("only where both arm-none-eabi-gcc and ziglang are installed")
    return replace(compiler, command=(sys.executable, "-m", "ziglang", "cc"), is_zig=True)


@st.composite
def builders(draw, flat: bool = False, extents=sizes) -> NetBuilder:
    """An input tensor with drawn full channels, a narrower subnet 0, and drawn zero point."""
    full = draw(st.integers(1, 21))
    shape = (full,) if flat else (draw(extents), draw(extents), full)
    net = NetBuilder(shape, subnets=2, seed=draw(seeds))
    channels = (draw(st.integers(1, full)), full)
    positions = draw(sizes) if flat else 1
    net.tensors[0] = replace(
        net.tensors[0],
        shape=(positions * full,) if flat else shape,
        channels=channels,
        zero_point=draw(zero_points),
        positions=positions,
    )
    return net


@st.composite
def geometries(draw, builder: NetBuilder, dilated: bool = True) -> dict:
    """A window, stride and padding that leave at least one output."""
    padding = draw(st.sampled_from(["SAME", "VALID"]))
    geometry = {"kernel": [], "stride": [], "dilation": []}
    for size in builder.last.shape[:2]:
        kernel = draw(st.integers(1, min(size, 5) if padding == "VALID" else 5))
        limit = (size - 1) // max(kernel - 1, 1) if padding == "VALID" else 3
        geometry["kernel"].append(kernel)
        geometry["stride"].append(draw(st.integers(1, 3)))
        geometry["dilation"].append(draw(st.integers(1, max(1, min(limit, 3)))) if dilated else 1)
    return {key: tuple(value) for key, value in geometry.items()} | {"padding": padding}


@st.composite
def uncut_builders(draw) -> NetBuilder:
    """1, 2 or 4 input channels, at least four wide."""
    full = draw(st.sampled_from([1, 1, 2, 4]))
    shape = (draw(sizes), draw(st.integers(4, 11)), full)
    net = NetBuilder(shape, subnets=2, seed=draw(seeds))
    net.tensors[0] = replace(net.tensors[0], zero_point=draw(zero_points))
    return net


@st.composite
def linear_nets(draw, kind: str) -> QuantizedNet:
    """One layer with weights, its gain from far below to far above 1 (positive shifts)."""
    builder = draw(builders(flat=kind == "dense"))
    if kind == "narrow":
        builder = draw(uncut_builders())
    arguments = {"activation": draw(activations)}
    if kind == "dense":
        builder.dense(draw(st.integers(1, 13)), cut=True, **arguments)
    else:
        geometry = draw(geometries(builder)) if kind != "pointwise" else {"kernel": (1, 1)}
        if kind == "narrow":
            geometry["kernel"] = (geometry["kernel"][0], 4 // builder.shape[-1])
            geometry["dilation"] = (geometry["dilation"][0], 1)
        filters = () if kind == "depthwise" else (draw(st.integers(1, 13)),)
        if kind == "depthwise":
            arguments["multiplier"] = draw(st.sampled_from([1, 1, 2, 3]))
        getattr(builder, "depthwise" if filters == () else "convolution")(
            *filters, **geometry, **arguments
        )
    return _with_gain(draw, builder)


@st.composite
def depthwise_3x3_nets(draw) -> QuantizedNet:
    """What the kernel for 3x3 windows takes, on lines that its loops go through several times."""
    builder = draw(builders(extents=st.integers(1, 30)))
    stride = draw(st.tuples(st.integers(1, 2), st.integers(1, 2)))
    padding = draw(st.sampled_from(["SAME", "VALID"])) if min(builder.shape[:2]) >= 3 else "SAME"
    builder.depthwise(stride=stride, padding=padding, activation=draw(activations))
    return _with_gain(draw, builder)


def _with_gain(draw, builder: NetBuilder) -> QuantizedNet:
    """Rescale the op: multipliers from 2^-34 (0 in TFLM) to 2^6; small weights with large gains."""
    gain = draw(st.sampled_from([1, 1, 1, 30, 3000, 1e-3, 1e-9]))
    op = builder.ops[-1]
    weights = op.weights // 63 if gain > 1 else op.weights
    biases = tuple(bias // 1000 if gain > 1 else bias for bias in op.biases)
    scales = tuple((scale * gain).astype(np.float32) for scale in op.scales)
    builder.ops[-1] = replace(op, weights=weights, biases=biases, scales=scales)
    builder.tensors[-1] = replace(builder.tensors[-1], zero_point=draw(zero_points))
    return builder.build()


def check(
    machine, net: QuantizedNet, extremes: bool = True, lookup: np.ndarray | None = None
) -> None:
    """The last op in each subnet, on random and on extreme inputs, equals numpy.

    So does it with its output over its input, as far as the arena planner goes, a convolution with
    less scratch, and by the kernels that save scratch. `lookup` is the table of a fused op.
    """
    op, program = net.ops[-1], uncut_program(net)
    fastest = KernelCall(machine, net, op, 0).kernel or program.ops[-1].kernel
    ways = [("", place, room) for place in places(program, fastest) for room in rooms(fastest)]
    for kernel in smaller_convolutions(program, fastest):
        ways += [(kernel, *way) for way in product(places(program, kernel), rooms(kernel))]
    random = np.random.default_rng(0)
    for subnet in range(net.subnet_count):
        shapes = [net.tensors[name].active_shape(subnet) for name in op.inputs]
        draws = [[random.integers(-128, 128, shape).astype(np.int8) for shape in shapes]]
        if extremes:
            ends = np.array([-128, 127], np.int8)
            draws.append([random.choice(ends, shape) for shape in shapes])
        for inputs in draws:
            expected = run_op(net, op, subnet, [x[np.newaxis] for x in inputs])[0]
            if lookup is not None:
                expected = lookup[expected.astype(int) + 128]
            for kernel, below, room in ways:
                call = KernelCall(machine, net, op, subnet, lookup, below, room, kernel)
                actual = call.run(*inputs)
                np.testing.assert_array_equal(actual, expected)
                machine.free()


def uncut_program(net: QuantizedNet) -> Program:
    """As code generation takes the net, which refuses a cut input or output."""
    uncut = {
        name: replace(tensor, channels=(tensor.full_channels,) * net.subnet_count)
        for name, tensor in net.tensors.items()
    }
    return select_kernels(translate(replace(net, tensors=uncut)))


def rooms(kernel: str) -> tuple[float, ...]:
    return {"reds_convolve_s8": (1.0, 0.0, 0.3), CONVOLVE_1X1_SMALL: (1.0, 0.0)}.get(kernel, (1.0,))


def smaller_convolutions(program: Program, kernel: str) -> list[str]:
    kernels = smaller_kernels(program, replace(program.ops[-1], kernel=kernel))
    return [one for one in kernels if one in PAIR_KERNELS]


def places(program: Program, kernel: str) -> list[int | None]:
    """How far below its input the output of the last op may begin at least; None: apart from it.

    Less than 0: above it. `kernel` is that of a convolution, which may depend on whether its input
    is cut.
    """
    op = replace(program.ops[-1], kernel=kernel)
    if (above := reach_above(program, op)) is not None:
        return [None, -above]
    least = 0 if works_in_place(program, op) else reach(program, op)
    return [None] if least is None else [None, least]


def fits_32_bits(net: QuantizedNet) -> bool:
    """Whether no accumulator overflows, as the code generator demands."""
    op = net.ops[-1]
    magnitude = 255 * np.abs(op.weights.astype(np.int64)).sum() + np.abs(op.biases[-1]).max()
    return all(
        int(magnitude) << max(0, int(net.requantisation(op, k)[1].max())) < 2**31 - 256
        for k in range(net.subnet_count)
    )


@st.composite
def pooling_nets(draw, kind: str) -> QuantizedNet:
    builder = draw(builders())
    geometry = draw(geometries(builder, dilated=False))
    del geometry["dilation"]
    window = geometry.pop("kernel")
    return builder.pool(kind, window, activation=draw(activations), **geometry).build()


@st.composite
def mean_nets(draw) -> QuantizedNet:
    builder = draw(builders()).mean()
    return _with_target(draw, builder, draw(st.sampled_from([0.001, 0.02, 0.05, 1.0])))


@st.composite
def add_nets(draw) -> QuantizedNet:
    builder = draw(builders(flat=draw(st.booleans())))
    other = draw(second_inputs(builder) | st.just("input"))
    builder.add(other, draw(activations))
    scale = draw(scales)
    # What code generation refuses.
    assume(max(builder[other].scale, builder["input"].scale) < 2**19 * scale)
    return _with_target(draw, builder, scale)


@st.composite
def prelu_nets(draw) -> QuantizedNet:
    builder = draw(builders())
    builder.prelu(shared=draw(st.booleans()))
    alpha = draw(st.sampled_from([1e-12, 1e-4, 0.01, 0.3]))
    builder.ops[-1] = replace(builder.ops[-1], alpha=alpha)
    return _with_target(draw, builder, draw(scales))


def _with_target(draw, builder: NetBuilder, scale: float) -> QuantizedNet:
    """The net with this scale, and a drawn zero point, of its last tensor."""
    target = replace(builder.last, scale=float(np.float32(scale)), zero_point=draw(zero_points))
    builder.tensors[-1] = target
    return builder.build()


@st.composite
def second_inputs(draw, builder: NetBuilder) -> str:
    """Another tensor of the same channels, with a scale and zero point of its own."""
    scale = float(np.float32(draw(scales)))
    tensor = replace(builder.last, name="other", scale=scale, zero_point=draw(zero_points))
    builder.tensors.append(tensor)
    builder.back_to("input")
    return tensor.name


@st.composite
def concatenating_nets(draw) -> QuantizedNet:
    """Inputs of other widths, the same tensor twice, uncut ones; in the order of memory."""
    builder = draw(builders())
    names = []
    for index in range(draw(st.integers(1, 4))):
        full = draw(st.integers(1, 9))
        channels = (draw(st.integers(1, full)), full)
        shape = (*builder.shape[:-1], full)
        first = builder.tensors[0]
        tensor = replace(first, name=f"other_{index}", shape=shape, channels=channels)
        builder.tensors.append(tensor)
        names.append(tensor.name)
    builder.back_to("input").concatenate(*names, draw(st.sampled_from(["input", *names])))
    net = builder.build()
    target = replace(net.output, parts=())
    return replace(net, tensors=dict(net.tensors) | {target.name: target})


@st.composite
def moving_nets(draw) -> QuantizedNet:
    """Kernels that look up or move single values."""
    name = draw(st.sampled_from(["leaky_relu", "relu", "hard_swish", "pad", "flatten"]))
    return getattr(draw(builders()), name)().build()


@st.composite
def softmax_nets(draw) -> QuantizedNet:
    builder = NetBuilder((draw(st.integers(1, 40)),), subnets=1, seed=draw(seeds))
    scale = float(np.float32(draw(st.floats(1e-4, 2.0))))
    builder.tensors[0] = replace(builder.tensors[0], scale=scale)
    return builder.softmax().build()


NETS = {
    **{kind: linear_nets(kind) for kind in LINEAR},
    "depthwise_3x3": depthwise_3x3_nets(),
    "max_pool": pooling_nets("MAX_POOL_2D"),
    "average_pool": pooling_nets("AVERAGE_POOL_2D"),
    "mean": mean_nets(),
    "add": add_nets(),
    "prelu": prelu_nets(),
    "concatenate": concatenating_nets(),
    "data_movers": moving_nets(),
    "softmax": softmax_nets(),
}


def check_many(machine, kernel: str, examples: int) -> None:
    @settings(max_examples=examples, deadline=None)
    @given(NETS[kernel], st.sampled_from([None, None, A_LOOKUP]))
    def run(net: QuantizedNet, lookup: np.ndarray | None) -> None:
        is_linear = net.ops[-1].is_linear
        assume(not is_linear or fits_32_bits(net))
        check(machine, net, lookup=lookup if is_linear else None)

    run()


@pytest.mark.parametrize("kernel", NETS)
def test_kernel_equals_numpy(machine, kernel, examples):
    check_many(machine, kernel, examples)


@pytest.mark.slow
@pytest.mark.parametrize("kernel", NETS)
def test_kernel_equals_numpy_on_thousands(machine, kernel):
    check_many(machine, kernel, MANY_EXAMPLES)


def test_sum_whose_output_factor_is_above_half(machine):
    """Then it is no shift to the right."""
    builder = NetBuilder((3, 2, 5), subnets=2, seed=1)
    builder.tensors[0] = replace(builder.tensors[0], scale=1.0, zero_point=3)
    other = replace(builder.tensors[0], name="other", scale=0.4, zero_point=-9)
    builder.tensors.append(other)
    builder.back_to("input").add("other")
    builder.tensors[-1] = replace(builder.last, scale=float(np.float32(3e-6)), zero_point=-20)
    check(machine, builder.build())


@pytest.mark.parametrize("window", [(31, 17), (31, 19), None])
def test_average_of_more_than_fit_an_int16(machine, window):
    """Windows of whole rows, with columns beside them, and MEAN; of -128 only."""
    builder = NetBuilder((31, 19, 6), subnets=2, seed=1)
    builder.tensors[0] = replace(builder.tensors[0], channels=(5, 6))
    if window is None:
        builder.mean()
    else:
        builder.pool("AVERAGE_POOL_2D", window, stride=(1, 1))
    net = builder.build()
    for subnet in range(net.subnet_count):
        x = np.full(net.input.active_shape(subnet), -128, np.int8)
        expected = run_op(net, net.ops[0], subnet, [x[np.newaxis]])[0]
        actual = KernelCall(machine, net, net.ops[0], subnet).run(x)
        np.testing.assert_array_equal(actual, expected)
        machine.free()
    check(machine, net)


@pytest.mark.parametrize("size", [500, 4095])
def test_softmax_of_many_equal_classes(machine, size):
    """The sum leaves the range in which TFLM's final shift is at most 31."""
    net = NetBuilder((size,), subnets=1).softmax().build()
    x = np.zeros(size, np.int8)
    expected = run_op(net, net.ops[0], 0, [x[np.newaxis]])[0]
    np.testing.assert_array_equal(KernelCall(machine, net, net.ops[0], 0).run(x), expected)
    machine.free()


def test_scratch_of_the_planner_is_that_of_the_kernels(machine, examples):
    @settings(max_examples=examples, deadline=None)
    @given(st.integers(1, 4), st.integers(1, 4), st.integers(1, 21), st.integers(1, 21))
    def run(height, width, channels, stride):
        channels = min(channels, stride)
        for kernel, window in (
            ("reds_convolve_s8", (height, width)),
            ("reds_convolve_1x1_s8", (1, 1)),
            ("reds_convolve_1x1_small_s8", (1, 1)),
            ("reds_fully_connected_s8", (1, 1)),
        ):
            call = KernelCall(machine, *_any_convolution(), 0)
            dims = call.ints(*window, channels, stride)
            size = machine.call(f"{kernel}_get_buffer_size", dims)
            assert size == scratch_bytes(kernel, window, channels, stride)
            machine.free()

    run()


@pytest.mark.parametrize("kind", ["convolution", "dense"])
@pytest.mark.parametrize("activation", ["none", "relu"])
@pytest.mark.parametrize("widths", [(7, 260, 301, 520), (516, 1024, 1027, 1030)], ids=str)
def test_rows_longer_than_a_run(machine, kind, activation, widths):
    """Sums of more than 256 inputs, some with weights between the last one read and the next."""
    shape = (3, 2, widths[-1]) if kind == "convolution" else (widths[-1],)
    builder = NetBuilder(shape, subnets=4, seed=2)
    builder.tensors[0] = replace(builder.last, channels=widths)
    if kind == "convolution":
        builder.convolution(9, (1, 1), activation=activation)
    else:
        builder.dense(9, cut=True, activation=activation)
    builder.tensors[-1] = replace(builder.last, zero_point=-128)
    builder.ops[-1] = replace(builder.ops[-1], weights=builder.ops[-1].weights // 16)
    check(machine, builder.build())


def test_less_scratch_of_the_planner_is_what_the_kernel_takes(machine):
    """The least candidate of each subnet is enough, and one byte less is not."""
    net = NetBuilder((9, 8, 6), subnets=3, seed=3).convolution(6, (3, 2))
    net.convolution(7, (3, 2), cut=False)
    net = net.build()
    program = lower(net)
    candidates = program.ops[-1].scratch_candidates
    assert len(candidates) > 1 and list(candidates) == sorted(candidates, reverse=True)
    least = []
    for subnet in range(net.subnet_count):
        call = KernelCall(machine, net, net.ops[-1], subnet)
        dims = call.ints(3, 2, call.source.channels[subnet], call.filter_stride())
        name = "reds_convolve_s8_get_least_buffer_size"
        least.append(machine.call(name, dims, call.dims(call.target)))
        machine.free()
    assert candidates[-1] == max(least)


def test_fill_tail(machine):
    call = KernelCall(machine, *_any_convolution(), 0)
    output = call.variable(np.arange(24, dtype=np.int8))
    assert machine.call("reds_fill_tail_s8", (-7) & 0xFFFFFFFF, call.ints(2, 3, 1, 4), output) == 0
    values = np.frombuffer(machine.read(output, 24), np.int8).reshape(6, 4)
    np.testing.assert_array_equal(values[:, 0], np.arange(0, 24, 4))
    assert (values[:, 1:] == -7).all()
    machine.free()


def _any_convolution():
    net = NetBuilder((5, 4, 6), subnets=2, seed=3).convolution(7, (3, 2)).build()
    return net, net.ops[0]
