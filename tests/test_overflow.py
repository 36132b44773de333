"""Every bound that the kernels rely on is checked before code is generated."""

from dataclasses import replace

import numpy as np
import pytest
from random_nets import NetBuilder

from tflm_reds.codegen.lower import lower, translate
from tflm_reds.codegen.passes.check_overflow import LIMIT, check_overflow, worst_accumulator
from tflm_reds.errors import QuantizationError
from tflm_reds.quantized import QuantizedNet


def refuse(net: QuantizedNet, *parts: str) -> None:
    with pytest.raises(QuantizationError) as error:
        lower(net)
    for part in parts:
        assert part in str(error.value)


def with_tensor(net: QuantizedNet, name: str, **changes) -> QuantizedNet:
    tensor = replace(net.tensors[name], **changes)
    return replace(net, tensors=dict(net.tensors) | {name: tensor})


def linear_net(kind: str) -> QuantizedNet:
    builder = NetBuilder((40,) if kind == "dense" else (6, 6, 4))
    if kind == "depthwise":
        return builder.depthwise().build()
    return getattr(builder, kind)(4, cut=False).build()


LINEAR = ["dense", "convolution", "depthwise"]


@pytest.mark.parametrize("kind", LINEAR)
def test_accumulator_overflow_is_refused(kind):
    net = linear_net(kind)
    op = net.ops[-1]
    biases = tuple(bias.copy() for bias in op.biases)
    biases[1][-1] = 2**31 - 1000
    refuse(replace(net, ops=(replace(op, biases=biases),)), op.name, "subnet 1", "accumulator")
    scales = tuple((scale * 1e7).astype(np.float32) for scale in op.scales)
    refuse(replace(net, ops=(replace(op, scales=scales),)), op.name, "shift included")


@pytest.mark.parametrize("kind", LINEAR)
@pytest.mark.parametrize("zero_point", [-128, 127, 10])
def test_the_worst_accumulator_is_what_some_input_reaches(kind, zero_point):
    """All inputs as far from the zero point as can be, all weights of one sign, and the bias."""
    net = with_tensor(linear_net(kind), "input", zero_point=zero_point)
    program = translate(net)
    op, reach = net.ops[-1], max(127 - zero_point, zero_point + 128)
    axes = {"dense": (1, 2), "convolution": (1, 2, 3), "depthwise": (0, 1)}[kind]
    sums = reach * np.abs(op.weights.astype(int)).sum(axis=axes) + np.abs(op.biases[-1])
    subnet = net.subnet_count - 1
    shifts = net.requantisation(op, subnet)[1].clip(0)
    worst = int((sums << shifts).max())
    assert worst_accumulator(program, program.ops[-1], subnet) == worst <= LIMIT


@pytest.mark.parametrize("kind", LINEAR)
def test_weights_of_minus_128_are_refused(kind):
    net = linear_net(kind)
    op = net.ops[-1]
    weights = op.weights.copy()
    weights.reshape(-1)[5] = -128
    refuse(replace(net, ops=(replace(op, weights=weights),)), op.name, "1 weights of -128", "-127")
    weights.reshape(-1)[5] = -127
    lower(replace(net, ops=(replace(op, weights=weights),)))


def test_slopes_of_minus_128_are_refused():
    net = NetBuilder((5, 5, 2)).prelu().build()
    weights = np.full_like(net.ops[0].weights, -128)
    refuse(replace(net, ops=(replace(net.ops[0], weights=weights),)), "PRELU", "2 weights of -128")


@pytest.mark.parametrize("zero_point", [-129, 128])
def test_zero_points_beyond_int8_are_refused(zero_point):
    net = linear_net("convolution")
    refuse(with_tensor(net, "input", zero_point=zero_point), "Tensor input", str(zero_point))


@pytest.mark.parametrize("exponent", [31, 100, 127])
def test_shifts_beyond_a_word_are_refused(exponent):
    """Even where no accumulator is ever set: all weights and biases are zero."""
    net = linear_net("dense")
    op = net.ops[-1]
    input_scale, output_scale = net.input.scale, net.output.scale
    scale = np.ldexp(output_scale / input_scale / 1.5, exponent)
    zeros = {
        "weights": np.zeros_like(op.weights),
        "biases": tuple(np.zeros_like(bias) for bias in op.biases),
        "scales": tuple(np.full_like(s, scale) for s in op.scales),
    }
    refuse(replace(net, ops=(replace(op, **zeros),)), "FULLY_CONNECTED", f"2^{exponent}")


def test_shifts_of_a_factor_beyond_a_word_are_refused():
    net = NetBuilder((5, 5, 2)).prelu().build()
    net = replace(net, ops=(replace(net.ops[0], weights=np.zeros_like(net.ops[0].weights)),))
    refuse(with_tensor(net, net.output.name, scale=float(np.float32(1e-12))), "PRELU", "scales by")


def test_a_factor_of_add_that_rounds_up_to_one_is_refused():
    program = translate(NetBuilder((5, 5, 2)).add("input").build())
    (op,) = program.ops
    factors = (*op.multipliers[:2], (1 << 30, 1))
    with pytest.raises(QuantizationError, match=r"ADD add_0 scales by 2\^1"):
        check_overflow(replace(program, ops=(replace(op, multipliers=factors),)))


def test_prelu_overflow_is_refused():
    net = NetBuilder((5, 5, 2)).prelu().build()
    refuse(with_tensor(net, net.output.name, scale=1e-9), "PRELU prelu_0", "accumulator")


@pytest.mark.parametrize("name", ["add", "hard_swish"])
def test_output_scales_beyond_tflm_are_refused(name):
    builder = NetBuilder((5, 5, 2))
    net = (builder.add("input") if name == "add" else builder.hard_swish()).build()
    refuse(with_tensor(net, net.output.name, scale=1e-8), name, "TFLM takes")


def test_mean_overflow_is_refused():
    net = NetBuilder((50, 50, 2)).mean().build()
    refuse(with_tensor(net, net.output.name, scale=1e-9), "MEAN", "accumulator")


def test_average_over_a_window_that_overflows_is_refused():
    program = translate(NetBuilder((6, 6, 2)).pool("AVERAGE_POOL_2D").build())
    huge = replace(program.ops[0], window=(2**12, 2**12))
    with pytest.raises(QuantizationError, match=r"AVERAGE_POOL_2D .* accumulator of 2147483648"):
        check_overflow(replace(program, ops=(huge,)))


def test_tensors_beyond_32_bit_offsets_are_refused():
    program = translate(NetBuilder((6, 6, 2)).relu().build())
    edge = replace(program.edges["input"], height=2**20, width=2**10)
    with pytest.raises(QuantizationError, match="Tensor input takes 2147483648 bytes"):
        check_overflow(replace(program, edges=dict(program.edges) | {"input": edge}))


def test_more_classes_than_a_softmax_can_sum_are_refused():
    lower(NetBuilder((4095,)).softmax().build())
    refuse(NetBuilder((4096,)).softmax().build(), "SOFTMAX", "4096 classes", "4095")
