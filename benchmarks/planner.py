"""Seconds, memory and optimality gap of the planner on the DS-CNNs of the paper.

    python -m benchmarks.planner            # writes docs/results/planner.json, about a minute

Scores are lognormal, seeded: real ones need a trained network and change nothing in the method.
"""

import argparse
import json
import tracemalloc
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from benchmarks.rows import RESULTS, versions
from tflm_reds.files import write_text
from tflm_reds.planning import DIRECTIONS, SOLVERS, plan_widths
from tflm_reds.solvers.objectives import OBJECTIVES
from tflm_reds.solvers.problem import MacTerm, Solution, WidthProblem

BUDGETS = (0.25, 0.5, 0.75)


def ds_cnn(
    channels: int, blocks: int, first: int, positions: int
) -> tuple[dict[str, int], tuple[MacTerm, ...]]:
    """Sizes and true MACs of a keyword-spotting DS-CNN with 12 classes.

    Args:
        first: MACs of the first convolution per filter.
        positions: height times width of the blocks' maps.
    """
    group = "conv1"
    sizes, terms = {group: channels}, [MacTerm(group, first, (group,))]
    for index in range(1, blocks + 1):
        terms.append(MacTerm(f"dw{index}", 9 * positions, (group,)))
        terms.append(MacTerm(f"pw{index}", positions, (group, f"pw{index}")))
        group = f"pw{index}"
        sizes[group] = channels
    return sizes, (*terms, MacTerm("fc", 12, (group,)))


def lognormal_scores(sizes: dict[str, int], seed: int) -> dict[str, np.ndarray]:
    """Descending scores of each group."""
    random = np.random.default_rng(seed)
    return {group: np.sort(random.lognormal(size=size))[::-1] for group, size in sizes.items()}


NETS = {"ds_cnn_s": ds_cnn(64, 4, 5000, 125), "ds_cnn_l": ds_cnn(276, 5, 10000, 65)}


def plan_rows(
    net: str, objective: str, direction: str, solver: str, seed: int
) -> Iterator[dict[str, object]]:
    """One row for each budget of one plan."""
    sizes, terms = NETS[net]
    solved: list[tuple[WidthProblem, Solution]] = []

    def record(problem: WidthProblem) -> Solution:
        solved.append((problem, SOLVERS[solver](problem)))
        return solved[-1][1]

    scores = lognormal_scores(sizes, seed)
    choices = {"direction": direction, "objective": objective}
    plan = plan_widths(sizes, scores, terms, BUDGETS, solver=record, **choices)
    for problem, solution in solved:
        subnet = plan.widths.index(solution.widths)
        yield {
            "name": net,
            **choices,
            "solver": solver,
            "budget": plan.budgets[subnet],
            "mac_fraction": round(plan.fractions[subnet], 6),
            "widths": list(solution.widths.values()),
            "value": solution.value,
            "status": solution.status,
            "gap": solution.gap,
            "seconds": round(solution.seconds, 4),
            "labels": solution.labels,
            "peak_mb": peak_megabytes(problem) if solver == "exact" else None,
            "seed": seed,
        }


def peak_megabytes(problem: WidthProblem) -> float:
    """Most memory that numpy and Python held at once in the exact solver (a run of its own)."""
    tracemalloc.start()
    SOLVERS["exact"](problem)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    return round(peak / 1e6, 2)


def all_rows(seeds: int) -> Iterator[dict[str, object]]:
    """The exact solver everywhere; HiGHS as a cross-check on the small net."""
    for net in NETS:
        for objective in OBJECTIVES:
            for direction in DIRECTIONS:
                for seed in range(seeds):
                    yield from plan_rows(net, objective, direction, "exact", seed)
    for objective in OBJECTIVES:
        for direction in DIRECTIONS:
            yield from plan_rows("ds_cnn_s", objective, direction, "milp", 0)


def main() -> None:
    """Print a line for each row and write them all."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seeds", type=int, default=3, help="seeds of the scores (default 3)")
    results = RESULTS / "planner.json"
    parser.add_argument("--out", type=Path, default=results, help="file (default %(default)s)")
    arguments = parser.parse_args()
    command = f"python -m benchmarks.planner --seeds {arguments.seeds}"
    rows = []
    for row in all_rows(arguments.seeds):
        rows.append(row | {"versions": versions("numpy", "scipy"), "command": command})
        print(*(row[key] for key in list(row) if key not in ("widths", "status")), flush=True)
    write_text(arguments.out, json.dumps(rows, indent=1) + "\n")


if __name__ == "__main__":
    main()
