"""Order of the channels in memory: those of the smallest subnet first, then what the next adds.

A concatenation of cut tensors, [A | B], is no prefix for a narrower subnet. `sort_channels` renames
the channels of a net, once, so that every subnet is a prefix of every tensor (ARCHITECTURE 5.2):
what the concatenation writes is put in this order, and the weights of its readers with it.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from tflm_reds.errors import QuantizationError
from tflm_reds.quantized import QuantizedNet, QuantOp
from tflm_reds.quantized_tensor import QuantTensor

_Orders = Mapping[str, np.ndarray]
"""By tensor: the channels in the order of memory, as indices of the natural order."""


@dataclass(frozen=True)
class Run:
    """Consecutive channels that a concatenation copies from one input.

    Attributes:
        subnet: the smallest subnet that has them.
        input: index of the input.
        first, channels: which channels of that input.
    """

    subnet: int
    input: int
    first: int
    channels: int


def sort_channels(net: QuantizedNet) -> QuantizedNet:
    """The same network with the active channels of every subnet in front.

    A CONCATENATION of the result copies `concatenation_runs`, one after the other.

    Raises:
        QuantizationError: if ADD would have to sum tensors of different orders.
    """
    if not any(tensor.parts for tensor in net.tensors.values()):
        return net
    orders = _orders(net)
    tensors = {name: replace(tensor, parts=()) for name, tensor in net.tensors.items()}
    return replace(net, tensors=tensors, ops=tuple(_sort(net, op, orders) for op in net.ops))


def are_prefixes(arrays: Sequence[np.ndarray]) -> bool:
    """Whether every array of a net of sorted channels, one for each subnet, begins the last one.

    Such a table of the output channels serves all subnets.
    """
    return all(np.array_equal(array, arrays[-1][: len(array)]) for array in arrays)


def concatenation_runs(widths: Sequence[Sequence[int]]) -> tuple[Run, ...]:
    """What a concatenation copies, in the order of its output; a subnet takes those up to its own.

    Args:
        widths: active channels of each subnet, for each input.
    """
    runs = []
    for subnet in range(len(widths[0])):
        for index, channels in enumerate(widths):
            first = channels[subnet - 1] if subnet else 0
            if channels[subnet] > first:
                runs.append(Run(subnet, index, first, channels[subnet] - first))
    return tuple(runs)


def _orders(net: QuantizedNet) -> _Orders:
    orders = {net.input.name: np.arange(net.input.full_channels)}
    for op in net.ops:
        orders[op.output] = _order(net, op, orders)
    return orders


def _order(net: QuantizedNet, op: QuantOp, orders: _Orders) -> np.ndarray:
    target, first = net.target(op), orders[op.inputs[0]]
    if not target.is_cut:
        return np.arange(target.full_channels)
    if op.kind in ("CONV_2D", "FULLY_CONNECTED"):
        return np.argsort(target.levels, kind="stable")
    if op.kind == "DEPTHWISE_CONV_2D":
        times = target.full_channels // len(first)
        return (first[:, None] * times + np.arange(times)).ravel()
    if op.kind == "CONCATENATION":
        return _merged_order([net.tensors[name] for name in op.inputs], orders)
    if any(not np.array_equal(first, orders[name]) for name in op.inputs[1:]):
        raise QuantizationError(
            f"{op.kind} {op.name} reads {' and '.join(op.inputs)}, whose channels the subnets keep "
            "in different orders. Leave the groups of these layers out of the plan."
        )
    return first


def _merged_order(tensors: Sequence[QuantTensor], orders: _Orders) -> np.ndarray:
    features, levels, base = [], [], 0
    for tensor in tensors:
        order = orders[tensor.name]
        positions = np.arange(tensor.positions)
        # A flattened tensor is stored channel by channel where it is cut.
        grid = positions[None, :] * len(order) + order[:, None]
        features.append(base + (grid if tensor.is_cut else np.sort(grid, axis=None)).ravel())
        levels.append(np.repeat(tensor.levels[order], tensor.positions))
        base += tensor.shape[-1]
    return np.concatenate(features)[np.argsort(np.concatenate(levels), kind="stable")]


def _sort(net: QuantizedNet, op: QuantOp, orders: _Orders) -> QuantOp:
    if op.weights is None:
        return op
    order = orders[op.output]
    if op.kind == "PRELU":
        return replace(op, weights=op.weights[:, :, order])
    if op.kind == "DEPTHWISE_CONV_2D":
        weights = op.weights[:, :, order]
    else:
        axis = 3 if op.kind == "CONV_2D" else 1
        weights = np.take(op.weights[order], orders[op.inputs[0]], axis)
    ranks = [_ranks(net.target(op), order, k) for k in range(net.subnet_count)]
    return replace(
        op,
        weights=weights,
        scales=tuple(row[rank] for row, rank in zip(op.scales, ranks, strict=True)),
        biases=tuple(row[rank] for row, rank in zip(op.biases, ranks, strict=True)),
    )


def _ranks(tensor: QuantTensor, order: np.ndarray, subnet: int) -> np.ndarray:
    """Where the channels of `subnet`, in the order of memory, stand among its active ones."""
    return np.searchsorted(tensor.active(subnet), order[: tensor.channels[subnet]])
