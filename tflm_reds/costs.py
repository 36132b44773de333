"""Costs: terms of all that a budget may limit, and the limits of one subnet among the others."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction

from tflm_reds.budget import Budget
from tflm_reds.errors import PlanError
from tflm_reds.solvers.problem import Limit, MacTerm, Term, count, count_macs

_WAYS = {
    "ms": "latency=LatencyTable.load(...)",
    "uj": "latency=LatencyTable.load(...), of a board whose current is documented",
}
NANOSECONDS = 1_000_000  # in a millisecond: times are integers to the solvers
Widths = Mapping[str, int]


@dataclass(frozen=True)
class Costs:
    """What a network costs as a function of its widths; empty where nobody asked.

    Attributes:
        macs: true MACs.
        label: MACs as the paper counts them.
        ram: bytes that are live at once in the arena, a term for each op; the largest counts.
        weights: bytes of weights and of what all subnets share.
        tables: bytes of the tables that each subnet adds.
        time: nanoseconds of each layer.
        power_mw: of the board while it computes; None where nobody knows it.
    """

    macs: tuple[MacTerm, ...]
    label: tuple[Term, ...] = ()
    ram: tuple[Term, ...] = ()
    weights: tuple[Term, ...] = ()
    tables: tuple[Term, ...] = ()
    time: tuple[Term, ...] = ()
    power_mw: float | None = None

    def measure(self, widths: Sequence[Widths]) -> tuple[dict[str, float], ...]:
        """Costs of nested subnets, by kind of budget; kinds without terms are left out."""
        return tuple(self._measure_one(widths[: k + 1]) for k in range(len(widths)))

    def _measure_one(self, nested: Sequence[Widths]) -> dict[str, float]:
        widths = nested[-1]
        tables = sum(count(self.tables, smaller) for smaller in nested)
        peak = Limit("", 0, self.ram, peak=True).cost(widths)
        found = {
            "label": (self.label, count(self.label, widths)),
            "ram": (self.ram, peak),
            "flash": (self.weights, count(self.weights, widths) + tables),
            "ms": (self.time, count(self.time, widths) / NANOSECONDS),
        }
        costs = {kind: value for kind, (terms, value) in found.items() if terms}
        if self.time and self.power_mw:
            costs["uj"] = costs["ms"] * self.power_mw
        return costs


@dataclass(frozen=True)
class LimitMaker:
    """Makes the limits of each subnet from the budgets.

    Attributes:
        costs: of the network.
        budgets: of the subnets below the full network, smallest first.
        sizes: full widths.
    """

    costs: Costs
    budgets: tuple[Budget, ...]
    sizes: Widths

    def limits(self, subnet: int, known: Mapping[int, Widths], alone: bool = False) -> tuple:
        """Limits of `subnet` when the widths of the `known` subnets are decided.

        A limit of a larger subnet holds for a smaller one too, which is part of it. An image holds
        the tables of all its subnets: those not decided yet are counted as wide as this one.

        Args:
            alone: as if there were no other subnets.
        """
        makers: dict[str, Callable[[float], Limit]] = {
            "macs": lambda share: Limit(
                "MACs", _part(share, count_macs(self.costs.macs, self.sizes)), self.costs.macs
            ),
            "label": lambda share: Limit(
                "label MACs", round(share * self._full(self.costs.label)), self.costs.label
            ),
            "ram": lambda size: Limit("B of RAM", int(size), self.costs.ram, peak=True),
            "ms": lambda ms: Limit("ns", int(ms * NANOSECONDS), self.costs.time),
            "uj": lambda uj: Limit(
                "ns", int(uj / self.costs.power_mw * NANOSECONDS), self.costs.time
            ),
        }
        later = self.budgets[subnet : subnet + 1] if alone else self.budgets[subnet:]
        found = []
        for kind, make in makers.items():
            asked = [b.limits[kind] for b in later if kind in b.limits]
            found += [make(min(asked))] if asked else []
        flash = [self._flash(subnet, j, known, alone) for j in range(subnet, subnet + len(later))]
        return (*found, *filter(None, flash))

    def _full(self, terms: tuple[Term, ...]) -> int:
        return count(terms, self.sizes)

    def _flash(
        self, subnet: int, image: int, known: Mapping[int, Widths], alone: bool
    ) -> Limit | None:
        """What `subnet` may add to the image that is cut to the subnets 0 to `image`."""
        capacity = self.budgets[image].flash
        if capacity is None:
            return None
        others = [] if alone else [j for j in range(image + 1) if j != subnet]
        capacity -= sum(count(self.costs.tables, known[j]) for j in others if j in known)
        alike = 1 + sum(j not in known for j in others)
        terms: tuple[Term, ...] = tuple(Repeated(term, alike) for term in self.costs.tables)
        if image == subnet or image not in known:
            terms += self.costs.weights
        else:
            capacity -= count(self.costs.weights, known[image])
        return Limit("B of flash", capacity, terms)

    def require_terms(self) -> None:
        """Raise PlanError if a budget limits what the costs do not tell."""
        given = {
            "label": self.costs.label,
            "ram": self.costs.ram,
            "flash": self.costs.weights,
            "ms": self.costs.time,
            "uj": self.costs.time and self.costs.power_mw,
        }
        for kind in {kind for budget in self.budgets for kind in budget.limits}:
            if not given.get(kind, True):
                way = _WAYS.get(kind, "network_costs(graph)")
                raise PlanError(f"A budget limits {kind}, but its costs are not known: give {way}.")


@dataclass(frozen=True)
class Repeated:
    """`times` the cost of `term`."""

    term: Term
    times: int

    @property
    def layer(self) -> str:
        return self.term.layer

    @property
    def groups(self) -> tuple[str, ...]:
        return self.term.groups

    def cost(self, *widths):
        return self.times * self.term.cost(*widths)


def _part(share: float, whole: int) -> int:
    """A share, rounded down; 0.29 means 29/100, not the nearest double."""
    return int(Fraction(repr(float(share))) * whole)
