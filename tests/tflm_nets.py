"""Small nets whose layers all are custom ops, and what must hold of them on every machine."""

from pathlib import Path

import numpy as np
import random_nets
from tflm_graphs import Graph, Session, differing_bytes

from tflm_reds.quantized import QuantizedNet

INPUTS = 24


def dilated(seed: int) -> QuantizedNet:
    """Dilation, stride, windows over both borders, a flatten behind a depthwise layer."""
    net = random_nets.NetBuilder((13, 11, 2), subnets=5, seed=seed)
    net.convolution(9, (3, 3), "relu6", dilation=(2, 2), padding="SAME")
    net.convolution(11, (1, 1), "none", stride=(2, 1))
    net.depthwise((3, 2), "relu", multiplier=2, dilation=(2, 1), padding="SAME").flatten()
    return net.dense(7, "relu", cut=True).dense(3).build("dilated")


def separable(seed: int) -> QuantizedNet:
    """The kernels for narrow inputs, 3x3 windows and 1x1 convolutions."""
    net = random_nets.NetBuilder((9, 8, 1), subnets=4, seed=seed)
    net.convolution(13, (5, 4), padding="SAME").depthwise((3, 3), padding="SAME")
    net.convolution(18, (1, 1)).depthwise((3, 3), "relu6", stride=(2, 2), padding="SAME")
    return net.convolution(6, (1, 1), "none").flatten().dense(5).build("separable")


def joined(seed: int) -> QuantizedNet:
    """Sums, slopes, concatenated channels and features."""
    net = random_nets.NetBuilder((6, 5, 3), subnets=3, seed=seed)
    stem = net.convolution(7, (3, 3), "none", padding="SAME").prelu().last.name
    net.convolution_like(stem, (3, 3), "none", padding="SAME").add(stem, "relu").concatenate(stem)
    flat = net.convolution(4, (2, 2), stride=(2, 2)).flatten().prelu().last.name
    hidden = net.dense(6, "relu", cut=True).last.name
    return net.back_to(flat).concatenate(hidden).dense(4).build("joined")


NETS = (random_nets.dense_net, dilated, separable, joined)


def check_all(machine, folder: Path, seed: int) -> None:
    """Random switches in every net, in two contexts: no byte differs, none is written beside."""
    for make in NETS:
        net = make(seed)
        graph, x = Graph.of_net(net, folder), random_nets.random_inputs(net, INPUTS, seed)
        sessions = [Session(machine, graph) for _ in range(2)]
        assert [session.prepare() for session in sessions] == [0, 0]
        for half, session in zip(np.split(x, 2), sessions, strict=True):
            assert differing_bytes(session, net, half, seed) == 0
            assert session.is_intact()
        machine.free()
