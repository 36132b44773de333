"""What CMSIS-NN takes: the baseline of docs/kernels.md.

Measured with commit 99f736a (July 2026) of github.com/ARM-software/CMSIS-NN, built by
arm-none-eabi-gcc 12.2.1 -O3 for the Cortex-M4F, the fastest flags found; in Unicorn, with the
counts and the cycle model of `sim/`, zero wait states. A narrow width is a dense layer of its own,
CMSIS-NN's best case: it has no stride between rows of weights, so a subnet needs its own copy.
`python -m benchmarks.kernels --cmsis-nn DIR` measures another tree beside our kernels.
"""

PER_MAC: dict[str, dict[int, tuple[float, float]]] = {
    "convolution 10x4 s2 1-64": {
        16: (5.53, 7.53), 32: (4.16, 5.41), 48: (3.70, 4.70), 64: (3.47, 4.35)
    },
    "depthwise 3x3": {16: (8.90, 10.53), 32: (8.52, 10.05), 48: (8.39, 9.89), 64: (8.33, 9.81)},
    "pointwise 64-64": {16: (4.01, 4.66), 32: (2.73, 3.18), 48: (2.30, 2.68), 64: (2.09, 2.44)},
    "average pool 25x5": {16: (7.20, 10.4), 32: (6.65, 9.79), 48: (6.47, 9.57), 64: (6.38, 9.47)},
    "dense 64-12": {16: (5.88, 7.67), 32: (3.87, 5.01), 48: (3.21, 4.18), 64: (2.88, 3.72)},
    "dense 144-144": {36: (3.41, 4.28), 72: (2.62, 3.28), 108: (2.36, 2.94), 144: (2.23, 2.81)},
    "dense 250-144": {144: (2.11, 2.66)},
    "dense 64-256": {64: (2.66, 3.33)},
    "dense 256-64": {256: (2.08, 2.63)},
    "convolution 3x3 16-16": {4: (6.93, 9.38), 8: (3.47, 4.46), 16: (2.33, 2.86)},
    "convolution 3x3 64-64": {
        16: (2.33, 2.87), 32: (1.93, 2.32), 48: (1.81, 2.18), 64: (1.76, 2.11)
    },
    "convolution 10x4 s2 28-30": {28: (1.81, 2.19)},
    "depthwise 3x3 s2": {4: (11.33, 13.55), 8: (9.97, 11.88), 16: (9.30, 11.04)},
}  # fmt: skip
"""(instructions, modelled cycles) per MAC, by layer and width; of a pool per input value."""

NETWORK_CYCLES = {
    "ds_cnn_s_kws": {64: 9_293_432, 48: 1_608_576 * 3.99, 32: 816_384 * 4.88, 16: 280_192 * 7.07},
    "resnet8_cifar10": {None: 36_248_545},
    "mobilenet_v1_025_vww": {None: 29_692_971},
    "cnn_s_kws": {None: 6_639_361},
    "dnn_s_kws": {None: 239_370},
}
"""Modelled cycles of whole networks in TensorFlow Lite Micro, by width; narrow DS-CNN S are sums of
layers."""


def layer_figures(kernel: str, width: int) -> tuple[float, float] | tuple[None, None]:
    """(instructions, cycles) per MAC on the Cortex-M4F, or (None, None) where not measured."""
    return PER_MAC.get(kernel, {}).get(width, (None, None))
