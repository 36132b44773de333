"""How the channels of one tensor axis belong to channel groups.

An axis is a row of *parts*, one for each branch that a Concatenate put there. A part holds the
units of one group, and every unit is a block of neighbouring channels: one channel after a
convolution, m after a depthwise convolution of multiplier m, head_dim in attention.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import accumulate
from math import lcm

import numpy as np


@dataclass(frozen=True)
class Part:
    """Neighbouring channels of one group: channel = unit * block + j.

    Attributes:
        group: name of the channel group; None if the channels are never cut.
        size: units of the full network.
        block: channels of each unit.
    """

    group: str | None
    size: int
    block: int = 1

    @property
    def channels(self) -> int:
        """Channels of the full network."""
        return self.size * self.block

    def active(self, widths: Mapping[str, int]) -> int:
        """Channels that remain when the group is cut to its width."""
        return self.channels if self.group is None else widths[self.group] * self.block


Parts = tuple[Part, ...]


@dataclass(frozen=True)
class Axis:
    """One axis of one weight array that belongs to channel groups.

    Attributes:
        weight, axis: which array, and which of its axes.
        parts: the axis's channels.
        positions: > 1 if the axis is position-major, index = position * channels + channel
            (a Dense after Flatten).
        makes: the weights on this axis make the units (count for their importance), rather than
            read them.
    """

    weight: str
    axis: int
    parts: Parts
    positions: int = 1
    makes: bool = False

    def indices(self, units: Mapping[str, np.ndarray]) -> np.ndarray:
        """What to keep of the axis, in order, to keep `units[group]` of every group named."""
        starts = accumulate((part.channels for part in self.parts[:-1]), initial=0)
        kept = [
            start + _unit_channels(part, units)
            for start, part in zip(starts, self.parts, strict=True)
        ]
        channels = sum(part.channels for part in self.parts)
        positions = np.arange(self.positions)[:, None] * channels
        return (positions + np.concatenate(kept)).ravel()

    def per_unit(self, values: np.ndarray, group: str) -> np.ndarray:
        """Sum `values` [channels] of the axis over the channels of each unit of `group`: [size]."""
        ends = np.cumsum([part.channels for part in self.parts])
        pieces = zip(self.parts, np.split(values, ends[:-1]), strict=True)
        return sum(v.reshape(p.size, p.block).sum(1) for p, v in pieces if p.group == group)


def _unit_channels(part: Part, units: Mapping[str, np.ndarray]) -> np.ndarray:
    if part.group not in units:
        return np.arange(part.channels)
    return (np.asarray(units[part.group])[:, None] * part.block + np.arange(part.block)).ravel()


def uncut(channels: int) -> Parts:
    """An axis whose channels are never cut."""
    return (Part(None, channels),)


def repeated(parts: Parts, multiplier: int) -> Parts:
    """Every channel becomes `multiplier` neighbouring ones (depthwise convolution)."""
    return substitute(tuple(Part(p.group, p.size, p.block * multiplier) for p in parts), {})


def joined(axes: Sequence[Parts]) -> Parts:
    """The axes one after the other (Concatenate)."""
    return substitute(tuple(part for parts in axes for part in parts), {})


def substitute(parts: Parts, replacements: Mapping[str, Part]) -> Parts:
    """Exchange groups: a unit of `group` becomes `replacements[group].block` channels of a unit
    of the replacement's group. Uncut neighbours become one part.
    """
    result: list[Part] = []
    for part in parts:
        new = replacements.get(part.group, Part(part.group, part.size))
        if new.group is not None:
            result.append(Part(new.group, new.size, new.block * part.block))
        elif result and result[-1].group is None:
            result[-1] = Part(None, result[-1].size + part.channels)
        else:
            result.append(Part(None, part.channels))
    return tuple(result)


def unify(first: Parts, second: Parts, groups: Sequence[str]) -> dict[str, Part]:
    """Replacements that bring two different axes a step closer to having the same parts (Add).

    Two groups become one, called like the first of them in `groups`, whose units are blocks large
    enough for both; a group beside channels that are never cut is not cut either; nor are the
    groups of axes that are divided otherwise.
    """
    if [part.channels for part in first] != [part.channels for part in second]:
        return released(first + second)
    a, b = next((a, b) for a, b in zip(first, second, strict=True) if a != b)
    if a.group is None or b.group is None:
        return released((a, b))
    block = lcm(a.block, b.block)
    size = a.channels // block
    name = min(a.group, b.group, key=groups.index)
    return {part.group: Part(name, size, block // part.block) for part in (a, b)}


def released(parts: Parts) -> dict[str, Part]:
    """Replacements that make the groups of `parts` uncut."""
    return {part.group: Part(None, part.size) for part in parts if part.group is not None}
