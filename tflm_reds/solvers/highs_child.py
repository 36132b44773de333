"""Runs `scipy.optimize.milp` for `milp.py`: pickle in on stdin, pickle out on stdout.

A script of its own: it can be killed, and what HiGHS prints to stdout is thrown away. It imports
nothing of tflm_reds, so that it starts quickly and from anywhere.
"""

import os
import pickle
import sys

from scipy.optimize import Bounds, LinearConstraint, milp


def main() -> None:
    """Solve the program on stdin."""
    answer_stream = os.fdopen(os.dup(1), "wb")
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
    program = pickle.load(sys.stdin.buffer)
    result = milp(
        program["c"],
        integrality=program["integrality"],
        bounds=Bounds(*program["bounds"]),
        constraints=LinearConstraint(program["matrix"], ub=program["at_most"]),
        options=program["options"],
    )
    bound = result.mip_dual_bound
    if bound is None:  # nothing to branch on
        bound = result.fun if result.status == 0 else float("-inf")
    with answer_stream:
        pickle.dump({"x": result.x, "bound": bound, "status": result.status}, answer_stream)


if __name__ == "__main__":
    main()
