"""The width problem solved with `scipy.optimize.milp` (HiGHS): any graph, and a cross-check."""

import pickle
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

from tflm_reds.errors import PlanError
from tflm_reds.solvers.integer_program import IntegerProgram
from tflm_reds.solvers.problem import Solution, WidthProblem

RELATIVE_GAP = 1e-6
GRACE_SECONDS = 10.0  # HiGHS starts late and overruns its time limit; then it is killed
ATTEMPTS = 3


def solve_milp(problem: WidthProblem) -> Solution:
    """Solve `problem` with HiGHS to a relative gap of 1e-6, in a child process.

    Raises:
        PlanError: if no widths meet the limits, or HiGHS finds none in time.
    """
    start = time.perf_counter()
    widths, bound, finished = _solve(problem)
    tightened = problem
    for _ in range(ATTEMPTS):
        # Tolerances may let a little slip over a limit; the first bound stays a valid one.
        excess = [limit.cost(widths) - limit.capacity for limit in problem.limits]
        if max(excess, default=0) <= 0:
            break
        pairs = zip(tightened.limits, excess, strict=True)
        limits = tuple(replace(x, capacity=x.capacity - max(0, e)) for x, e in pairs)
        tightened = replace(tightened, limits=limits)
        widths, _, finished = _solve(tightened)
    else:
        raise PlanError(
            f"HiGHS exceeds a limit by {max(excess):,}, after {ATTEMPTS} corrections too. Plan "
            "with solver='exact' or change the budget."
        )
    value = problem.value(widths)
    status = "optimal" if finished else "time limit"
    return Solution(widths, value, max(value, bound), status, time.perf_counter() - start)


def _solve(problem: WidthProblem) -> tuple[dict[str, int], float, bool]:
    """(widths, upper bound, whether HiGHS finished)."""
    program = IntegerProgram(problem)
    options = {"time_limit": problem.time_limit, "mip_rel_gap": RELATIVE_GAP}
    answer = _run_highs(program.arguments() | {"options": options}, problem.time_limit)
    if answer is not None and answer["status"] == 2:
        raise problem.infeasible()
    if answer is None or answer["x"] is None:
        raise PlanError(
            f"HiGHS found no widths within {problem.time_limit:g} s. Give it more time, plan with "
            "multiple=8 or larger minimum widths, or with solver='exact'."
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
