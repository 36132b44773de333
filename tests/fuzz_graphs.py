"""Damaged options in whole graphs, on a library with sanitizers: Init, Prepare and Invoke."""

import tempfile
from collections import Counter
from dataclasses import replace
from pathlib import Path

import numpy as np
import random_nets
from host_machine import Host
from mutations import damaged_bytes, damaged_options
from tflm_graphs import Graph, Session
from tflm_nets import NETS, without_softmax

from tflm_reds.tflite_schema import flexbuffer_map


def fuzz(library: Path, runs: int, seed: int = 0) -> Counter[str]:
    """Run damaged graphs; how far the ops let them come. A sanitizer's report ends the process."""
    machine, random = Host.of_library(library), np.random.default_rng(seed)
    nets = [without_softmax(make(seed)) for make in NETS]
    with tempfile.TemporaryDirectory() as folder:
        graphs = [Graph.of_net(net, Path(folder)) for net in nets]
    outcomes: Counter[str] = Counter()
    for run in range(runs):
        net, graph = nets[run % len(nets)], graphs[run % len(nets)]
        damaged = damage(graph, random)
        print("run", run, flush=True)  # the last one is the culprit
        outcomes[_outcome(machine, damaged, random_nets.random_inputs(net, 1, run))] += 1
    return outcomes


def damage(graph: Graph, random: np.random.Generator) -> Graph:
    """The graph with one node's options damaged, or replaced by another node's."""
    nodes = list(graph.nodes)
    ours = [i for i, node in enumerate(nodes) if node.options]
    chosen, other = (int(i) for i in random.choice(ours, 2))
    options = nodes[chosen].options
    kind = random.integers(0, 4)
    if kind == 0:
        options = nodes[other].options
    elif kind == 1:
        options = damaged_bytes(options, random)
    else:
        options = flexbuffer_map(damaged_options(options, random))
    nodes[chosen] = replace(nodes[chosen], options=options)
    return replace(graph, nodes=tuple(nodes))


def _outcome(machine: Host, graph: Graph, x: np.ndarray) -> str:
    session = Session(machine, graph)
    outcome = "refused by Prepare"
    if session.prepare() == 0:
        machine.write(session.address(graph.inputs[0]), x.tobytes())
        session.set_subnet(0)
        failed = machine.call("context_invoke", session.context)
        outcome = "refused by Invoke" if failed else "ran"
    session.end()
    machine.free()
    return outcome
