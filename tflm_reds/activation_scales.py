"""The scale and zero point of every activation tensor.

TFLM copies where it concatenates, pools, pads or reshapes: what such an op reads and writes has one
scale. Tensors tied in this way share the union of their ranges, so that none is clipped for the
others; a narrower tensor among them, and whoever else reads it, has coarser steps.
"""

from collections.abc import Mapping, Sequence

import numpy as np

from tflm_reds.calibrate import Ranges
from tflm_reds.errors import QuantizationError
from tflm_reds.fusion import Step

Scale = tuple[float, int]
"""(float32 scale, zero point)."""

SOFTMAX_SCALE: Scale = (1 / 256, -128)
"""What TFLM demands of SOFTMAX's output."""

# TFLM's stand-alone RELU6 clamps without rescaling; the others move values unchanged.
_KEEPS_SCALE = ("max_pool", "average_pool", "pad", "flatten", "reshape", "relu6", "concatenate")


def activation_scales(source: str, steps: Sequence[Step], ranges: Ranges) -> dict[str, Scale]:
    """Scale and zero point by tensor: the input's `source`, and each step's head.

    Args:
        ranges: of `source` and of the last node of each step.

    Raises:
        QuantizationError: if a softmax is joined with something else.
    """
    heads = {step.head.name: step for step in steps}
    scales: dict[str, Scale] = {}
    for tied in _tied_tensors(source, steps):
        if any(name in heads and heads[name].head.op == "softmax" for name in tied):
            _check_softmax(heads, tied)
            scale = SOFTMAX_SCALE
        else:
            nodes = [heads[name].last.name if name in heads else name for name in tied]
            lows, highs = zip(*(ranges[node] for node in nodes), strict=True)
            scale = affine(min(lows), max(highs))
        scales |= dict.fromkeys(tied, scale)
    return scales


def _check_softmax(heads: Mapping[str, Step], tied: set[str]) -> None:
    """Whether a softmax shares its scale only with what keeps it."""
    makers = {name: heads[name].head.op if name in heads else "input" for name in sorted(tied)}
    others = [name for name, op in makers.items() if op not in ("softmax", *_KEEPS_SCALE)]
    if others:
        softmax = next(name for name, op in makers.items() if op == "softmax")
        raise QuantizationError(
            f"Softmax {softmax!r} is concatenated with {others[0]!r}: TFLM fixes the scale of a "
            "softmax, and joins tensors of one scale only. Concatenate before the softmax."
        )


def affine(low: float, high: float) -> Scale:
    """(float32 scale, zero point) of int8 for the range [low, high], zero included."""
    low, high = min(low, 0.0), max(high, 0.0)
    scale = float(np.float32(max(high - low, 1e-6) / 255))
    return scale, int(np.clip(round(-128 - low / scale), -128, 127))


def _tied_tensors(source: str, steps: Sequence[Step]) -> list[set[str]]:
    """The tensors in sets that share a scale."""
    tied = {source: {source}}
    for step in steps:
        joined = {step.head.name}
        if step.head.op in _KEEPS_SCALE:
            joined = joined.union(*(tied[name] for name in step.inputs))
        tied |= dict.fromkeys(joined, joined)
    return list({id(names): names for names in tied.values()}.values())
