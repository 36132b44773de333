"""Which kernel the generated code calls for a node, its padding, and the scratch that it needs."""

import numpy as np

from tflm_reds.channels import Part
from tflm_reds.codegen.packing import segments_of
from tflm_reds.codegen.passes.place import align
from tflm_reds.codegen.passes.select_kernels import (
    CONVOLVE,
    CONVOLVE_1X1,
    CONVOLVE_NARROW,
    DEPTHWISE,
    DEPTHWISE_3X3,
    FULLY_CONNECTED,
    depthwise_scratch_bytes,
    is_narrow,
    part_bytes,
    scratch_bytes,
)
from tflm_reds.codegen.program import PAIR_KERNELS
from tflm_reds.graph import LayerGraph, Node
from tflm_reds.quantized import same_padding
from tflm_reds.tensor_lives import is_3x3_depthwise, unpadded_source

Piece = tuple[Part, np.ndarray]
"""Channels of one group, and the bytes for 0, 1, ... size of its units (uncut: for all)."""

_KERNELS = {
    "dense": FULLY_CONNECTED,
    "max_pool": "reds_max_pool_s8",
    "average_pool": "reds_average_pool_s8",
    "depthwise_conv2d": DEPTHWISE,
}


def kernel_of(graph: LayerGraph, node: Node) -> str:
    """As `select_kernels` chooses it by shape; "" for ops without scratch that never overlap."""
    if is_3x3_depthwise(node):
        return DEPTHWISE_3X3
    if node.op != "conv2d":
        return _KERNELS.get(node.op, "")
    if node.kernel == node.stride == (1, 1) and padding_of(graph, node) == (0, 0):
        return CONVOLVE_1X1
    source = graph.source(node)
    narrow = is_narrow(node.kernel, node.dilation, source.shape[-1], _is_cut(source))
    return CONVOLVE_NARROW if narrow else CONVOLVE


def padding_of(graph: LayerGraph, node: Node) -> tuple[int, int]:
    """(top, left), explicit; a fused pad's where there is one."""
    source = graph.source(node)
    if unpadded_source(graph, node) is not source:
        return source.pads[0], source.pads[2]
    if node.padding == "valid":
        return 0, 0
    axes = zip(source.shape[:2], node.kernel, node.stride, node.dilation, strict=True)
    top, left = (same_padding(*axis)[0] for axis in axes)
    return top, left


def scratch_pieces(graph: LayerGraph, node: Node) -> list[Piece]:
    """The least scratch of the kernel of `node`, by the widths of its input."""
    kernel = kernel_of(graph, node)
    if kernel == DEPTHWISE_3X3:
        size = depthwise_scratch_bytes(node.shape[:2], node.stride)
        return [(Part(None, 1), aligned([0, size]))]
    if kernel not in PAIR_KERNELS:
        return []
    source, window = graph.source(node), (1, 1) if node.op == "dense" else node.kernel
    segments, _ = segments_of(window, source.shape[-1], _is_cut(source))
    if kernel == CONVOLVE and segments > 1:
        return _one_tap(source)
    features = source.positions if node.op == "dense" else 1
    return [(p, _worst_scratch(kernel, window, p, features * p.block)) for p in source.parts]


def _one_tap(source: Node) -> list[Piece]:
    """Of a convolution that takes one tap at a time; the sums of its outputs are left out, because
    few channels take less for all taps at once."""
    return [
        (p, aligned([part_bytes(1, n * p.block, 0) for n in range(p.size + 1)]))
        for p in source.parts
    ]


def _worst_scratch(kernel: str, window: tuple[int, int], part: Part, unit: int) -> np.ndarray:
    """Scratch for each width (a unit has `unit` features), narrower subnets included."""
    sizes = [0]
    for n in range(1, part.size + 1):
        stride, widest_cut = n * unit, (n - 1) * unit
        cut = scratch_bytes(kernel, window, widest_cut, stride) if part.group else 0
        sizes.append(max(scratch_bytes(kernel, window, stride, stride), cut))
    return aligned(sizes)


def aligned(sizes: list[int]) -> np.ndarray:
    """Each of them rounded up to the arena's alignment, int64."""
    return np.array([align(size) for size in sizes], np.int64)


def _is_cut(node: Node) -> bool:
    return any(part.group is not None for part in node.parts)
