"""The depthwise 3x3 kernel: any padding, in place, cost of a multiplication, mutations.

`test_kernels.py` compares it with numpy on every core.
"""

import shutil
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from kernel_calls import KernelCall
from machines import KERNELS, CortexM
from random_nets import NetBuilder
from test_kernels import make_machine, zig_compiler

from tflm_reds.codegen.passes.select_kernels import DEPTHWISE_3X3, depthwise_scratch_bytes
from tflm_reds.quantized import QuantizedNet
from tflm_reds.reference import run_op

SOURCES = [KERNELS / f"{DEPTHWISE_3X3}.c", KERNELS / "reds_support.c"]
CORE = "cortex-m4f"


@pytest.fixture(scope="module", params=["host", CORE, "cortex-m55f"])
def machine(request, tmp_path_factory):
    with make_machine(request.param, tmp_path_factory.mktemp(request.param), SOURCES) as found:
        yield found


@dataclass(frozen=True)
class Layer:
    """One depthwise layer, its input padded by hand: `pads` is (top, bottom, left, right)."""

    size: tuple[int, int]
    channels: tuple[int, int] = (3, 4)
    stride: tuple[int, int] = (1, 1)
    pads: tuple[int, int, int, int] = (1, 1, 1, 1)
    activation: str = "relu"
    zero_point: int = -128
    gain: float = 1.0
    seed: int = 0

    def nets(self) -> tuple[QuantizedNet, QuantizedNet]:
        """For numpy: of the padded input, without padding; and with the kernel's input."""
        top, bottom, left, right = self.pads
        padded = (self.size[0] + top + bottom, self.size[1] + left + right, self.channels[1])
        builder = NetBuilder(padded, subnets=2, seed=self.seed)
        builder.tensors[0] = replace(builder.tensors[0], channels=self.channels)
        builder.depthwise(stride=self.stride, padding="VALID", activation=self.activation)
        op = builder.ops[0]
        scales = tuple((scale * self.gain).astype(np.float32) for scale in op.scales)
        builder.ops[0] = replace(op, scales=scales)
        builder.tensors[-1] = replace(builder.tensors[-1], zero_point=self.zero_point)
        net = builder.build()
        source = replace(net.input, shape=(*self.size, self.channels[1]))
        return net, replace(net, tensors=dict(net.tensors) | {source.name: source})


class PaddedCall(KernelCall):
    """A call with the padding of a layer."""

    def __init__(self, machine, net: QuantizedNet, subnet: int, layer: Layer, below=None) -> None:
        super().__init__(machine, net, net.ops[0], subnet, below=below)
        self._padding = layer.pads[0], layer.pads[2]

    def padding(self) -> tuple[int, int]:
        return self._padding


def differences(machine, layer: Layer, below: int | None = None) -> int:
    """How many outputs of both subnets differ from numpy's."""
    padded, net = layer.nets()
    random = np.random.default_rng(layer.seed)
    found = 0
    for subnet in range(net.subnet_count):
        x = random.integers(-128, 128, net.input.active_shape(subnet)).astype(np.int8)
        pads = (layer.pads[:2], layer.pads[2:], (0, 0))
        whole = np.pad(x, pads, constant_values=net.input.zero_point)
        expected = run_op(padded, padded.ops[0], subnet, [whole[np.newaxis]])[0]
        actual = PaddedCall(machine, net, subnet, layer, below).run(x)
        machine.free()
        found += np.count_nonzero(actual != expected)
    return found


@st.composite
def layers(draw) -> Layer:
    full = draw(st.integers(1, 7))
    size = draw(st.tuples(st.integers(1, 40), st.integers(1, 8)))
    pads = draw(st.tuples(*[st.integers(0, 5)] * 4))
    assume(size[0] + pads[0] + pads[1] >= 3 and size[1] + pads[2] + pads[3] >= 3)
    return Layer(
        size=size[:: draw(st.sampled_from([1, -1]))] if min(size) >= 3 else size,
        channels=(draw(st.integers(1, full)), full),
        stride=draw(st.tuples(st.integers(1, 2), st.integers(1, 2))),
        pads=pads,
        activation=draw(st.sampled_from(["none", "relu", "relu6"])),
        zero_point=draw(st.sampled_from([-128, -128, 127]) | st.integers(-128, 127)),
        gain=draw(st.sampled_from([1.0, 1.0, 30.0, 0.01])),
        seed=draw(st.integers(0, 2**32 - 1)),
    )


@settings(max_examples=60, deadline=None)
@given(layer=layers())
def test_any_padding(machine, layer):
    assert differences(machine, layer) == 0


@settings(max_examples=30, deadline=None)
@given(layer=layers(), top=st.integers(0, 2), left=st.integers(0, 2))
def test_output_over_input(machine, layer, top, left):
    """The last of an odd number of channels is gathered with the one before it."""
    pads = (top, 2 - top, left, 2 - left)
    assert differences(machine, replace(layer, stride=(1, 1), pads=pads), below=0) == 0


@given(
    st.tuples(st.integers(1, 99), st.integers(1, 99)),
    st.tuples(st.integers(1, 2), st.integers(1, 2)),
)
@settings(max_examples=60, deadline=None)
def test_scratch_of_the_planner_is_that_of_the_kernel(machine, outputs, stride):
    call = KernelCall(machine, *_any_depthwise(), 0)
    params = call.ints(0, 0, *stride, 0, 0, 1, 1, -128, 127, 0, 0)
    size = machine.call(f"{DEPTHWISE_3X3}_get_buffer_size", params, call.ints(*outputs, 5, 7))
    assert size == depthwise_scratch_bytes(outputs, stride)
    machine.free()


def _any_depthwise():
    net = NetBuilder((5, 4, 6), subnets=2, seed=3).depthwise().build()
    return net, net.ops[0]


def cost(machine: CortexM, layer: Layer, subnet: int) -> tuple[float, float]:
    """(instructions, modelled cycles without wait states) of a call for each multiplication."""
    _, net = layer.nets()
    x = np.zeros(net.input.active_shape(subnet), np.int8)
    name, arguments = PaddedCall(machine, net, subnet, layer).prepare(x)
    counts = machine.count(name, *arguments)
    cycles = machine.cycles(counts).ws0
    machine.free()
    macs = 9 * np.prod(net.output.active_shape(subnet))
    return counts.instructions / macs, cycles / macs


@pytest.mark.parametrize("narrow", [16, 17, 33, 48])
def test_cost_of_a_multiplication(tmp_path_factory, narrow):
    """On the maps of the keyword network; CMSIS-NN takes 8.3 instructions and 9.8 cycles."""
    machine = CortexM(SOURCES, tmp_path_factory.mktemp("cost"))
    costs = [cost(machine, Layer((25, 5), (narrow, 64)), subnet) for subnet in (0, 1)]
    for instructions, cycles in costs:
        assert instructions <= 2.3 and cycles <= 2.7
    assert costs[0][0] <= 1.03 * costs[1][0]


def test_cost_does_not_depend_on_the_compiler(tmp_path_factory):
    """Arduino's flags, and clang."""
    layer = Layer((25, 5), (16, 64))
    arduino = ("-Os", "-funsigned-char", "-mfloat-abi=softfp")
    gcc, small, clang = (
        cost(CortexM(SOURCES, tmp_path_factory.mktemp("cost"), **options), layer, 0)[0]
        for options in ({}, {"flags": arduino}, {"compiler": zig_compiler()})
    )
    assert small <= 1.05 * gcc
    assert clang <= 1.10 * gcc


MAPS = (
    Layer((25, 5), seed=1),
    Layer((25, 5), gain=2.0, activation="none", zero_point=5, seed=2),
    Layer((24, 8), (6, 8), gain=2.0, activation="none", zero_point=5, seed=3),
    Layer((7, 8), stride=(2, 2), activation="none", zero_point=-7, seed=4),
    Layer((7, 8), pads=(1, 0, 1, 0), seed=5),
    Layer((9, 4), activation="none", zero_point=5, gain=3000.0, seed=6),
    Layer((6, 9), activation="relu", zero_point=-20, seed=7),
)
MUTATIONS = {
    "rounding": ("lines.h", '"adc r10, r10, r12, asr #24', '"add r10, r10, r12, asr #24'),
    "rounding of negatives": ("lines.h", '"add r11, r11, r11, asr #31', '"add r11, r11, #0'),
    "rotation of the weights": ("lines.h", "sub r3, r0, r11, lsl #1", "add r3, r0, #8"),
    "order of the weights": ("pairs.h", "rows[i] = rows[i + 6]", "rows[i] = rows[i + 4]"),
    "zero point of the input": ("pairs.h", "layer->input_offset * sum", "0 * sum"),
    "doubled bias": (
        "pairs.h",
        "2 * (layer->outputs.bias[index]",
        "(2 * (layer->outputs.bias[index] / 2)",
    ),
    "shared line of padding": ("pairs.h", "last >= outer->inputs", "last < outer->inputs"),
    "padding": ("pairs.h", "slots[2] = zero", "slots[2] = 0"),
    "odd positions": ("lines.h", '"tst r0, #2', '"tst r0, #4'),
    "table of an activation": (
        "conv_3x3_s8.c",
        "i - 128 - outputs->offset",
        "i - 127 - outputs->offset",
    ),
    "zero point in plain C": ("conv_3x3_s8.c", "layer->input_offset * sum", "0 * sum"),
    "order of lines in plain C": (
        "conv_3x3_s8.c",
        "lines->oldest = lines->middle",
        "lines->oldest = lines->oldest",
    ),
}


def patched_kernel(folder: Path, mutation: str) -> Path:
    """The source with one constant changed, beside copies of all headers."""
    copied = Path(shutil.copytree(KERNELS, folder / "kernels"))
    if mutation:
        end, old, new = MUTATIONS[mutation]
        (path,) = copied.glob(f"reds_depthwise_*{end}")
        text = path.read_text()
        assert old in text
        path.write_text(text.replace(old, new))
    return copied / f"{DEPTHWISE_3X3}.c"


@pytest.mark.parametrize("mutation", ["", *MUTATIONS])
def test_comparison_sees_each_mutation(tmp_path, mutation):
    source = patched_kernel(tmp_path, mutation)
    machine = CortexM([source, SOURCES[1]], tmp_path, include=source.parent)
    found = sum(differences(machine, layer) for layer in MAPS)
    assert (found > 0) == bool(mutation)
