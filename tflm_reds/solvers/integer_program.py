"""The width problem as a mixed-integer linear program, for any graph and any terms.

Width of a group = its narrowest width + m, m = sum_k step_k u_k with binary, descending u_k.
The product of two widths (a layer between two groups) becomes linear with one t_j for each step of
the second group: t_j >= m - M (1 - u_j), t_j >= 0, where M is the largest m of the first group.
(The paper's program has this form for every single kernel; its supplement, constraints 5 and 6.)
Any other cost of two groups (a latency table) gets one variable for each pair of steps.
"""

from itertools import pairwise

import numpy as np
from scipy.sparse import csc_array

from tflm_reds.errors import PlanError
from tflm_reds.solvers.problem import Limit, MacTerm, Term, WidthProblem

Row = dict[int, float]
"""Coefficients by column, of an expression that must not be positive."""


class IntegerProgram:
    """Columns: a constant 1; u of each group; then what products and tables need."""

    def __init__(self, problem: WidthProblem):
        self.problem = problem
        self.objective: list[float] = []
        self.binary: list[bool] = []
        self.rows: list[Row] = []
        # The constant belongs into the objective, or the relative gap would mean something else.
        self.one = self._columns([sum(-float(u[0]) for u in problem.utilities.values())], False)[0]
        self.units = {group: self._add_group(group) for group in problem.widths}
        self.extents: dict[str, int] = {}
        self.products: dict[tuple[str, str], range] = {}
        for limit in problem.limits:
            for terms in [[term] for term in limit.terms] if limit.peak else [limit.terms]:
                self._add_limit(limit, terms)

    def _columns(self, objective, binary: bool) -> range:
        start = len(self.objective)
        self.objective.extend(objective)
        self.binary.extend([binary] * len(objective))
        return range(start, len(self.objective))

    def _add_group(self, group: str) -> range:
        units = self._columns(-np.diff(self.problem.utilities[group]), True)
        self.rows += [{b: 1, a: -1} for a, b in pairwise(units)]
        return units

    def _add_limit(self, limit: Limit, terms) -> None:
        row: Row = {self.one: -limit.capacity}
        for term in terms:
            self._add_term(row, term)
        largest = max(map(abs, row.values())) or 1
        self.rows.append({column: value * 1e4 / largest for column, value in row.items()})

    def _add_term(self, row: Row, term: Term) -> None:
        groups = list(dict.fromkeys(term.groups))
        if len(groups) == 2 and isinstance(term, MacTerm):
            self._add_product(row, groups[0], groups[1], term.coefficient)
            return
        alone = [self._alone(term, group) for group in groups]
        least = int(term.cost(*(int(self.problem.widths[g][0]) for g in term.groups)))
        _spend(row, self.one, least)
        for group, costs in zip(groups, alone, strict=True):
            for unit, cost in zip(self.units[group], np.diff(costs), strict=True):
                _spend(row, unit, int(cost))
        if len(groups) > 1 and not getattr(term, "separable", False):
            self._add_table(row, term, groups)

    def _alone(self, term: Term, group: str) -> np.ndarray:
        """Cost of `term` at each width of `group`, all others at their narrowest."""
        widths = self.problem.widths
        costs = term.cost(*(widths[g] if g == group else widths[g][:1] for g in term.groups))
        return np.broadcast_to(costs, widths[group].shape)

    def _add_product(self, row: Row, first: str, second: str, coefficient: int) -> None:
        """coefficient * (a + m)(b + sum_j step_j u_j), a and b the narrowest widths."""
        a, b = (int(self.problem.widths[group][0]) for group in (first, second))
        if (first, second) not in self.products:
            self.products[first, second] = self._make_product(first, second)
        _spend(row, self.one, coefficient * a * b)
        _spend(row, self._extent(first), coefficient * b)
        steps = np.diff(self.problem.widths[second]).tolist()
        columns = zip(self.units[second], self.products[first, second], steps, strict=True)
        for unit, t, step in columns:
            _spend(row, unit, coefficient * a * step)
            _spend(row, t, coefficient * step)

    def _make_product(self, first: str, second: str) -> range:
        m = self._extent(first)
        allowed = self.problem.widths[first]
        largest = int(allowed[-1] - allowed[0])
        products = self._columns(np.zeros(len(self.units[second])), False)
        for unit, t in zip(self.units[second], products, strict=True):
            self.rows.append({m: 1, unit: largest, t: -1, self.one: -largest})
        return products

    def _extent(self, group: str) -> int:
        """The column m of a group: its width less the narrowest one."""
        if group not in self.extents:
            (m,) = self._columns([0.0], False)
            steps = np.diff(self.problem.widths[group]).tolist()
            self.rows.append({m: -1} | dict(zip(self.units[group], steps, strict=True)))
            self.extents[group] = m
        return self.extents[group]

    def _add_table(self, row: Row, term: Term, groups: list[str]) -> None:
        """What a cost of two groups has beyond the sum of its parts: one z for u_i v_j."""
        if len(groups) > 2:
            raise PlanError(
                f"Layer {term.layer!r} costs something that depends on {len(groups)} groups at "
                f"once ({', '.join(groups)}); HiGHS takes two. Plan with solver='exact'."
            )
        first, second = (self.problem.widths[group] for group in groups)
        axes = {groups[0]: first[:, None], groups[1]: second[None, :]}
        table = np.broadcast_to(
            term.cost(*(axes[g] for g in term.groups)), (len(first), len(second))
        )
        bends = np.diff(np.diff(table, axis=0), axis=1)
        for i, j in np.argwhere(bends):
            u, v = self.units[groups[0]][i], self.units[groups[1]][j]
            (z,) = self._columns([0.0], False)
            _spend(row, z, int(bends[i, j]))
            if bends[i, j] > 0:
                self.rows.append({u: 1, v: 1, z: -1, self.one: -1})
            else:
                self.rows += [{z: 1, u: -1}, {z: 1, v: -1}]

    def arguments(self) -> dict:
        """What `highs_child.py` takes, but for the options; HiGHS minimises."""
        entries = [(r, c, v) for r, row in enumerate(self.rows) for c, v in row.items()]
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
            "at_most": np.zeros(len(self.rows)),
        }

    def widths(self, x: np.ndarray) -> dict[str, int]:
        """The widths that a solution vector stands for."""
        return {
            group: int(allowed[np.round(x[self.units[group]]).astype(int).sum()])
            for group, allowed in self.problem.widths.items()
        }


def _spend(row: Row, column: int, cost: int) -> None:
    row[column] = row.get(column, 0) + cost
