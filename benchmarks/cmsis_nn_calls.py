"""Calls CMSIS-NN's int8 kernels, from a tree of the user's own, with the layers of `layers`.

A narrow width is a dense layer of its own: CMSIS-NN has no stride between rows of weights.
"""

import struct
import subprocess
from dataclasses import replace
from pathlib import Path

import numpy as np
from machines import CortexM

from tflm_reds.codegen.cores import find_core
from tflm_reds.errors import ToolchainError, VerificationError
from tflm_reds.quantized import QuantizedNet, active_weights, same_padding
from tflm_reds.reference import run_op
from tflm_reds.sim.counts import Counts
from tflm_reds.sim.elf import Elf

PARTS = ("Convolution", "FullyConnected", "Pooling", "NNSupport")
ROOTS = (
    "arm_convolve_wrapper_s8", "arm_convolve_wrapper_s8_get_buffer_size",
    "arm_depthwise_conv_wrapper_s8", "arm_depthwise_conv_wrapper_s8_get_buffer_size",
    "arm_fully_connected_s8", "arm_avgpool_s8", "reds_test_stop",
)  # fmt: skip
FLAGS = ("-O3", "-std=c99", "-ffunction-sections", "-fdata-sections", "-w")
LINKER_SCRIPT = """
SECTIONS {
  . = 0x1000;
  .text : { *(.text*) *(.rodata*) }
  .ARM.exidx : { *(.ARM.exidx*) }
}
"""
SCRATCH_BYTES = 1 << 16


def build_cmsis_nn(tree: Path, folder: Path) -> CortexM:
    """The kernels for the Cortex-M4F by gcc -O3, with newlib's memcpy.

    Raises:
        ToolchainError: if `tree` is not CMSIS-NN, or gcc fails.
    """
    sources = [p for part in PARTS for p in sorted(tree.glob(f"Source/{part}Functions/*.c"))]
    sources = [path for path in sources if not path.stem.endswith(("f16", "f32", "flt"))]
    if not sources:
        raise ToolchainError(f"{tree} has no Source/{PARTS[0]}Functions/*.c: give CMSIS-NN's root.")
    stop, script, image = (folder / name for name in ("stop.c", "cmsis_nn.ld", "cmsis_nn.elf"))
    stop.write_text("void reds_test_stop(void) {}\n")
    script.write_text(LINKER_SCRIPT)
    command = ["arm-none-eabi-gcc", *find_core("cortex-m4f").gcc, *FLAGS, "-nostartfiles"]
    command += ["-I", tree / "Include", "-T", script, "-o", image, "-Wl,--gc-sections"]
    command += [*(f"-Wl,-u,{name}" for name in ROOTS), *sources, stop]
    done = subprocess.run(list(map(str, command)), capture_output=True, text=True, check=False)
    if done.returncode:
        raise ToolchainError(f"gcc refuses {tree}:\n{done.stderr[:2000]}")
    return CortexM.of_elf(Elf.load(image), guard=False)


class CmsisNnCall:
    """One layer of one subnet, as a dense layer of its own."""

    @staticmethod
    def knows(net: QuantizedNet) -> bool:
        """Whether there is such a kernel."""
        return net.ops[-1].kind in _BUILDERS

    def __init__(self, machine: CortexM, net: QuantizedNet, subnet: int) -> None:
        self.machine, self.subnet = machine, subnet
        self.net, self.op = net, net.ops[-1]
        self.source, self.target = net.source(self.op), net.target(self.op)

    def count(self, x: np.ndarray) -> Counts:
        """Everything executed for int8 `x` [active input shape].

        Raises:
            VerificationError: if the output is not numpy's.
        """
        name, arguments = _BUILDERS[self.op.kind](self)
        output = self.variable(np.zeros(self.target.active_shape(self.subnet), np.int8))
        arguments = [*arguments, self.dims(*self.output_dims()), output]
        data = self.variable(x)
        arguments = [data if argument is None else argument for argument in arguments]
        counts = self.machine.count(name, *arguments)
        expected = run_op(self.net, self.op, self.subnet, [x[np.newaxis]])[0]
        if self.machine.read(output, expected.size) != expected.tobytes():
            raise VerificationError(f"{name} differs from numpy on {self.net.name}.")
        self.machine.free()
        return counts

    def variable(self, array: np.ndarray) -> int:
        return self.machine.place(np.ascontiguousarray(array).tobytes())

    def constant(self, array: np.ndarray) -> int:
        return self.machine.place(np.ascontiguousarray(array).tobytes(), constant=True)

    def ints(self, *values: int) -> int:
        return self.machine.place(struct.pack(f"<{len(values)}i", *values), constant=True)

    def dims(self, n: int, height: int, width: int, channels: int) -> int:
        """A cmsis_nn_dims."""
        return self.ints(n, height, width, channels)

    def input_dims(self) -> tuple[int, int, int, int]:
        return (1, *(1, 1, *self.source.active_shape(self.subnet))[-3:])

    def output_dims(self) -> tuple[int, int, int, int]:
        return (1, *(1, 1, *self.target.active_shape(self.subnet))[-3:])

    def weights(self) -> int:
        return self.constant(active_weights(self.net, self.op, self.subnet))

    def bias(self) -> int:
        return self.constant(self.op.biases[self.subnet])

    def offsets(self) -> tuple[int, int]:
        return -self.source.zero_point, self.target.zero_point

    def padding(self, kernel: tuple[int, int]) -> tuple[int, int]:
        """(width, height)."""
        if self.op.padding == "VALID":
            return 0, 0
        geometry = zip(self.source.shape[:2], kernel, self.op.stride, self.op.dilation, strict=True)
        top, left = (same_padding(*size)[0] for size in geometry)
        return left, top

    def scratch(self, size: int = SCRATCH_BYTES) -> int:
        """A cmsis_nn_context."""
        return self.ints(self.variable(np.zeros(max(size, 4), np.int8)), size)


def with_one_scale(net: QuantizedNet) -> QuantizedNet:
    """A fully connected layer has one scale in CMSIS-NN's usual kernel."""
    op = net.ops[-1]
    if op.kind != "FULLY_CONNECTED":
        return net
    scales = tuple(np.full_like(row, op.scales[-1][0]) for row in op.scales)
    return replace(net, ops=(replace(op, scales=scales),))


def _convolution(call: CmsisNnCall) -> tuple[str, list]:
    op, net = call.op, call.net
    is_depthwise = op.kind == "DEPTHWISE_CONV_2D"
    tiles = [*op.stride[::-1], *call.padding(op.kernel_size), *op.dilation[::-1]]
    multiplier = [net.depth_multiplier(op)] if is_depthwise else []
    params = call.ints(*call.offsets(), *multiplier, *tiles, *net.activation_range(op))
    scaling = call.ints(*map(call.constant, net.requantisation(op, call.subnet)))
    inputs, outputs = call.input_dims(), call.output_dims()
    channels = outputs[-1] if is_depthwise else inputs[-1]
    filters = call.dims(1 if is_depthwise else outputs[-1], *op.kernel_size, channels)
    name = "arm_depthwise_conv_wrapper_s8" if is_depthwise else "arm_convolve_wrapper_s8"
    sizes = (params, call.dims(*inputs), filters, call.dims(*outputs))
    size = call.machine.call(f"{name}_get_buffer_size", *sizes)
    return name, [
        call.scratch(size), params, scaling, call.dims(*inputs), None, filters, call.weights(),
        call.dims(1, 1, 1, outputs[-1]), call.bias(),
    ]  # fmt: skip


def _fully_connected(call: CmsisNnCall) -> tuple[str, list]:
    in_offset, out_offset = call.offsets()
    params = call.ints(in_offset, 0, out_offset, *call.net.activation_range(call.op))
    multiplier, shift = call.net.requantisation(call.op, call.subnet)
    scaling = call.ints(int(multiplier[0]), int(shift[0]))
    inputs, outputs = call.input_dims(), call.output_dims()
    return "arm_fully_connected_s8", [
        call.scratch(), params, scaling, call.dims(*inputs), None,
        call.dims(inputs[-1], 1, 1, outputs[-1]), call.weights(),
        call.dims(1, 1, 1, outputs[-1]), call.bias(),
    ]  # fmt: skip


def _average_pool(call: CmsisNnCall) -> tuple[str, list]:
    op = call.op
    tiles = [*op.stride[::-1], *call.padding(op.window)]
    params = call.ints(*tiles, *call.net.activation_range(op))
    return "arm_avgpool_s8", [
        call.scratch(), params, call.dims(*call.input_dims()), None, call.dims(1, *op.window, 1),
    ]  # fmt: skip


_BUILDERS = {
    "CONV_2D": _convolution,
    "DEPTHWISE_CONV_2D": _convolution,
    "FULLY_CONNECTED": _fully_connected,
    "AVERAGE_POOL_2D": _average_pool,
}
