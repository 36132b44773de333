"""The width problem as a mixed-integer linear program, for any graph of channel groups.

Width of a group = its narrowest width + m, m = sum_k step_k u_k with binary, descending u_k.
The product of two widths (a layer between two groups) becomes linear with one t_j for each step of
the second group: t_j >= m - M (1 - u_j), t_j >= 0, where M is the largest m of the first group.
(The paper's program has this form for every single kernel; its supplement, constraints 5 and 6.)
"""

import pickle
import subprocess
import sys
import time
from itertools import pairwise
from pathlib import Path

import numpy as np
from scipy.sparse import csc_array

from tflm_reds.errors import PlanError
from tflm_reds.solvers.problem import Solution, WidthProblem

RELATIVE_GAP = 1e-6
GRACE_SECONDS = 10.0  # HiGHS starts late and overruns its time limit; then it is killed
ATTEMPTS = 3


def solve_milp(problem: WidthProblem) -> Solution:
    """Solve `problem` with `scipy.optimize.milp` to a relative gap of 1e-6, in a child process.

    Raises:
        PlanError: if the narrowest widths exceed the capacity, or HiGHS finds nothing in time.
    """
    start = time.perf_counter()
    problem.require_feasible()
    widths, bound, finished = _solve(problem, problem.capacity)
    for _ in range(ATTEMPTS):
        # Tolerances may let a few MACs slip over the budget; the first bound stays a valid one.
        excess = problem.macs(widths) - problem.capacity
        if excess <= 0:
            break
        widths, _, finished = _solve(problem, problem.capacity - excess)
    else:
        raise PlanError(
            f"HiGHS exceeds the budget of {problem.capacity:,} MACs by {excess:,}, "
            f"after {ATTEMPTS} corrections too. Plan with solver='exact' or change the budget."
        )
    value = problem.value(widths)
    status = "optimal" if finished else "time limit"
    return Solution(widths, value, max(value, bound), status, time.perf_counter() - start)


def _solve(problem: WidthProblem, capacity: int) -> tuple[dict[str, int], float, bool]:
    """(widths, upper bound, whether HiGHS finished) within `capacity` MACs."""
    program = _Program(problem, capacity)
    answer = _run_highs(program.arguments(problem.time_limit), problem.time_limit)
    if answer is None or answer["x"] is None:
        raise PlanError(
            f"HiGHS found no widths within {problem.time_limit:g} s. Give it more time, plan with "
            "solver='exact' if the groups form a chain, or raise the minimum widths."
        )
    return program.widths(answer["x"]), -answer["bound"], answer["status"] == 0


def _run_highs(arguments: dict, time_limit: float) -> dict | None:
    """Answer of the child process; None if it had to be killed."""
    child = Path(__file__).with_name("highs_child.py")
    try:
        done = subprocess.run(
            [sys.executable, "-P", str(child)],
            input=pickle.dumps(arguments),
            capture_output=True,
            timeout=time_limit + GRACE_SECONDS,
        )
    except subprocess.TimeoutExpired:
        return None
    if done.returncode != 0:
        last = done.stderr.decode(errors="replace").strip().splitlines()[-1:]
        raise PlanError(f"HiGHS failed: {' '.join(last)}. Plan with solver='exact'.")
    return pickle.loads(done.stdout)


class _Program:
    """Columns: a constant 1; then u of each group; then m and all t_j of each pair of groups."""

    def __init__(self, problem: WidthProblem, capacity: int):
        self.problem = problem
        self.objective: list[float] = []
        self.binary: list[bool] = []
        self.rows: list[tuple[dict[int, float], float]] = []  # coefficients, at most this
        self.macs: dict[int, float] = {}
        # The constant belongs into the objective, or the relative gap would mean something else.
        self.one = self._columns([sum(-float(u[0]) for u in problem.utilities.values())], False)
        self.macs[self.one[0]] = problem.constant() - capacity
        self.units = {group: self._add_group(group) for group in problem.widths}
        for (first, second), coefficient in problem.couplings().items():
            self._add_product(first, second, coefficient)
        largest = max(map(abs, self.macs.values())) or 1
        self.rows.append(({c: v * 1e4 / largest for c, v in self.macs.items()}, 0.0))

    def _columns(self, objective, binary: bool) -> range:
        start = len(self.objective)
        self.objective.extend(objective)
        self.binary.extend([binary] * len(objective))
        return range(start, len(self.objective))

    def _add_group(self, group: str) -> range:
        units = self._columns(-np.diff(self.problem.utilities[group]), True)
        costs = self.problem.own_costs(group)
        self._spend(self.one[0], int(costs[0]))
        for unit, cost in zip(units, np.diff(costs), strict=True):
            self._spend(unit, int(cost))
        self.rows += [({b: 1, a: -1}, 0.0) for a, b in pairwise(units)]
        return units

    def _add_product(self, first: str, second: str, coefficient: int) -> None:
        """coefficient * (a + m)(b + sum_j step_j u_j), a and b the narrowest widths."""
        a, b = (int(self.problem.widths[group][0]) for group in (first, second))
        steps = {group: np.diff(self.problem.widths[group]) for group in (first, second)}
        largest = int(steps[first].sum())
        (m,) = self._columns([0.0], False)
        self.rows += [
            ({m: -1} | dict(zip(self.units[first], steps[first].tolist(), strict=True)), 0.0)
        ]
        self._spend(self.one[0], coefficient * a * b)
        self._spend(m, coefficient * b)
        products = self._columns(np.zeros(len(steps[second])), False)
        for unit, t, step in zip(self.units[second], products, steps[second].tolist(), strict=True):
            self._spend(unit, coefficient * a * step)
            self._spend(t, coefficient * step)
            self.rows.append(({m: 1, unit: largest, t: -1}, largest))

    def _spend(self, column: int, macs: int) -> None:
        self.macs[column] = self.macs.get(column, 0) + macs

    def arguments(self, time_limit: float) -> dict:
        """What `highs_child.py` takes; HiGHS minimises."""
        entries = [(r, c, v) for r, (row, _) in enumerate(self.rows) for c, v in row.items()]
        row, column, value = map(np.array, zip(*entries, strict=True))
        shape = (len(self.rows), len(self.objective))
        upper = np.where(self.binary, 1.0, np.inf)
        lower = np.zeros(len(upper))
        lower[self.one] = upper[self.one] = 1.0
        return {
            "c": np.array(self.objective),
            "integrality": np.array(self.binary, int),
            "bounds": (lower, upper),
            "matrix": csc_array((value.astype(float), (row, column)), shape),
            "at_most": np.array([limit for _, limit in self.rows], float),
            "options": {"time_limit": time_limit, "mip_rel_gap": RELATIVE_GAP},
        }

    def widths(self, x: np.ndarray) -> dict[str, int]:
        """The widths that a solution vector stands for."""
        return {
            group: int(allowed[np.round(x[self.units[group]]).astype(int).sum()])
            for group, allowed in self.problem.widths.items()
        }
