"""The exact solver and the integer program against enumeration and against each other."""

import itertools
import math
from dataclasses import dataclass, replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from benchmarks.planner import ds_cnn, lognormal_scores
from tflm_reds.errors import PlanError
from tflm_reds.solvers import elimination, milp
from tflm_reds.solvers.exact import solve_exact
from tflm_reds.solvers.milp import solve_milp
from tflm_reds.solvers.objectives import OBJECTIVES
from tflm_reds.solvers.problem import Limit, MacTerm, WidthProblem, count_macs

CHAIN = ((0, 1), (1, 2), (2, 3))
TWO_CHAINS = ((0, 2), (3, 1))
STAR = ((0, 1), (0, 2), (0, 3))
RING = ((0, 1), (1, 2), (2, 3), (3, 0))
TRIANGLES = ((0, 1), (1, 2), (2, 0), (2, 3), (3, 0))
ALL_PAIRS = tuple(itertools.combinations(range(4), 2))
GRAPHS = {
    "chain": CHAIN,
    "two chains": TWO_CHAINS,
    "no edges": (),
    "star": STAR,
    "ring": RING,
    "triangles": TRIANGLES,
    "all pairs": ALL_PAIRS,
}


@dataclass(frozen=True)
class Table:
    """Any cost of one, two or three groups, as a latency or memory model may have it."""

    layer: str
    groups: tuple[str, ...]
    table: np.ndarray

    def cost(self, *widths):
        return self.table[tuple(np.asarray(w) for w in widths)]


def random_problem(seed: int, edges=CHAIN, ties: bool = False, limits: int = 1) -> WidthProblem:
    """Up to 7 widths in each of four groups; `ties` draws small integers as utilities.

    The first limit is on MACs (products), the second on the sum of random tables.
    """
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
    tables = [
        Table("table", (names[a], names[b]), random.integers(0, 30, (10, 10))) for a, b in edges
    ]
    limited = [Limit("MACs", 0, tuple(terms)), Limit("us", 0, tuple(tables))][:limits]
    return WidthProblem(
        widths, utilities, tuple(_loose(random, limit, widths) for limit in limited)
    )


def _loose(random, limit: Limit, widths) -> Limit:
    """`limit` with a capacity that the narrowest widths at least meet."""
    least, most = (limit.cost({g: int(w[end]) for g, w in widths.items()}) for end in (0, -1))
    low, high = min(least, most), max(least, most)
    return replace(limit, capacity=int(random.integers(max(low, least), max(high, least) + 1)))


def with_peak_limit(problem: WidthProblem, seed: int) -> WidthProblem:
    """`problem` with a memory limit over pairs and a triple of its groups."""
    random = np.random.default_rng(seed)
    scopes = [*itertools.combinations(problem.widths, 2)]
    scopes = [*scopes[:3], tuple(problem.widths)[:3]]
    terms = tuple(
        Table("op", scope, random.integers(0, 50, (10,) * len(scope)).cumsum(axis=0))
        for scope in scopes
    )
    limit = _loose(random, Limit("B", 0, terms, peak=True), problem.widths)
    return replace(problem, limits=(*problem.limits, limit))


def enumerate_best(problem: WidthProblem) -> tuple[float, int]:
    """(most utility, least of the first limit's cost among the choices that reach it)."""
    choices = (
        dict(zip(problem.widths, choice, strict=True))
        for choice in itertools.product(*problem.widths.values())
    )
    feasible = [choice for choice in choices if problem.fits(choice)]
    best = max(problem.value(choice) for choice in feasible)
    equal = [c for c in feasible if math.isclose(problem.value(c), best, rel_tol=1e-12)]
    return best, min(problem.limits[0].cost(choice) for choice in equal)


def ds_cnn_problem(channels: int, objective: str, budget: float) -> WidthProblem:
    sizes, terms = ds_cnn(channels, 4, 5000, 125)
    scores = lognormal_scores(sizes, seed=channels)
    widths = {group: np.arange(1, size + 1) for group, size in sizes.items()}
    utilities = {group: OBJECTIVES[objective](scores[group])[1:] for group in sizes}
    capacity = int(budget * count_macs(terms, sizes))
    return WidthProblem(widths, utilities, (Limit("MACs", capacity, terms),))


@settings(max_examples=150)
@given(st.integers(0, 2**32), st.sampled_from(sorted(GRAPHS)), st.booleans())
def test_exact_solver_equals_enumeration(seed, graph, ties):
    problem = random_problem(seed, GRAPHS[graph], ties)
    solution = solve_exact(problem)
    value, macs = enumerate_best(problem)
    assert solution.value == pytest.approx(value, rel=1e-12)
    assert problem.limits[0].cost(solution.widths) == macs
    assert (solution.status, solution.gap) == ("optimal", 0)


@settings(max_examples=150)
@given(st.integers(0, 2**32), st.sampled_from(sorted(GRAPHS)), st.integers(1, 2))
def test_exact_solver_equals_enumeration_under_several_limits(seed, graph, sums):
    problem = with_peak_limit(random_problem(seed, GRAPHS[graph], limits=sums), seed)
    solution = solve_exact(problem) if feasible(problem) else None
    if solution is None:
        with pytest.raises(PlanError):
            solve_exact(problem)
        return
    assert problem.fits(solution.widths)
    assert solution.value == pytest.approx(enumerate_best(problem)[0], rel=1e-12)
    assert (solution.status, solution.gap) == ("optimal", 0)


def feasible(problem: WidthProblem) -> bool:
    return any(
        problem.fits(dict(zip(problem.widths, choice, strict=True)))
        for choice in itertools.product(*problem.widths.values())
    )


@pytest.mark.parametrize("graph", ["chain", "star", "triangles"])
@pytest.mark.parametrize("sums", [1, 2])
def test_milp_equals_enumeration_on_any_graph(graph, sums):
    problem = random_problem(3, GRAPHS[graph], limits=sums)
    solution = solve_milp(problem)
    assert solution.value == pytest.approx(enumerate_best(problem)[0], rel=1e-5)
    assert problem.fits(solution.widths)
    assert solution.upper_bound >= solution.value
    assert solution.status == "optimal"


@pytest.mark.parametrize("objective", OBJECTIVES)
@pytest.mark.parametrize(
    ("channels", "budget"),
    [(12, 0.25), (12, 0.75), pytest.param(64, 0.25, marks=pytest.mark.slow)],
)
def test_exact_solver_and_milp_agree_on_ds_cnn(channels, objective, budget):
    problem = ds_cnn_problem(channels, objective, budget)
    exact, program = solve_exact(problem), solve_milp(problem)
    assert exact.gap == 0
    assert program.value == pytest.approx(exact.value, rel=1e-4)
    assert problem.fits(exact.widths) and problem.fits(program.widths)


def test_a_graph_of_too_large_tables_goes_to_milp(monkeypatch):
    monkeypatch.setattr(elimination, "LARGEST_TABLE", 10)
    problem = random_problem(4, ALL_PAIRS)
    assert solve_exact(problem).value == pytest.approx(enumerate_best(problem)[0], rel=1e-5)


def test_order_of_terms_and_runs_do_not_change_the_answer():
    problem = random_problem(5, ties=True)
    (limit,) = problem.limits
    shuffled = replace(problem, limits=(replace(limit, terms=limit.terms[::-1]),))
    answers = [solve_exact(p).widths for p in (problem, problem, shuffled)]
    assert answers[0] == answers[1] == answers[2]


@pytest.mark.parametrize("solve", [solve_exact, solve_milp])
def test_impossible_capacity_is_refused_with_the_numbers(solve):
    problem = random_problem(0)
    (limit,) = problem.limits
    least = limit.cost(problem.narrowest)
    tight = replace(problem, limits=(replace(limit, capacity=least - 1),))
    with pytest.raises(PlanError, match=rf"{least:,} MACs.* layer '\w+' alone takes"):
        solve(tight)


def test_exact_solver_out_of_time_keeps_a_valid_interval():
    problem = ds_cnn_problem(64, "sum", 0.25)
    hurried = replace(problem, time_limit=0.0)
    solution, best = solve_exact(hurried), solve_exact(problem)
    assert solution.status == "time limit"
    assert problem.fits(solution.widths)
    assert solution.value <= best.value <= solution.upper_bound
    assert solution.gap > 0


def test_late_milp_is_killed_and_refused(monkeypatch):
    monkeypatch.setattr(milp, "GRACE_SECONDS", 0.0)
    problem = random_problem(0)
    hurried = replace(problem, time_limit=0.01)
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
