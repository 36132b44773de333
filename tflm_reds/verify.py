"""Bit-exactness: every implementation must give the bytes of `QuantizedNet.run`."""

from collections.abc import Callable, Mapping

import numpy as np

from tflm_reds.errors import VerificationError
from tflm_reds.quantized import QuantizedNet

Implementation = Callable[[np.ndarray], np.ndarray]
"""int8 inputs [n, *input shape] to int8 outputs of all subnets [subnets, n, output bytes]."""

Differences = Mapping[str, tuple[int, ...]]
"""Differing bytes of each subnet, by implementation."""


def comparison_inputs(net: QuantizedNet, x: np.ndarray, count: int, seed: int = 0) -> np.ndarray:
    """`count` int8 inputs: up to half of them real data `x` (float), the rest over all of int8."""
    real = net.quantize_input(x[: count // 2])
    random = np.random.default_rng(seed)
    drawn = random.integers(-128, 128, (count - len(real), *net.input.shape))
    return np.concatenate([real, drawn.astype(np.int8)])


def verify(
    net: QuantizedNet, x: np.ndarray, implementations: Mapping[str, Implementation]
) -> Differences:
    """Compare each implementation with `net.run` on int8 `x`.

    Raises:
        VerificationError: at the first implementation that differs; says where.
    """
    expected = reference_outputs(net, x)
    return {name: _compare(net, name, expected, run(x)) for name, run in implementations.items()}


def reference_outputs(net: QuantizedNet, x: np.ndarray) -> np.ndarray:
    """`QuantizedNet.run` of all subnets, int8 [subnets, n, output bytes]."""
    outputs = [net.run(x, k).reshape(len(x), -1) for k in range(net.subnet_count)]
    return np.stack(outputs)


def _compare(
    net: QuantizedNet, name: str, expected: np.ndarray, actual: np.ndarray
) -> tuple[int, ...]:
    wrong = expected != actual
    if wrong.any():
        subnet, sample, byte = np.argwhere(wrong)[0]
        raise VerificationError(
            f"{name} differs from the reference of {net.name} in {int(wrong.sum())} bytes; first "
            f"in subnet {subnet}, input {sample}, byte {byte}: {actual[subnet, sample, byte]} "
            f"instead of {expected[subnet, sample, byte]}. This is a defect of tflm_reds or of the "
            "compiler: report it with the model."
        )
    return tuple(int(count) for count in wrong.sum(axis=(1, 2)))
