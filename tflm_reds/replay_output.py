"""Files of a replay: JSON and Markdown of all policies, CSV of the governor's steps, a plot."""

import importlib.util
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

from tflm_reds.files import atomic_path, write_text
from tflm_reds.replay import Device, Outcome
from tflm_reds.traces import Request

TITLES = ("policy", "misses", "accuracy", "accuracy in time", "energy mJ", "switches")
NOTE = (
    "Times and energies are modelled (the upper ends of the intervals, times the slowdown), "
    "accuracies measured on the whole test set. Accuracy: expected of all requests, a missed one "
    "counting as wrong. The oracle knows the true costs before it chooses."
)


def outcome_row(outcome: Outcome) -> dict[str, object]:
    """JSON form; the subnets as the share of each."""
    total = len(outcome.subnets)
    shares = {str(k): outcome.subnets.count(k) / total for k in sorted(set(outcome.subnets))}
    row = asdict(outcome) | {"requests": total, "subnet_shares": shares}
    del row["subnets"]
    return row


def render_outcomes(outcomes: Sequence[Outcome]) -> str:
    """A Markdown table, a row for each policy."""
    lines = [f"| {' | '.join(TITLES)} |", "|---" + "|---:" * (len(TITLES) - 1) + "|"]
    for outcome in outcomes:
        share = outcome.misses / len(outcome.subnets)
        cells = (
            outcome.policy,
            f"{outcome.misses} ({100 * share:.1f} %)",
            _percent(outcome.accuracy),
            _percent(outcome.accuracy_in_time),
            f"{outcome.energy_mj:,.1f}",
            str(outcome.switches),
        )
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


def write_steps(
    trace: Sequence[Request], outcome: Outcome, device: Device, path: str | Path
) -> Path:
    """What was chosen for each request, as CSV."""
    lines = ["time_s,deadline_us,energy_uj,battery_permille,subnet,time_us,kept"]
    for request, subnet in zip(trace, outcome.subnets, strict=True):
        limits = ["" if v is None else f"{v:g}" for v in list(vars(request).values())[1:]]
        kept = int(device.keeps(request, subnet))
        cells = [f"{request.time_s:g}", *limits, subnet, device.time_us(subnet), kept]
        lines.append(",".join(map(str, cells)))
    return write_text(path, "\n".join(lines) + "\n")


def can_plot() -> bool:
    """Whether matplotlib is installed."""
    return importlib.util.find_spec("matplotlib") is not None


def write_plot(
    trace: Sequence[Request], outcomes: Sequence[Outcome], device: Device, path: str | Path
) -> Path:
    """Misses and accuracy of every policy, above the governor's choices over time, as PNG."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(9, 7), layout="constrained")
    policies, steps = figure.subplots(2)
    _plot_policies(policies, outcomes)
    _plot_steps(steps, trace, outcomes[0], device)
    with atomic_path(path) as temporary:
        figure.savefig(temporary, format="png", dpi=120)
    return Path(path)


def _plot_policies(axes, outcomes: Sequence[Outcome]) -> None:
    places = range(len(outcomes))
    misses = [100 * outcome.misses / len(outcome.subnets) for outcome in outcomes]
    known = [float("nan") if o.accuracy is None else o.accuracy for o in outcomes]
    accuracy = [100 * value for value in known]
    axes.bar([x - 0.2 for x in places], accuracy, 0.4, label="accuracy, a miss counting as wrong")
    axes.bar([x + 0.2 for x in places], misses, 0.4, label="missed requests")
    axes.set_xticks(list(places), [outcome.policy for outcome in outcomes])
    axes.set_ylabel("%")
    axes.legend()


def _plot_steps(axes, trace: Sequence[Request], governor: Outcome, device: Device) -> None:
    """The limit of time, or where there is none of energy, and what each inference took of it."""
    if any(request.deadline_us is not None for request in trace):
        name, taken, label = "deadline_us", device.time_us, "ms"
    else:
        name, taken, label = "energy_uj", device.energy_uj, "mJ"
    times = [request.time_s for request in trace]
    limits = [request.limits.get(name, float("nan")) / 1000 for request in trace]
    axes.step(times, limits, where="post", color="0.7", label=f"limit, {label}")
    values = [taken(k) / 1000 for k in governor.subnets]
    axes.step(times, values, where="post", label=f"inference under the governor, {label}, modelled")
    axes.set_xlabel("s")
    axes.legend()


def _percent(value: float | None) -> str:
    return "-" if value is None else f"{100 * value:.2f} %"
