"""How much scratch memory each convolution may take in TFLM's arena."""

from tflm_reds.codegen.lower import SLACK
from tflm_reds.codegen.passes.select_kernels import convolve_scratch
from tflm_reds.errors import QuantizationError
from tflm_reds.quantized import QuantizedNet

_SLACK = SLACK | {"ram": 1.0}
"""TFLM's structures are larger than ours: no room is left for what raises the arena a little."""
_ALIGNMENT = 16  # of a tensor in TFLM's arena


def convolution_scratch(net: QuantizedNet, optimize: str) -> dict[str, int]:
    """Bytes of scratch of each CONV_2D, by name: what is live and scratch stay below a limit.

    The limit is _SLACK[optimize] times what is live at most. TFLM keeps tensors at their full size
    and never puts an output over an input.

    Raises:
        QuantizationError: for another `optimize`.
    """
    if optimize not in SLACK:
        raise QuantizationError(f"optimize={optimize!r} is none of {', '.join(map(repr, SLACK))}.")
    live = _live_bytes(net)
    limit = _SLACK[optimize] * max(live)
    chosen = {}
    for op, bytes_here in zip(net.ops, live, strict=True):
        if op.kind == "CONV_2D":
            source, target = net.source(op), net.target(op)
            shape = (op.kernel_size, source.channels, target.channels, source.full_channels)
            sizes = convolve_scratch(*shape)
            fitting = [size for size in sizes if bytes_here + size <= limit]
            chosen[op.name] = fitting[0] if fitting else sizes[-1]
    return chosen


def _live_bytes(net: QuantizedNet) -> list[int]:
    """Bytes of the activations that live during each op."""
    spans = {net.input.name: [0, 0]}
    for time, op in enumerate(net.ops):
        for name in (*op.inputs, op.output):
            spans.setdefault(name, [time, time])[1] = time
    sizes = {name: -(-net.tensors[name].size // _ALIGNMENT) * _ALIGNMENT for name in spans}
    return [
        sum(sizes[name] for name, (first, last) in spans.items() if first <= time <= last)
        for time in range(len(net.ops))
    ]
