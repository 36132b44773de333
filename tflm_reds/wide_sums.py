"""Sums of more than two tensors, which TFLM's ADD does not take, as sums of two."""

from collections.abc import Iterable, Mapping
from dataclasses import replace

from tflm_reds.activation_scales import affine
from tflm_reds.quantized import QuantOp
from tflm_reds.quantized_tensor import QuantTensor


def split_wide_sums(
    tensors: Mapping[str, QuantTensor], ops: Iterable[QuantOp]
) -> tuple[dict[str, QuantTensor], tuple[QuantOp, ...]]:
    """The same tensors and ops, and partial sums `<name>/sum_<i>` where ADD has many inputs.

    Nobody measured a partial sum: its range is all that its terms can represent.
    """
    tensors, result = dict(tensors), []
    for op in ops:
        for index, right in enumerate(op.inputs[1:-1] if op.kind == "ADD" else ()):
            left = tensors[op.inputs[0]]
            partial = _partial_sum(f"{op.name}/sum_{index}", left, tensors[right])
            tensors[partial.name] = partial
            result.append(QuantOp("ADD", partial.name, (left.name, right), partial.name))
            op = replace(op, inputs=(partial.name, op.inputs[-1]))
        result.append(op)
    return tensors, tuple(result)


def _partial_sum(name: str, left: QuantTensor, right: QuantTensor) -> QuantTensor:
    low, high = (
        sum((value - tensor.zero_point) * tensor.scale for tensor in (left, right))
        for value in (-128, 127)
    )
    scale, zero_point = affine(low, high)
    return replace(left, name=name, scale=scale, zero_point=zero_point)
