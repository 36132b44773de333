"""Lagrangian relaxation of a chain: the budget becomes a price on every MAC.

At price `p` the best choice of utility - p * MACs is a longest path (Viterbi, O(groups * widths
squared)), and that optimum + p * capacity bounds the utility of every choice within the budget.
"""

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from tflm_reds.solvers.chain import Chain


@dataclass(frozen=True)
class Priced:
    """A chain with a price on every MAC.

    Attributes:
        chain: the chain.
        price: utility per MAC, at least 0.
    """

    chain: Chain
    price: float

    @cached_property
    def rewards(self) -> list[np.ndarray]:
        """Per group, utility less the price of its own MACs, for each allowed width."""
        return [
            v - self.price * c for v, c in zip(self.chain.values, self.chain.costs, strict=True)
        ]

    @cached_property
    def before(self) -> list[np.ndarray]:
        """Per group and width, the best total of the groups before it."""
        best = [np.zeros(len(self.chain.widths[0]))]
        for i, rewards in enumerate(self.rewards[:-1]):
            best.append((best[i] + rewards + self._coupling(i).T).max(axis=1))
        return best

    @cached_property
    def after(self) -> list[np.ndarray]:
        """Per group and width, the best total of the groups after it."""
        return Priced(self.chain.reversed, self.price).before[::-1]

    def _coupling(self, i: int) -> np.ndarray:
        """Priced MACs between groups i (rows) and i + 1 (columns), negative."""
        left, right = self.chain.widths[i : i + 2]
        return np.outer(left * (-self.price * self.chain.couplings[i]), right)

    def best_choice(self) -> list[int]:
        """The choice of most utility - price * MACs; the smallest widths among equals."""
        choice = [int(np.argmax(self.before[-1] + self.rewards[-1]))]
        for i in range(len(self.chain) - 2, -1, -1):
            column = self._coupling_column(i, choice[0])
            choice.insert(0, int(np.argmax(self.before[i] + self.rewards[i] + column)))
        return choice

    def _coupling_column(self, i: int, index: int) -> np.ndarray:
        width = int(self.chain.widths[i + 1][index])
        return self.chain.widths[i] * (-self.price * self.chain.couplings[i] * width)

    def bounds(self) -> list[np.ndarray]:
        """Per group and width, no choice with this width and within budget has more utility."""
        allowance = self.price * self.chain.capacity
        return [
            b + r + a + allowance
            for b, r, a in zip(self.before, self.rewards, self.after, strict=True)
        ]


@dataclass(frozen=True)
class Dual:
    """The price at which the bound is lowest.

    Attributes:
        price: utility per MAC.
        bound: upper bound of the utility within the budget.
        choice: a feasible choice, found on the way.
    """

    price: float
    bound: float
    choice: list[int]


def solve_dual(chain: Chain) -> Dual:
    """Minimise the Lagrangian bound; the narrowest widths must fit the budget.

    The bound is the upper envelope of one line per choice. Its lowest point lies between a line
    that falls (a choice over budget) and one that rises: intersect the two, replace one of them by
    the line on top there, until none is higher.
    """
    over = Priced(chain, 0.0).best_choice()
    if chain.total(over)[1] <= chain.capacity:
        return Dual(0.0, chain.total(over)[0], over)
    under = [0] * len(chain)
    while True:
        (value, cost), (high_value, high_cost) = chain.total(under), chain.total(over)
        price = max(0.0, (high_value - value) / (high_cost - cost))
        crossing = value - price * cost
        choice = Priced(chain, price).best_choice()
        new_value, new_cost = chain.total(choice)
        top = new_value - price * new_cost
        tolerance = 1e-12 * (abs(value) + price * cost)
        if top <= crossing + tolerance or choice in (under, over):
            return Dual(price, max(top, crossing) + price * chain.capacity, under)
        if new_cost <= chain.capacity:
            under = choice
        else:
            over = choice
