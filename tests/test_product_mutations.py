"""Comparisons with numpy see every broken constant of the block and the vector product.

The layers below are the smallest that do; `test_kernels.py` draws others.
"""

from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from functools import cache
from pathlib import Path

import numpy as np
import pytest
import unicorn
from kernel_calls import KernelCall
from machines import KERNELS, CortexM
from random_nets import NetBuilder

from tflm_reds.codegen.passes.select_kernels import CONVOLVE_1X1_SMALL, CONVOLVE_DIRECT
from tflm_reds.quantized import QuantizedNet
from tflm_reds.reference import run_op

PRODUCTS = ("reds_block.c", "reds_vector.c")
POINTWISE = (*PRODUCTS, "reds_convolve_1x1_s8.c")
NARROW = (*PRODUCTS, "reds_convolve_narrow_s8.c")
CONVOLUTION = (*PRODUCTS, "reds_patches.c", "reds_convolve_s8.c")
DENSE = ("reds_vector.c", "reds_fully_connected_s8.c")
SMALL = (*PRODUCTS, "reds_fully_connected_s8.c", "reds_convolve_1x1_small_s8.c")
DIRECT = (*PRODUCTS, "reds_convolve_direct_s8.c")
SMALLER = {SMALL: CONVOLVE_1X1_SMALL, DIRECT: CONVOLVE_DIRECT}
DSP, PLAIN, THUMB_1 = "cortex-m4f", "cortex-m3", "cortex-m0"


def start(shape: tuple[int, ...], narrow: int = 0, zero_point: int = -3) -> NetBuilder:
    """A builder whose subnet 0 keeps `narrow` input channels, or all."""
    builder = NetBuilder(shape, subnets=2, seed=5)
    channels = (narrow or shape[-1], shape[-1])
    builder.tensors[0] = replace(builder.tensors[0], channels=channels, zero_point=zero_point)
    return builder


def finish(builder: NetBuilder, zero_point: int = -128) -> QuantizedNet:
    builder.tensors[-1] = replace(builder.tensors[-1], zero_point=zero_point)
    return builder.build()


def extreme(builder: NetBuilder) -> QuantizedNet:
    """Weights of 127 and inputs of 255: the sums of 512 leave what a mix can hold."""
    op = builder.ops[-1]
    scales = tuple(np.full_like(scale, 4e-6) for scale in op.scales)
    builder.ops[-1] = replace(op, weights=np.full_like(op.weights, 127), scales=scales)
    builder.tensors[0] = replace(builder.tensors[0], zero_point=-128)
    return finish(builder)


def coarse(builder: NetBuilder) -> QuantizedNet:
    """Small weights with large scales: many sums lie halfway between two outputs."""
    op = builder.ops[-1]
    scales = tuple(np.full_like(scale, 0.2) for scale in op.scales)
    biases = tuple(bias // 1000 for bias in op.biases)
    builder.ops[-1] = replace(op, weights=op.weights // 63, scales=scales, biases=biases)
    return finish(builder, 5)


def pointwise(outputs: int = 7, activation: str = "relu", shape=(5, 3, 13), narrow=9) -> NetBuilder:
    return start(shape, narrow).convolution(outputs, (1, 1), activation, cut=False)


def narrow() -> NetBuilder:
    """Windows across both borders, many of five rows of taps."""
    return start((11, 9, 1)).convolution(6, (5, 4), stride=(2, 2), padding="SAME", cut=False)


LAYERS: dict[str, Callable[[], QuantizedNet]] = {
    "pointwise": lambda: finish(pointwise()),
    "pointwise to 8": lambda: finish(pointwise(8)),
    "pointwise to 8, any sign": lambda: coarse(pointwise(8, "none")),
    "pointwise, any sign": lambda: coarse(pointwise(activation="none")),
    "pointwise of 512": lambda: extreme(pointwise(4, "none", (2, 2, 512), 512)),
    "pointwise of 512, clipped": lambda: extreme(pointwise(4, "relu6", (2, 2, 512), 512)),
    "narrow": lambda: finish(narrow()),
    "taps": lambda: finish(start((4, 5, 10), 6).convolution(6, (3, 3), cut=False), 5),
    "whole taps": lambda: finish(start((4, 5, 12), 8).convolution(6, (3, 3), cut=False), 5),
    "taps of 64": lambda: extreme(start((4, 4, 68), 64).convolution(4, (3, 3), "none", cut=False)),
    "dense": lambda: finish(start((70,), 33).dense(11, "none"), 5),
    "dense, any sign": lambda: coarse(start((70,), 33).dense(16, "none")),
    "dense of 512": lambda: extreme(start((512,)).dense(8)),
}


@cache
def case(layer: str) -> list[tuple[QuantizedNet, int, np.ndarray, np.ndarray]]:
    """(net, subnet, input, output by numpy) of both subnets."""
    net, random = LAYERS[layer](), np.random.default_rng(1)
    found = []
    for subnet in range(net.subnet_count):
        shape = net.input.active_shape(subnet)
        x = random.integers(-128, 128, shape).astype(np.int8)
        if " of " in layer:
            x[...] = 127
        found.append((net, subnet, x, run_op(net, net.ops[0], subnet, [x[np.newaxis]])[0]))
    return found


def differences(machine: CortexM, sources: tuple[str, ...], layer: str) -> int:
    """How many outputs differ from numpy's."""
    found, kernel = 0, SMALLER.get(sources, "")
    for net, subnet, x, expected in case(layer):
        call = KernelCall(machine, net, net.ops[0], subnet, kernel=kernel)
        found += np.count_nonzero(call.run(x) != expected)
        machine.free()
    return found


def build(folder: Path, core: str, sources: tuple[str, ...], mutation: tuple[str, ...]) -> CortexM:
    """The kernel with one piece of a file replaced."""
    for path in (*KERNELS.glob("*.h"), *(KERNELS / name for name in sources)):
        (folder / path.name).write_text(path.read_text())
    if mutation:
        name, old, new = mutation
        text = (folder / name).read_text()
        assert old in text, f"{old} is no longer in {name}"
        (folder / name).write_text(text.replace(old, new))
    paths = [folder / name for name in sources]
    return CortexM([*paths, KERNELS / "reds_support.c"], folder, include=folder, core=core)


BLOCK, BLOCK_DSP, BLOCK_PLAIN = "reds_block.h", "reds_block_dsp.h", "reds_block_plain.h"
VECTOR_PLAIN, VECTOR_DSP = "reds_vector_plain.h", "reds_vector_dsp.h"
TWO_DSP = "reds_two_dsp.h"
DIRECT_DSP, DIRECT_PLAIN = "reds_direct_dsp.h", "reds_direct_plain.h"
RUN = (BLOCK, "REDS_RUN_HALVES 128", "REDS_RUN_HALVES 256")
SIGN = ("reds_requantise_dsp.h", 'asr #31\\n\\t"', 'lsr #32\\n\\t"')
MUTATIONS = {
    # name: (core, sources, layer that sees it, (file, old, new))
    "run, one segment": (DSP, POINTWISE, "pointwise of 512", RUN),
    "run, any activation": (DSP, POINTWISE, "pointwise of 512, clipped", RUN),
    "run, many segments": (DSP, CONVOLUTION, "taps of 64", RUN),
    "run, plain": (PLAIN, POINTWISE, "pointwise of 512", RUN),
    "run, eight registers": (THUMB_1, POINTWISE, "pointwise of 512", RUN),
    "run, dense": (DSP, DENSE, "dense of 512", RUN),
    "run, dense plain": (PLAIN, DENSE, "dense of 512", RUN),
    "odd row": (DSP, POINTWISE, "pointwise", (BLOCK_DSP, "r8, r4, asr #8", "r8, r4, asr #7")),
    "odd row, runs": (DSP, CONVOLUTION, "taps", (BLOCK_DSP, "r11, r7, asr #8", "r11, r7, asr #9")),
    "sign": (DSP, POINTWISE, "pointwise, any sign", SIGN),
    "rounding": (
        DSP, POINTWISE, "pointwise",
        ("reds_block.c", "rounding = -1 - outputs", "rounding = 0 - outputs"),
    ),
    "carry": (DSP, POINTWISE, "pointwise", ("reds_requantise_dsp.h", '"sbc.w "', '"sub.w "')),
    "doubled multiplier": (
        DSP, POINTWISE, "pointwise", (BLOCK_DSP, "lsl.w r8, r8, #1", "lsl.w r8, r8, #0"),
    ),
    "skipped bytes": (
        DSP, CONVOLUTION, "taps",
        ("reds_block.c", "- rows.halves) * REDS", "- rows.halves) * 2 * REDS"),
    ),
    "skipped bytes, plain": (
        PLAIN, CONVOLUTION, "taps", (BLOCK_PLAIN, "weights += rows->skipped", "weights += 0"),
    ),
    "sums of a part": (
        DSP, POINTWISE, "pointwise of 512, clipped", (BLOCK_DSP, "r10!, {r0-r7}", "r10!, {r0-r6}"),
    ),
    "last odd row": (
        DSP, POINTWISE, "pointwise",
        ("reds_block.c", "last = product->channels - 1", "last = product->channels - 2"),
    ),
    "last odd row, plain": (
        PLAIN, POINTWISE, "pointwise",
        ("reds_block.c", "channel + 1 == product->channels", "channel + 2 == product->channels"),
    ),
    "mask of padding": (
        DSP, NARROW, "narrow",
        ("reds_convolve_narrow_s8.c", "left + 4 - bytes)", "left + 3 - bytes)"),
    ),
    "mask of padding, left": (
        THUMB_1, NARROW, "narrow",
        ("reds_convolve_narrow_s8.c", "<< (-8 * left)", "<< (-8 * left - 8)"),
    ),
    "rows of taps": (
        DSP, NARROW, "narrow",
        ("reds_convolve_narrow_s8.c", "%[step], lsl #1", "%[step], lsl #2"),
    ),
    "last positions": (
        DSP, POINTWISE, "pointwise",
        ("reds_block.c", "inputs[i * REDS_HALF_WORDS]", "inputs[i]"),
    ),
    "odd row, plain": (
        PLAIN, POINTWISE, "pointwise", (BLOCK_PLAIN, "(mixed3 - low3) >> 8", "mixed3 >> 8"),
    ),
    "position, plain": (
        PLAIN, POINTWISE, "pointwise", (BLOCK_PLAIN, "(mix) * (inputs)[4]", "(mix) * (inputs)[6]"),
    ),
    "odd row, eight registers": (
        THUMB_1, POINTWISE, "pointwise", ("reds_pair_plain.h", "(mixed - low) >> 8", "mixed >> 8"),
    ),
    "second input, eight registers": (
        THUMB_1, DENSE, "dense", ("reds_pair_plain.h", "(int8_t)mixes * input", "mixes * input"),
    ),
    "odd row, dense": (DSP, DENSE, "dense", (VECTOR_DSP, "r7, r3, asr #8", "r7, r3, asr #7")),
    "sign, dense": (DSP, DENSE, "dense, any sign", (VECTOR_DSP, "asr #31", "lsr #32")),
    "carry, dense": (DSP, DENSE, "dense", (VECTOR_DSP, '"sbc.w "', '"sub.w "')),
    "doubled multiplier, dense": (
        DSP, DENSE, "dense", (VECTOR_DSP, '", #1\\n\\t"', '", #2\\n\\t"'),
    ),
    "second pair, dense plain": (
        PLAIN, DENSE, "dense", (VECTOR_PLAIN, "low1 += (int8_t)mixes1", "low1 += (int8_t)mixes0"),
    ),
    "odd row, two": (DSP, SMALL, "pointwise to 8", (TWO_DSP, "r8, r5, asr #8", "r8, r5, asr #7")),
    "second position, two": (DSP, SMALL, "pointwise to 8", (TWO_DSP, "[r12, #4]", "[r12]")),
    "sign, two": (DSP, SMALL, "pointwise to 8, any sign", SIGN),
    "last first, two": (
        DSP, SMALL, "pointwise to 8",
        ("reds_convolve_1x1_small_s8.c", "output_step = -walk", "output_step = walk"),
    ),
    "run, direct": (DSP, DIRECT, "pointwise of 512", RUN),
    "odd row, direct": (DSP, DIRECT, "taps", (DIRECT_DSP, "r7, r3, asr #8", "r7, r3, asr #7")),
    "next run, direct": (DSP, DIRECT, "whole taps", (DIRECT_DSP, "r10, r10, r7", "r10, r10, r6")),
    "second pair, direct": (DSP, DIRECT, "dense", (DIRECT_DSP, "r7, [lr], #8", "r7, [r10], #8")),
    "last first": (
        DSP, POINTWISE, "pointwise",
        ("reds_convolve_1x1_s8.c", "input += (left - 1)", "input += (left - 2)"),
    ),
    "rest, direct": (
        DSP, DIRECT, "pointwise", ("reds_direct.h", "-offset, sizeof", "-1 - offset, sizeof"),
    ),
    "next run, direct plain": (
        PLAIN, DIRECT, "whole taps", (DIRECT_PLAIN, "+ runs->weight_gap", "+ runs->input_gap"),
    ),
    "odd row, direct plain": (
        PLAIN, DIRECT, "pointwise", (DIRECT_PLAIN, "(mixed - low) >> 8", "mixed >> 8"),
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", MUTATIONS)
def test_comparison_sees_each_mutation(tmp_path, name):
    core, sources, layer, mutation = MUTATIONS[name]
    machine = build(tmp_path, core, sources, mutation)
    with suppress(unicorn.UcError):  # it left a buffer, which is seen as well
        assert differences(machine, sources, layer) > 0


INTACT = sorted({(core, sources, layer) for core, sources, layer, _ in MUTATIONS.values()})


@pytest.mark.parametrize(("core", "sources"), sorted({pair[:2] for pair in INTACT}))
def test_comparison_passes_without_a_mutation(tmp_path, core, sources):
    machine = build(tmp_path, core, sources, ())
    layers = [layer for *pair, layer in INTACT if tuple(pair) == (core, sources)]
    found = {layer: differences(machine, sources, layer) for layer in layers}
    assert found == dict.fromkeys(layers, 0)
