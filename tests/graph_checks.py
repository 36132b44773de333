"""What must hold for every LayerGraph: permutation is free, subnets are slices."""

import itertools

import keras
import numpy as np
from random_models import random_plan

from tflm_reds.graph import LayerGraph, Weights, select_units, slice_weights
from tflm_reds.keras_reader import read_model
from tflm_reds.keras_writer import write_model
from tflm_reds.nested_layers import subnet_scope
from tflm_reds.nested_model import NestedModel
from tflm_reds.permute import fold_negative_gammas


def check_graph(model: keras.Model, seed: int) -> None:
    """All of the checks below, with permutations, widths and inputs drawn from `seed`."""
    x, random = inputs(model), np.random.default_rng(seed)
    graph, weights = read_model(model)
    assert LayerGraph.from_dict(graph.to_dict()) == graph
    permuted = check_permutation(model, graph, weights, x, random)
    check_subnets(graph, permuted, x, random)
    check_ignored_units(graph, permuted, x, random)


def inputs(model, samples=3):
    shape = model.input_shape[1:]
    return np.random.default_rng(0).normal(0.2, 1, (samples, *shape)).astype(np.float32)


def assert_same(actual, expected):
    """Contract 1: max |change| <= 1e-4 of max |output|."""
    actual, expected = np.asarray(actual), np.asarray(expected)
    assert np.abs(actual - expected).max() <= 1e-4 * np.abs(expected).max()


def check_permutation(model, graph, weights, x, random) -> Weights:
    order = {group: random.permutation(size) for group, size in graph.groups.items()}
    permuted = select_units(graph, fold_negative_gammas(graph, weights), order)
    norms = [node.name for node in graph.nodes if node.op == "batch_norm"]
    assert all((permuted[f"{name}/gamma"] > 0).all() for name in norms)
    assert_same(write_model(graph, permuted)(x), model(x))
    return permuted


def check_subnets(graph, weights, x, random):
    plan = random_plan(graph, random)
    nested = NestedModel.from_weights(graph, weights, plan)
    for k in range(plan.subnet_count):
        with subnet_scope(k):
            expected = nested.backbone(x)
        assert_same(nested.subnet(k)(x), expected)
        assert nested.subnet(k).count_params() == sum(
            map(np.size, nested.subnet_arrays(k).values())
        )
    check_prefix_law(nested)


def check_prefix_law(nested):
    arrays = [nested.subnet_arrays(k) for k in range(nested.subnet_count)]
    for k, (small, large) in enumerate(itertools.pairwise(arrays)):
        widths = nested.plan.widths
        cut = slice_weights(nested.graph.cut(widths[k + 1]), large, widths[k])
        for name in small:
            if name.split("/")[1] in ("kernel", "bias", "alpha", "embedding"):
                np.testing.assert_array_equal(cut[name], small[name])


def check_ignored_units(graph, weights, x, random):
    """Units that nobody listens to can be cut: the indices of makers and readers correspond."""
    widths = {group: int(random.integers(1, size + 1)) for group, size in graph.groups.items()}
    for node in graph.nodes:
        if node.op == "layer_norm":  # whose statistics listen to every unit
            widths |= {part.group: part.size for part in node.parts}
    deaf = {name: array.copy() for name, array in weights.items()}
    for axis in graph.weight_axes:
        if axis.weight.endswith("kernel") and not axis.makes:
            kept = axis.indices({group: np.arange(width) for group, width in widths.items()})
            rows = np.moveaxis(deaf[axis.weight], axis.axis, 0)
            rows[np.setdiff1d(np.arange(len(rows)), kept)] = 0
    cut = write_model(graph.cut(widths), slice_weights(graph, deaf, widths))
    assert_same(cut(x), write_model(graph, deaf)(x))
    assert graph.cut(widths).macs() == graph.macs(widths)
