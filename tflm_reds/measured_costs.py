"""What the finished image takes, and budgets corrected until it keeps them.

The planner models RAM, flash and time (`network_costs`); what the code generator makes of a plan,
and what that takes on the simulated board, is the truth.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

import numpy as np

from tflm_reds.boards.schema import load_board
from tflm_reds.budget import FULL, Budget
from tflm_reds.codegen.lower import lower
from tflm_reds.codegen.program import arena_bytes, flash_bytes
from tflm_reds.errors import PlanError
from tflm_reds.image_times import image_times
from tflm_reds.latency import LatencyTable
from tflm_reds.nested_model import NestedModel
from tflm_reds.quantization import quantize

ATTEMPTS = 8
SAMPLES = 8  # no cost depends on the inputs' values
BYTES, TIMES = ("ram", "flash"), ("ms", "uj")
FILLED = 0.95
"""Share of a time that a subnet uses at least, unless the next width would exceed it."""
RESERVE = 0.002
"""Share of a time that is left over, because training moves the scales and biases once more."""

Costs = Mapping[str, float]


def measured_costs(
    nested: NestedModel,
    x: np.ndarray,
    ram: Sequence[int | None] | None = None,
    latency: LatencyTable | None = None,
) -> tuple[dict[str, float], ...]:
    """Bytes of the arena ("ram") and of constant data ("flash") of an image cut to each subnet.

    Args:
        ram: limits, as `lower` takes them.
        latency: of our own code on a board: the upper edges of the modelled time ("ms") and energy
            ("uj") of each subnet of the full image there are measured, too.
    """
    net = quantize(nested, x[:SAMPLES], ranges="minmax")
    times: list[dict[str, float]] = [{} for _ in range(net.subnet_count)]
    if latency is None:
        program = lower(net, ram=ram)
    else:
        image = image_times(net, load_board(latency.board), latency.optimize, ram)
        program, times = image.program, [{"ms": ms} for ms in image.milliseconds]
        if latency.power_mw:
            times = [{"ms": t["ms"], "uj": t["ms"] * latency.power_mw} for t in times]
    return tuple(
        {"ram": arena_bytes(program, k), "flash": sum(flash_bytes(program, k).values())} | times[k]
        for k in range(program.subnet_count)
    )


def keep_limits(
    make: Callable[[Sequence[Budget]], NestedModel],
    budgets: Sequence[Budget],
    x: np.ndarray,
    latency: LatencyTable | None = None,
) -> NestedModel:
    """`make(budgets)`, made again with other budgets where the image exceeds or wastes these.

    The plan of the result holds the measured costs and the budgets that were asked for.

    Args:
        latency: as in `measured_costs`.

    Raises:
        PlanError: if the image still exceeds a budget in the end.
    """
    allowed, best = _reserved(budgets), None
    ram = [budget.ram for budget in (*budgets, FULL)]
    for attempt in range(ATTEMPTS):
        nested = make(allowed)
        measured = measured_costs(nested, x, ram, latency)
        planned = nested.plan.costs
        wasted = _wasted(budgets, allowed, planned, measured)
        if not any(map(_excess, budgets, measured)) and (best is None or wasted < best[0]):
            best = wasted, _with_costs(nested, budgets, measured)
        if best and (wasted == 0 or not any(budget.needs_time for budget in budgets)):
            break
        allowed = _corrected(budgets, allowed, planned, measured, attempt)
    if best is None:
        raise _exceeded(budgets, measured)
    return best[1]


def _reserved(budgets: Sequence[Budget]) -> list[Budget]:
    return [_scale_times(budget, budget, 1 - RESERVE) for budget in budgets]


def _scale_times(budget: Budget, asked: Budget, factor: float) -> Budget:
    """`budget` with the times of `asked`, multiplied."""
    times = {kind: factor * asked.limits[kind] for kind in TIMES if kind in asked.limits}
    return replace(budget, **times)


def _excess(budget: Budget, costs: Costs) -> dict[str, float]:
    """What is over the budget, by kind."""
    kinds = [kind for kind in (*BYTES, *TIMES) if kind in budget.limits and kind in costs]
    over = {kind: costs[kind] - budget.limits[kind] for kind in kinds}
    return {kind: size for kind, size in over.items() if size > 0}


def _wasted(
    budgets: Sequence[Budget],
    allowed: Sequence[Budget],
    planned: Sequence[Costs],
    measured: Sequence[Costs],
) -> float:
    """Sum over the subnets of what is missing to FILLED although the plan used what it could."""
    missing = 0.0
    for budget, planner_s, plan, costs in zip(budgets, allowed, planned, measured, strict=False):
        shares = [costs[kind] / budget.limits[kind] for kind in TIMES if kind in budget.limits]
        used = [plan[kind] / planner_s.limits[kind] for kind in TIMES if kind in budget.limits]
        if shares and max(used) >= FILLED:
            missing += max(0.0, FILLED - max(shares))
    return missing


def _corrected(
    budgets: Sequence[Budget],
    allowed: Sequence[Budget],
    planned: Sequence[Costs],
    measured: Sequence[Costs],
    attempt: int,
) -> list[Budget]:
    """Bytes: lower by what was over, more each time, because what is left over is filled again.
    Times: by as much as the table was wrong for the widths of this plan, and a little more."""
    result: list[Budget] = []
    reserve = RESERVE * (2 + attempt)
    for asked, budget, plan, costs in zip(budgets, allowed, planned, measured, strict=False):
        over = {kind: size for kind, size in _excess(asked, costs).items() if kind in BYTES}
        lower_bytes = {k: getattr(budget, k) - 2**attempt * size for k, size in over.items()}
        if asked.needs_time:
            budget = _scale_times(budget, asked, (1 - reserve) * plan["ms"] / costs["ms"])
        result.append(replace(budget, **lower_bytes))
    for k in reversed(range(len(result) - 1)):  # the planner's budgets must rise
        own, following = result[k].limits, result[k + 1].limits
        shared = [kind for kind in TIMES if kind in own and kind in following]
        result[k] = replace(result[k], **{t: min(own[t], following[t]) for t in shared})
    return result


def _exceeded(budgets: Sequence[Budget], measured: Sequence[Costs]) -> PlanError:
    subnet, worst = next((k, e) for k, e in enumerate(map(_excess, budgets, measured)) if e)
    text = ", ".join(f"{size:g} {'B of ' * (kind in BYTES)}{kind}" for kind, size in worst.items())
    return PlanError(
        f"The image of subnet {subnet} exceeds {budgets[subnet]} by {text}, after {ATTEMPTS} plans "
        "too. Lower that budget."
    )


def _with_costs(
    nested: NestedModel, budgets: Sequence[Budget], measured: Sequence[Costs]
) -> NestedModel:
    plan = nested.plan
    costs = tuple({**own, **found} for own, found in zip(plan.costs, measured, strict=True))
    nested.plan = replace(plan, costs=costs, limits=(*budgets, FULL))
    return nested
