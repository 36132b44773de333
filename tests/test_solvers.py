"""The exact solver and the integer program against enumeration and against each other."""

import itertools
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from benchmarks.planner import ds_cnn, lognormal_scores
from tflm_reds.errors import PlanError
from tflm_reds.solvers import milp
from tflm_reds.solvers.exact import solve_exact
from tflm_reds.solvers.milp import solve_milp
from tflm_reds.solvers.objectives import OBJECTIVES
from tflm_reds.solvers.problem import MacTerm, WidthProblem

CHAIN = ((0, 1), (1, 2), (2, 3))
TWO_CHAINS = ((0, 2), (3, 1))
STAR = ((0, 1), (0, 2), (0, 3))
RING = ((0, 1), (1, 2), (2, 3), (3, 0))


def random_problem(seed: int, edges=CHAIN, ties: bool = False) -> WidthProblem:
    """Up to 7 widths in each of four groups; `ties` draws small integers as utilities."""
    random = np.random.default_rng(seed)
    names = [f"g{i}" for i in random.permutation(4)]
    widths, utilities = {}, {}
    for name in names:
        low = int(random.integers(1, 4))
        widths[name] = np.arange(low, low + random.integers(1, 7))
        draw = random.integers(0, 3, 7) if ties else random.lognormal(size=7)
        utilities[name] = np.cumsum(np.sort(draw)[::-1])[: len(widths[name])].astype(float)
    terms = [MacTerm("head", int(random.integers(50)), ())]
    terms += [MacTerm(name, int(random.integers(40)), (name,)) for name in names]
    terms += [MacTerm("tied", int(random.integers(5)), (names[0], names[0]))]
    terms += [MacTerm("pair", int(random.integers(1, 20)), (names[a], names[b])) for a, b in edges]
    problem = WidthProblem(widths, utilities, tuple(terms), 0)
    least, most = (problem.macs({g: w[end] for g, w in widths.items()}) for end in (0, -1))
    return WidthProblem(widths, utilities, tuple(terms), int(random.integers(least, most + 1)))


def enumerate_best(problem: WidthProblem) -> tuple[float, int]:
    """(most utility, fewest MACs among the choices that reach it)."""
    choices = (
        dict(zip(problem.widths, choice, strict=True))
        for choice in itertools.product(*problem.widths.values())
    )
    feasible = [choice for choice in choices if problem.macs(choice) <= problem.capacity]
    best = max(problem.value(choice) for choice in feasible)
    equal = [c for c in feasible if math.isclose(problem.value(c), best, rel_tol=1e-12)]
    return best, min(problem.macs(choice) for choice in equal)


def ds_cnn_problem(channels: int, objective: str, budget: float) -> WidthProblem:
    sizes, terms = ds_cnn(channels, 4, 5000, 125)
    scores = lognormal_scores(sizes, seed=channels)
    widths = {group: np.arange(1, size + 1) for group, size in sizes.items()}
    utilities = {group: OBJECTIVES[objective](scores[group])[1:] for group in sizes}
    problem = WidthProblem(widths, utilities, terms, 0)
    return WidthProblem(widths, utilities, terms, int(budget * problem.macs(sizes)))


@settings(max_examples=150)
@given(st.integers(0, 2**32), st.sampled_from([CHAIN, TWO_CHAINS, ()]), st.booleans())
def test_exact_solver_equals_enumeration(seed, edges, ties):
    problem = random_problem(seed, edges, ties)
    solution = solve_exact(problem)
    value, macs = enumerate_best(problem)
    assert solution.value == pytest.approx(value, rel=1e-12)
    assert problem.macs(solution.widths) == macs
    assert (solution.status, solution.gap) == ("optimal", 0)


@pytest.mark.parametrize("edges", [CHAIN, STAR, RING], ids=["chain", "star", "ring"])
@pytest.mark.parametrize("seed", range(3))
def test_milp_equals_enumeration_on_any_graph(seed, edges):
    problem = random_problem(seed, edges)
    solution = solve_milp(problem)
    assert solution.value == pytest.approx(enumerate_best(problem)[0], rel=1e-5)
    assert problem.macs(solution.widths) <= problem.capacity
    assert solution.upper_bound >= solution.value
    assert solution.status == "optimal"


@pytest.mark.parametrize("objective", OBJECTIVES)
@pytest.mark.parametrize("budget", [0.25, 0.75])
@pytest.mark.parametrize("channels", [12, 64])
def test_exact_solver_and_milp_agree_on_ds_cnn(channels, objective, budget):
    problem = ds_cnn_problem(channels, objective, budget)
    exact, program = solve_exact(problem), solve_milp(problem)
    assert exact.gap == 0
    assert program.value == pytest.approx(exact.value, rel=1e-4)
    assert max(map(problem.macs, (exact.widths, program.widths))) <= problem.capacity


@pytest.mark.parametrize("edges", [STAR, RING], ids=["star", "ring"])
def test_exact_solver_sends_other_graphs_to_milp(edges):
    with pytest.raises(PlanError, match="solver='milp'"):
        solve_exact(random_problem(0, edges))


def test_order_of_terms_and_runs_do_not_change_the_answer():
    problem = random_problem(5, ties=True)
    shuffled = WidthProblem(
        problem.widths, problem.utilities, problem.terms[::-1], problem.capacity
    )
    answers = [solve_exact(p).widths for p in (problem, problem, shuffled)]
    assert answers[0] == answers[1] == answers[2]


@pytest.mark.parametrize("solve", [solve_exact, solve_milp])
def test_impossible_capacity_is_refused_with_the_numbers(solve):
    problem = random_problem(0)
    least = problem.macs({group: widths[0] for group, widths in problem.widths.items()})
    tight = WidthProblem(problem.widths, problem.utilities, problem.terms, least - 1)
    with pytest.raises(PlanError, match=f"{least:,}"):
        solve(tight)


def test_exact_solver_out_of_time_keeps_a_valid_interval():
    problem = ds_cnn_problem(64, "sum", 0.25)
    hurried = WidthProblem(problem.widths, problem.utilities, problem.terms, problem.capacity, 0.0)
    solution, best = solve_exact(hurried), solve_exact(problem)
    assert solution.status == "time limit"
    assert problem.macs(solution.widths) <= problem.capacity
    assert solution.value <= best.value <= solution.upper_bound
    assert solution.gap > 0


def test_late_milp_is_killed_and_refused(monkeypatch):
    monkeypatch.setattr(milp, "GRACE_SECONDS", 0.0)
    problem = random_problem(0)
    hurried = WidthProblem(problem.widths, problem.utilities, problem.terms, problem.capacity, 0.01)
    with pytest.raises(PlanError, match=r"within 0\.01 s"):
        solve_milp(hurried)


def test_milp_prints_nothing(capfd):
    solve_milp(random_problem(1))
    assert capfd.readouterr() == ("", "")


@settings(max_examples=50)
@given(st.lists(st.floats(0, 1e6), min_size=1, max_size=20))
def test_objectives_rise_and_flatten(scores):
    scores = np.sort(scores)[::-1]
    for objective in OBJECTIVES.values():
        steps = np.diff(objective(scores)[1:])
        assert np.all(steps >= 0)
        assert np.all(np.diff(steps) <= 1e-9 * (1 + np.abs(steps[1:]).max(initial=0)))
    assert OBJECTIVES["product"](scores)[-1] == 0
