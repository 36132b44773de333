"""Measured utilities: the fit finds what made the numbers, and the planner takes the result."""

import numpy as np
import pytest

from tests.keras_models import ds_cnn, shake
from tflm_reds.errors import DataError, ModelError
from tflm_reds.keras_reader import read_model
from tflm_reds.nesting import nest
from tflm_reds.solvers.objectives import kept_width
from tflm_reds.utility import LEAST_COEFFICIENT, Utilities, _fit, measure_utilities
from tflm_reds.zoo import load_zoo


def samples(count: int, seed: int = 0):
    random = np.random.default_rng(seed)
    y = random.integers(0, 5, count)
    x = random.normal(0, 1, (count, 12, 8, 1)).astype(np.float32) + y[:, None, None, None]
    return x, y


@pytest.mark.parametrize("exponent", [0.5, 1.5, 2.5])
def test_fit_finds_the_law_behind_the_errors(exponent):
    random = np.random.default_rng(1)
    shares = random.uniform(0.1, 1.0, (60, 3))
    true = np.array([0.02, 0.05, 0.01])
    found = _fit(["a", "b", "c"], shares, 0.3 + shares**-exponent @ true)
    assert found.exponent == exponent
    assert found.r_squared == pytest.approx(1.0)
    np.testing.assert_allclose(list(found.coefficients.values()), true, rtol=1e-6)


def test_no_group_is_free_whatever_the_noise_says():
    shares = np.random.default_rng(2).uniform(0.1, 1.0, (60, 2))
    found = _fit(["a", "b"], shares, shares[:, 0] ** -1.5)
    assert found.coefficients["b"] == pytest.approx(LEAST_COEFFICIENT * 0.5)


def test_groups_that_no_width_harms_count_alike():
    shares = np.random.default_rng(2).uniform(0.1, 1.0, (60, 2))
    found = _fit(["a", "b"], shares, np.zeros(60))
    assert found.coefficients["a"] == found.coefficients["b"] > 0


def test_utility_rises_with_width_and_ever_less():
    utility = Utilities(1.5, {"a": 0.1}, 0.9, 50).of("a", 8)
    gains = np.diff(utility[1:])
    assert utility.shape == (9,) and np.isneginf(utility[0])
    assert (gains > 0).all() and (np.diff(gains) < 0).all()
    np.testing.assert_allclose(10 * utility[1:], kept_width(np.ones(8))[1:])


def test_measuring_leaves_the_weights_and_is_repeatable():
    x, y = samples(300)
    graph, weights = read_model(shake(ds_cnn()))
    before = {name: array.copy() for name, array in weights.items()}
    first, second = (
        measure_utilities(graph, weights, x, y, steps=8, draws=12, seed=3) for _ in range(2)
    )
    assert all(np.array_equal(weights[name], before[name]) for name in weights)
    assert set(first.coefficients) == set(graph.groups)
    assert min(first.coefficients.values()) > 0
    # Float sums may differ in their order, the draws may not.
    assert first.exponent == second.exponent
    np.testing.assert_allclose(
        list(first.coefficients.values()), list(second.coefficients.values()), rtol=0.05
    )


def test_a_plan_by_measured_utilities_is_proven_optimal(monkeypatch):
    import tflm_reds.nesting as nesting

    quick = {"steps": 8, "draws": 12}
    monkeypatch.setattr(
        nesting, "measure_utilities", lambda *a, **k: measure_utilities(*a, **k, **quick)
    )
    nested = nest(shake(ds_cnn()), samples(300), (0.4,), objective="measured")
    assert nested.plan.objective == "utilities" and nested.plan.gap == 0
    assert nested.plan.fractions[0] <= 0.4


def test_too_few_samples_are_refused():
    graph, weights = read_model(shake(ds_cnn()))
    with pytest.raises(DataError, match="more than 6 samples"):
        measure_utilities(graph, weights, *samples(6))


def test_layer_normalisation_is_refused():
    graph, weights = read_model(load_zoo("vit_digits")[0])
    x = np.zeros((20, *graph.nodes[0].shape), np.float32)
    with pytest.raises(ModelError, match=r"normalises over the channels.*objective='width'"):
        measure_utilities(graph, weights, x, np.zeros(20, int))
