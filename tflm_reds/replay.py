"""Replays a trace of requests under the governor, every static choice, and an oracle."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise

from tflm_reds.codegen.governor.files import SubnetCost
from tflm_reds.codegen.governor.library import Governor
from tflm_reds.traces import Request

Chooser = Callable[[Request], int]
"""The subnet for a request."""


@dataclass(frozen=True)
class Device:
    """A device to replay on.

    Attributes:
        costs: of each subnet, in their order, as modelled.
        slowdown: true time and energy of every inference over the modelled.
        accuracies: fractions; None where there was no test data.
    """

    costs: tuple[SubnetCost, ...]
    accuracies: tuple[float | None, ...]
    slowdown: float = 1.0

    def time_us(self, subnet: int) -> int:
        """What an inference really takes."""
        return round(self.costs[subnet].time_us * self.slowdown)

    def energy_uj(self, subnet: int) -> int:
        """Likewise."""
        return round(self.costs[subnet].energy_uj * self.slowdown)

    def keeps(self, request: Request, subnet: int) -> bool:
        """Whether an inference of `subnet` is in time and within its energy."""
        late = request.deadline_us is not None and self.time_us(subnet) > request.deadline_us
        dear = request.energy_uj is not None and self.energy_uj(subnet) > request.energy_uj
        return not late and not dear


@dataclass(frozen=True)
class Outcome:
    """What one policy made of a trace.

    Attributes:
        policy: "governor", "oracle", or "static 0", "static 1", ...
        subnets: chosen for each request.
        misses: requests whose limit of time or energy was not kept.
        accuracy: expected, of all requests, a missed one counting as wrong; None if not measured.
        accuracy_in_time: of those that were kept; None if there is none.
        energy_mj: of all inferences.
        switches: changes of the subnet.
    """

    policy: str
    subnets: tuple[int, ...]
    misses: int
    accuracy: float | None
    accuracy_in_time: float | None
    energy_mj: float
    switches: int


def governed(governor: Governor, device: Device) -> Chooser:
    """The governor, which is told what each inference took."""

    def choose(request: Request) -> int:
        subnet = governor.choose(**request.limits)
        governor.measured(subnet, device.time_us(subnet))
        return subnet

    return choose


def oracle(device: Device) -> Chooser:
    """Knows the true costs: the most accurate that keeps the limits (else the cheapest).

    Of a battery it knows nothing.
    """
    order = sorted(range(len(device.costs)), key=lambda k: (device.accuracies[k] or 0, k))

    def choose(request: Request) -> int:
        fitting = [k for k in order if device.keeps(request, k)]
        return fitting[-1] if fitting else 0

    return choose


def replay(policy: str, choose: Chooser, trace: Sequence[Request], device: Device) -> Outcome:
    """Ask `choose` for a subnet at every request."""
    subnets = tuple(map(choose, trace))
    kept = [k for request, k in zip(trace, subnets, strict=True) if device.keeps(request, k)]
    right = None
    if None not in device.accuracies:
        right = sum(device.accuracies[k] for k in kept)
    return Outcome(
        policy=policy,
        subnets=subnets,
        misses=len(subnets) - len(kept),
        accuracy=None if right is None else right / len(subnets),
        accuracy_in_time=right / len(kept) if kept and right is not None else None,
        energy_mj=sum(map(device.energy_uj, subnets)) / 1000,
        switches=sum(before != after for before, after in pairwise(subnets)),
    )


def replay_all(trace: Sequence[Request], device: Device, governor: Governor) -> tuple[Outcome, ...]:
    """The governor, every static choice, the oracle."""
    static = {f"static {k}": lambda _, k=k: k for k in range(len(device.costs))}
    policies = {"governor": governed(governor, device), **static, "oracle": oracle(device)}
    return tuple(replay(name, choose, trace, device) for name, choose in policies.items())
