"""Random QuantizedNets with branches: residual blocks, concatenations, shared tensors."""

import numpy as np
from random_nets import NetBuilder

from tflm_reds.quantized import QuantizedNet

UNARY = ("convolution", "depthwise", "prelu", "hard_swish", "leaky_relu", "relu", "pool", "pad")
STEPS = (*UNARY, "residual", "projected", "branches", "dense_block", "twice")
ENDS = ("mean", "flatten", "two_heads", "uncut")


def random_graph(seed: int, steps: int = 4) -> QuantizedNet:
    """A net of `steps` random blocks and a random head; the same seed gives the same net."""
    random = np.random.default_rng([seed, 7])
    shape = (*map(int, random.integers(5, 9, 2)), int(random.integers(1, 4)))
    net = NetBuilder(shape, subnets=int(random.integers(1, 5)), seed=seed)
    if random.random() < 0.8:
        net.convolution(int(random.integers(2, 9)), padding="SAME")
    for step in random.choice(STEPS, steps):
        _STEPS[step](net, random)
    _end(net, random)
    return net.build(f"graph_{seed}")


def _convolution(net: NetBuilder, random: np.random.Generator) -> None:
    activation = str(random.choice(["none", "relu", "relu6"]))
    kernel = tuple(map(int, random.integers(1, 4, 2)))
    net.convolution(
        int(random.integers(2, 9)),
        kernel,
        activation,
        cut=bool(random.random() < 0.8),
        stride=tuple(map(int, random.integers(1, 3, 2))),
        padding="SAME",
    )


def _depthwise(net: NetBuilder, random: np.random.Generator) -> None:
    multiplier = int(random.integers(1, 4)) if net.last.full_channels < 20 else 1
    net.depthwise((3, 2), "relu", multiplier, padding="SAME")


def _pool(net: NetBuilder, random: np.random.Generator) -> None:
    kind = str(random.choice(["MAX_POOL_2D", "AVERAGE_POOL_2D"]))
    net.pool(kind, (2, 2), (2, 1), "SAME", str(random.choice(["none", "relu"])))


def _pad(net: NetBuilder, random: np.random.Generator) -> None:
    """Read by a convolution that can pad for itself, and sometimes by another op too."""
    padded = net.pad(1, 0, 0, 1).last.name
    if random.random() < 0.5:
        branch = net.convolution(3, (2, 2), padding="VALID").last.name
        net.back_to(padded).convolution(4, (2, 2), padding="VALID").concatenate(branch)
    else:
        net.convolution(5, (2, 2), padding="VALID")


def _residual(net: NetBuilder, random: np.random.Generator) -> None:
    trunk = net.last.name
    net.convolution(int(random.integers(2, 7)), padding="SAME")
    net.convolution_like(trunk, activation="none", padding="SAME")
    net.add(trunk, str(random.choice(["none", "relu", "relu6"])))


def _projected(net: NetBuilder, random: np.random.Generator) -> None:
    trunk = net.last.name
    branch = net.convolution(int(random.integers(2, 9)), (3, 3), "none", padding="SAME").last.name
    net.back_to(trunk).convolution_like(branch, (1, 1), "none").add(branch)


def _branches(net: NetBuilder, random: np.random.Generator) -> None:
    """Two to four branches side by side, one of them sometimes the trunk itself."""
    trunk, names = net.last.name, []
    for _ in range(random.integers(1, 4)):
        net.back_to(trunk).convolution(int(random.integers(1, 6)), (1, 1), "none")
        names.append(net.hard_swish().last.name if random.random() < 0.5 else net.last.name)
    if random.random() < 0.5:
        names.append(trunk)
    net.back_to(trunk).pool("MAX_POOL_2D", (3, 3), (1, 1), "SAME").concatenate(*names)


def _dense_block(net: NetBuilder, random: np.random.Generator) -> None:
    """DenseNet: each layer's output is concatenated with its input."""
    for _ in range(2):
        trunk = net.last.name
        net.convolution(int(random.integers(1, 5)), padding="SAME").concatenate(trunk)


def _twice(net: NetBuilder, random: np.random.Generator) -> None:
    """One tensor as both inputs."""
    same = net.last.name
    net.add(same) if random.random() < 0.5 else net.concatenate(same)


def _end(net: NetBuilder, random: np.random.Generator) -> None:
    end = str(random.choice(ENDS))
    trunk = net.last.name
    if end == "uncut":
        net.convolution(3, (1, 1), cut=False)
    if end == "mean":
        net.mean()
    elif end == "two_heads":
        pooled = net.mean().dense(5, "relu", cut=True).last.name
        net.back_to(trunk).flatten().prelu().concatenate(pooled)
    else:
        net.flatten().relu()
    net.dense(4).softmax()


_STEPS = {
    "convolution": _convolution,
    "depthwise": _depthwise,
    "prelu": lambda net, random: net.prelu(shared=bool(random.random() < 0.5)),
    "hard_swish": lambda net, _: net.hard_swish(),
    "leaky_relu": lambda net, _: net.leaky_relu(),
    "relu": lambda net, random: net.relu(str(random.choice(["RELU", "RELU6"]))),
    "pool": _pool,
    "pad": _pad,
    "residual": _residual,
    "projected": _projected,
    "branches": _branches,
    "dense_block": _dense_block,
    "twice": _twice,
}
