"""RAM and flash of the generated image, and budgets tightened until it keeps them.

The planner models both (`network_costs`); what the code generator makes of a plan is the truth.
"""

from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np

from tflm_reds.budget import FULL, Budget
from tflm_reds.codegen.lower import lower
from tflm_reds.codegen.program import arena_bytes, flash_bytes
from tflm_reds.errors import PlanError
from tflm_reds.nested_model import NestedModel
from tflm_reds.plan import Plan
from tflm_reds.quantization import quantize

ATTEMPTS = 8
SAMPLES = 8  # neither cost depends on the inputs' values
KINDS = ("ram", "flash")


def measured_costs(
    nested: NestedModel, x: np.ndarray, ram: Sequence[int | None] | None = None
) -> tuple[dict[str, int], ...]:
    """Bytes of the arena ("ram") and of constant data ("flash") of an image cut to each subnet.

    Args:
        ram: limits, as `lower` takes them.
    """
    program = lower(quantize(nested, x[:SAMPLES], ranges="minmax"), ram=ram)
    return tuple(
        {"ram": arena_bytes(program, k), "flash": sum(flash_bytes(program, k).values())}
        for k in range(program.subnet_count)
    )


def keep_limits(
    make: Callable[[Sequence[Budget]], NestedModel], budgets: Sequence[Budget], x: np.ndarray
) -> NestedModel:
    """`make(budgets)`, made again with lower budgets where the image exceeds them.

    The plan of the result holds the measured costs and the budgets that were asked for.

    Raises:
        PlanError: if the image still exceeds a budget in the end.
    """
    allowed = list(budgets)
    for attempt in range(ATTEMPTS):
        nested = make(allowed)
        measured = measured_costs(nested, x, [budget.ram for budget in (*budgets, FULL)])
        excess = [_excess(*pair) for pair in zip(budgets, measured, strict=False)]
        if not any(excess):
            return _with_costs(nested, budgets, measured)
        # By more each time: what is left over would be filled again.
        allowed = [_lower(*pair, 2**attempt) for pair in zip(allowed, excess, strict=True)]
    subnet, worst = next((k, e) for k, e in enumerate(excess) if e)
    raise PlanError(
        f"The image of subnet {subnet} exceeds {budgets[subnet]} by {worst} B, after {ATTEMPTS} "
        "plans too: its tensors do not fit together. Lower that budget."
    )


def _excess(budget: Budget, costs: dict[str, int]) -> dict[str, int]:
    """Bytes over the budget, by kind."""
    over = {kind: costs[kind] - budget.limits.get(kind, costs[kind]) for kind in KINDS}
    return {kind: size for kind, size in over.items() if size > 0}


def _lower(budget: Budget, excess: dict[str, int], times: int) -> Budget:
    lower = {kind: getattr(budget, kind) - times * size for kind, size in excess.items()}
    return replace(budget, **lower)


def _with_costs(
    nested: NestedModel, budgets: Sequence[Budget], measured: tuple[dict[str, int], ...]
) -> NestedModel:
    plan: Plan = nested.plan
    costs = tuple(own | found for own, found in zip(plan.costs, measured, strict=True))
    nested.plan = replace(plan, costs=costs, limits=(*budgets, FULL))
    return nested
