"""Program: what the templates and kernels need; made by `lower`, completed by the passes.

Every width is a tuple with one entry for each subnet, smallest first.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from functools import cached_property

import numpy as np

from tflm_reds.channel_order import are_prefixes
from tflm_reds.codegen.packing import packed_bytes, segments_of

# Of one active output channel.
BIAS_BYTES = 4
REQUANTISATION_BYTES = 4 + 1  # multiplier and shift
OUTPUT_TABLE_BYTES = BIAS_BYTES + REQUANTISATION_BYTES
# Read pairs of weight rows, packed by `pack_weights`.
PAIR_KERNELS = (
    "reds_convolve_1x1_s8",
    "reds_convolve_1x1_small_s8",
    "reds_convolve_direct_s8",
    "reds_convolve_narrow_s8",
    "reds_convolve_s8",
    "reds_fully_connected_s8",
)


class Layout(StrEnum):
    """Order of the bytes of an activation tensor.

    NHWC: [height][width][full channels]; the active channels lead each position.
    PLANAR: [channels][positions]; the active channels are one contiguous prefix.
    """

    NHWC = "nhwc"
    PLANAR = "planar"


class Memory(StrEnum):
    """Where a tensor lives: the caller's input or output buffer, or the arena."""

    INPUT = "input"
    OUTPUT = "output"
    ARENA = "arena"


@dataclass(frozen=True)
class Edge:
    """One activation tensor between two ops; a flattened tensor is 1 x 1 x features.

    Attributes:
        channels: active channels (features) of each subnet, always a prefix.
        stride: full channels (features): the bytes from one position to the next.
        shares: name of the edge whose bytes this one takes over: a reshaped view, or the input of
            an op that works in place; None for memory of its own.
        offset: bytes from the start of `memory`.
    """

    name: str
    height: int
    width: int
    channels: tuple[int, ...]
    stride: int
    scale: float
    zero_point: int
    layout: Layout = Layout.NHWC
    shares: str | None = None
    memory: Memory = Memory.ARENA
    offset: int = 0

    @property
    def size(self) -> int:
        """Bytes of the full tensor."""
        return self.height * self.width * self.stride

    @property
    def is_cut(self) -> bool:
        """Whether some subnet leaves channels out."""
        return any(channels != self.stride for channels in self.channels)


@dataclass(frozen=True)
class OutputTable:
    """What turns the accumulators of one subnet into int8: an entry for each active channel."""

    bias: np.ndarray
    multiplier: np.ndarray
    shift: np.ndarray


@dataclass(frozen=True)
class Op:
    """One call of a kernel.

    Attributes:
        kind: TFLM's builtin name of the op.
        kernel: C function; chosen by `select_kernels`.
        name: of the Keras layer; of several that are fused, joined by " + ".
        sources, target: names of the edges read and written.
        window, stride, padding, dilation: (height, width); `padding` is (top, left), explicit.
        activation: (lowest, highest) int8 output.
        weights: int8, full: [outputs, taps, inputs]; [taps, outputs] of a depthwise convolution,
            [outputs, taps] where `pack_weights` turned them;
            [positions or 1, channels] slopes of PRELU; `resolve_reshapes` orders the inputs of a
            fully connected layer and the slopes behind a flatten. After `pack_weights`
            [row pairs, bytes] where the kernel is one of PAIR_KERNELS.
        tables: one for each subnet; the C holds only once what they share.
        lookup: table of an element-wise function (int8), which a linear op applies to its output
            before it stores it, or of exponentials (int32).
        zero_point: of a linear op's output, before `lookup`.
        multipliers: (multiplier, shift): of MEAN; of PRELU's inputs >= 0 and < 0; of ADD's two
            inputs and of their sum.
        macs: multiply-accumulates of each subnet.
        scratch_candidates: sizes of scratch memory that the kernel can work with, largest and
            fastest first; chosen from by `plan_arena`.
        scratch_bytes, scratch_offset: scratch memory in the arena during this op.
    """

    kind: str
    name: str
    sources: tuple[str, ...]
    target: str
    kernel: str = ""
    window: tuple[int, int] = (1, 1)
    stride: tuple[int, int] = (1, 1)
    padding: tuple[int, int] = (0, 0)
    dilation: tuple[int, int] = (1, 1)
    activation: tuple[int, int] = (-128, 127)
    weights: np.ndarray | None = field(default=None, compare=False)
    tables: tuple[OutputTable, ...] = field(default=(), compare=False)
    lookup: np.ndarray | None = field(default=None, compare=False)
    zero_point: int = 0
    multipliers: tuple[tuple[int, int], ...] = ()
    macs: tuple[int, ...] = ()
    scratch_candidates: tuple[int, ...] = ()
    scratch_bytes: int = 0
    scratch_offset: int = 0

    @property
    def is_pointwise(self) -> bool:
        """Whether each output position reads the input position of the same place, and no other."""
        return self.window == self.stride == (1, 1) and self.padding == (0, 0)

    @property
    def source(self) -> str:
        """The (first) edge that this op reads."""
        return self.sources[0]

    @cached_property
    def shares_bias(self) -> bool:
        """Whether the bias of every subnet begins the full network's: it is stored once."""
        return are_prefixes([table.bias for table in self.tables])

    @cached_property
    def shares_requantisation(self) -> bool:
        """Like `shares_bias`, of multiplier and shift."""
        return are_prefixes([table.multiplier for table in self.tables]) and are_prefixes(
            [table.shift for table in self.tables]
        )


@dataclass(frozen=True)
class Program:
    """A network ready to be written as C.

    Attributes:
        name: a C identifier.
        edges: by name, in order of definition.
        ops: in execution order.
        input, output: names of edges; nhwc, never cut.
        arena_sizes: bytes of the arena of an image cut to subnets 0..k, for each k; the last is
            the arena of this program. They may fall: where the widths of an image fall and rise
            again along a chain, fewer tensors run into each other than in one of equal widths.
        live_sizes: likewise, the least bytes that the tensors of such an image need: the most that
            is live during one op, scratch and alignment left out.
    """

    name: str
    edges: Mapping[str, Edge]
    ops: tuple[Op, ...]
    input: str
    output: str
    budgets: tuple[float, ...]
    labels: tuple[str, ...] = ()
    arena_sizes: tuple[int, ...] = ()
    live_sizes: tuple[int, ...] = ()

    @property
    def subnet_count(self) -> int:
        """K, the full network included."""
        return len(self.budgets)

    @property
    def kernels(self) -> tuple[str, ...]:
        """Names of the kernels used, sorted."""
        return tuple(sorted({op.kernel for op in self.ops}))

    def macs(self, subnet: int) -> int:
        """Multiply-accumulates of one inference of `subnet`."""
        return sum(op.macs[subnet] for op in self.ops)


def arena_bytes(program: Program, subnet: int) -> int:
    """Bytes of arena, scratch included, of an image cut to subnets 0..`subnet`."""
    return program.arena_sizes[subnet]


def table_bytes(program: Program, subnet: int) -> int:
    """Bytes that the tables of `subnet` add to an image of the smaller ones.

    Where all subnets share a table, a subnet adds the channels that the next smaller one lacks.
    """
    return sum(_added_bytes(op, subnet) for op in program.ops if op.tables)


def flash_bytes(program: Program, subnet: int) -> dict[str, int]:
    """Bytes of constant data of an image cut to subnets 0..`subnet`.

    `weights` is what the largest of these subnets uses; `tables` holds the tables of each of them
    and the look-up tables that all share.
    """
    lookups = sum(op.lookup.nbytes for op in program.ops if op.lookup is not None)
    return {
        "weights": sum(_active_weights(program, op, subnet) for op in program.ops),
        "tables": lookups + sum(table_bytes(program, k) for k in range(subnet + 1)),
    }


def _added_bytes(op: Op, subnet: int) -> int:
    channels = len(op.tables[subnet].bias)
    new = channels - (len(op.tables[subnet - 1].bias) if subnet else 0)
    bias = BIAS_BYTES * (new if op.shares_bias else channels)
    return bias + REQUANTISATION_BYTES * (new if op.shares_requantisation else channels)


def _active_weights(program: Program, op: Op, subnet: int) -> int:
    if op.weights is None:
        return 0
    source = program.edges[op.source]
    inputs = source.channels[subnet]
    outputs = program.edges[op.target].channels[subnet]
    if op.kind == "PRELU":
        return len(op.weights) * outputs
    if op.kind == "DEPTHWISE_CONV_2D":
        return op.window[0] * op.window[1] * outputs
    is_cut = any(channels != inputs for channels in source.channels[:subnet])
    return packed_bytes(outputs, *segments_of(op.window, inputs, is_cut))
