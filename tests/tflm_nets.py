"""Small nets whose layers all are custom ops, and what must hold of them on every machine."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import random_nets
from tflm_graphs import Graph, Session, differing_bytes

from tflm_reds.quantized import QuantizedNet

INPUTS = 20


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


def without_softmax(net: QuantizedNet) -> QuantizedNet:
    """The context of the tests has no stock ops but RESHAPE."""
    if net.ops[-1].kind != "SOFTMAX":
        return net
    tensors = dict(net.tensors)
    del tensors[net.ops[-1].output]
    return replace(net, ops=net.ops[:-1], tensors=tensors)


NETS = (
    random_nets.every_op,
    random_nets.residual,
    random_nets.concatenating,
    dilated,
    separable,
)


def check_all(machine, folder: Path, seed: int) -> None:
    """Random switches in every net, in two contexts: no byte differs, none is written beside."""
    for make in NETS:
        net = without_softmax(make(seed))
        graph, x = Graph.of_net(net, folder), random_nets.random_inputs(net, INPUTS, seed)
        sessions = [Session(machine, graph) for _ in range(2)]
        assert [session.prepare() for session in sessions] == [0, 0]
        for half, session in zip(np.split(x, 2), sessions, strict=True):
            assert differing_bytes(session, net, half, seed) == 0
            assert session.is_intact()
        machine.free()
