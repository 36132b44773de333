"""Seconds, memory and gap of the planner on the reference networks.

    python -m benchmarks.planner                          # all; writes docs/results/planner.json
    python -m benchmarks.planner deit_base --seeds 1      # one network, one set of scores
    python -m benchmarks.planner --data DIR               # real scores too, where pretrained

Three budgets of the true MACs (25, 50, 75 %), for DeiT-B the MACs of DeiT-Ti and DeiT-S. Scores are
lognormal and seeded; with `--data`, gradient x weight of the pretrained networks, as in `nest`.
Seconds are CPU time of one process for a whole plan, the independent optima included.
"""

import argparse
import time
import tracemalloc
from collections.abc import Iterator, Mapping
from pathlib import Path

import numpy as np

from benchmarks.rows import replace_rows, versions
from tflm_reds.plan import Plan
from tflm_reds.planning import DIRECTIONS, plan_widths
from tflm_reds.solvers.problem import MacTerm, count_macs

BUDGETS = (0.25, 0.5, 0.75)
OBJECTIVES = ("sum", "product", "width")
SCORED_SAMPLES = 500
Net = tuple[dict[str, int], tuple[MacTerm, ...]]
"""Sizes of the groups, and true MACs."""

ZOO_NETS = (
    "dnn_s_kws", "dnn_l_kws", "cnn_s_kws", "cnn_l_kws", "ds_cnn_s_kws", "ds_cnn_l_kws",
    "ds_cnn_s_fashion_mnist", "ds_cnn_s_cifar10", "resnet8_cifar10",
    "mobilenet_v1_025_vww", "mobilenet_v1_100_vww",
)  # fmt: skip
NAMES = (*ZOO_NETS, "deit_base")


def ds_cnn(channels: int, blocks: int, first: int, positions: int) -> Net:
    """A keyword-spotting DS-CNN with 12 classes.

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


def deit_base() -> Net:
    """DeiT-B as the paper plans it: heads of 64 dimensions for all blocks, groups of 64 neurons.

    Costs of one forward pass as profiled there: patches, qkv, projection with attention, MLP.
    """
    heads, neurons, blocks = 12, 48, 12
    sizes, terms = {"heads": heads}, [MacTerm("patches", 115_605_504 // heads, ("heads",))]
    for index in range(blocks):
        group = f"mlp{index}"
        sizes[group] = neurons
        attention = (348_585_984 + 175_869_952) // heads**2
        terms.append(MacTerm(f"attention{index}", attention, ("heads", "heads")))
        terms.append(MacTerm(group, 2 * 464_781_312 // (heads * neurons), ("heads", group)))
    return sizes, tuple(terms)


def lognormal_scores(sizes: Mapping[str, int], seed: int) -> dict[str, np.ndarray]:
    """Descending scores of each group."""
    random = np.random.default_rng(seed)
    return {group: np.sort(random.lognormal(size=size))[::-1] for group, size in sizes.items()}


NETS = {"ds_cnn_s": ds_cnn(64, 4, 5000, 125), "ds_cnn_l": ds_cnn(276, 5, 10000, 65)}


def load_net(name: str) -> tuple[Net, tuple[float, ...]]:
    """Costs and budgets of a network."""
    if name in ZOO_NETS:
        from tflm_reds.keras_reader import read_model
        from tflm_reds.zoo import ZOO

        graph, _ = read_model(ZOO[name].build())
        return (graph.groups, graph.mac_terms()), BUDGETS
    sizes, terms = deit_base()
    full = count_macs(terms, sizes)
    smaller = (1_253_683_200 - 192_000, 4_598_882_304 - 384_000)  # DeiT-Ti and DeiT-S, no head
    return (sizes, terms), tuple(macs / full for macs in smaller)


def real_scores(name: str, data: Path) -> dict[str, np.ndarray] | None:
    """Sorted importance in the pretrained network; None if there are no weights."""
    from tflm_reds.datasets import load_dataset
    from tflm_reds.keras_reader import read_model
    from tflm_reds.permute import fold_negative_gammas
    from tflm_reds.score import score
    from tflm_reds.zoo import ZOO, load_zoo

    model, pretrained = load_zoo(name, data) if name in ZOO else (None, False)
    if not pretrained:
        return None
    graph, weights = read_model(model)
    dataset = load_dataset(ZOO[name].dataset, data)
    rows = np.random.default_rng(0).permutation(len(dataset.x_train))[:SCORED_SAMPLES]
    x, y = dataset.x_train[rows], dataset.y_train[rows]
    return dict(score(graph, fold_negative_gammas(graph, weights), x, y).sorted_values)


def plan_row(net: Net, scores: Mapping[str, np.ndarray], budgets, **choices: str) -> dict:
    """One plan and its seconds."""
    start = time.process_time()
    plan = plan_widths(net[0], scores, net[1], budgets, **choices)
    seconds = time.process_time() - start
    return choices | {
        "budgets": list(plan.budgets[:-1]),
        "mac_fractions": [round(share, 6) for share in plan.fractions[:-1]],
        "widths": [list(widths.values()) for widths in plan.widths[:-1]],
        "status": plan.status,
        "gap": plan.gap,
        "joint_score": plan.joint_score,
        "joint_bound": plan.joint_bound,
        "worst_ratio": _worst_ratio(plan),
        "groups": len(plan.widths[-1]),
        "seconds": round(seconds, 4),
    }


def peak_megabytes(net: Net, scores: Mapping[str, np.ndarray], budgets, **choices: str) -> float:
    """Most memory that numpy and Python held at once during a plan (a run of its own)."""
    tracemalloc.start()
    plan_widths(net[0], scores, net[1], budgets, **choices)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    return round(peak / 1e6, 2)


def _worst_ratio(plan: Plan) -> float | None:
    """Smallest share of its own best that a subnet reaches (the sum objective only)."""
    if plan.objective != "sum":
        return None
    pairs = zip(plan.values[:-1], plan.independent[:-1], strict=True)
    return min(value / best for value, best in pairs)


def net_rows(name: str, net: Net, budgets, seeds: int, data: Path | None) -> Iterator[dict]:
    """All objectives and directions, with each set of scores."""
    found = {("lognormal", seed): lognormal_scores(net[0], seed) for seed in range(seeds)}
    if data and (real := real_scores(name, data)):
        found["gradient x weight", 0] = real
    for (method, seed), scores in found.items():
        for objective in OBJECTIVES:
            for direction in DIRECTIONS:
                choices = {"objective": objective, "direction": direction}
                row = plan_row(net, scores, budgets, **choices)
                if (method, seed, direction) == ("lognormal", 0, "joint"):
                    row["peak_mb"] = peak_megabytes(net, scores, budgets, **choices)
                yield {"name": name, "scores": method, "seed": seed} | row


def main() -> None:
    """Print a line for each row and write them, network by network."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("networks", nargs="*", default=NAMES, help=f"of {', '.join(NAMES)}")
    parser.add_argument("--seeds", type=int, default=3, help="seeds of the scores (default 3)")
    parser.add_argument("--data", type=Path, help="directory of the zoo's data and weights")
    arguments = parser.parse_args()
    if unknown := set(arguments.networks) - set(NAMES):
        parser.error(f"no network {', '.join(sorted(unknown))}")
    data = " --data DIR" if arguments.data else ""
    for name in arguments.networks:
        command = f"python -m benchmarks.planner {name} --seeds {arguments.seeds}{data}"
        about = {"versions": versions("numpy", "scipy"), "command": command}
        rows = []
        for row in net_rows(name, *load_net(name), arguments.seeds, arguments.data):
            rows.append(row | about)
            print(*(v for v in row.values() if not isinstance(v, list)), flush=True)
        replace_rows("planner", rows, "name")


if __name__ == "__main__":
    main()
