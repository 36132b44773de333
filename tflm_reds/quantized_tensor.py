"""QuantTensor: one int8 activation tensor and the channels that each subnet keeps."""

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class QuantPart:
    """Consecutive channels, of which each subnet keeps the first ones.

    Attributes:
        size: channels of the full network.
        channels: active channels of each subnet, smallest subnet first.
    """

    size: int
    channels: tuple[int, ...]


@dataclass(frozen=True)
class QuantTensor:
    """One int8 activation tensor; scale and zero point are the same for all subnets.

    Attributes:
        name: unique in the net.
        shape: full shape without the batch: (height, width, channels) or (features,).
        scale: a float32 value; real = (int8 - zero_point) * scale.
        channels: active channels of each subnet, smallest subnet first.
        positions: for a flattened tensor, the spatial positions: features = positions * channels,
            in TFLM's order (position-major: feature = position * channels + channel).
        parts: what a concatenation put side by side; empty where the active channels are a prefix.
    """

    name: str
    shape: tuple[int, ...]
    scale: float
    zero_point: int
    channels: tuple[int, ...]
    positions: int = 1
    parts: tuple[QuantPart, ...] = ()

    @property
    def full_channels(self) -> int:
        """Channels of the full network."""
        return self.shape[-1] // self.positions

    @property
    def size(self) -> int:
        """Elements (= bytes) of the full tensor."""
        return int(np.prod(self.shape))

    @property
    def is_cut(self) -> bool:
        """Whether some subnet leaves channels out."""
        return any(channels != self.full_channels for channels in self.channels)

    def active_shape(self, subnet: int) -> tuple[int, ...]:
        """Shape of this tensor in the stand-alone slice of `subnet`."""
        return (*self.shape[:-1], self.channels[subnet] * self.positions)

    def active(self, subnet: int) -> np.ndarray:
        """Indices of the channels that `subnet` keeps, ascending."""
        return np.flatnonzero(self.levels <= subnet)

    @property
    def levels(self) -> np.ndarray:
        """For each channel of the full network, the smallest subnet that keeps it."""
        return np.concatenate([_levels(part) for part in self._parts])

    def take(self, array: np.ndarray, subnet: int, axis: int) -> np.ndarray:
        """The active channels of `subnet` along one axis of `array`; a view if it can be."""
        if self.parts:
            return np.take(array, self.active(subnet), axis)
        prefix = slice(self.channels[subnet])
        return array[(slice(None),) * (axis % array.ndim) + (prefix,)]

    @property
    def _parts(self) -> tuple[QuantPart, ...]:
        return self.parts or (QuantPart(self.full_channels, self.channels),)


def join_parts(tensors: list[QuantTensor]) -> tuple[QuantPart, ...]:
    """Parts of the tensors side by side; a flattened one repeats its parts at each position."""
    parts = [part for tensor in tensors for part in tensor._parts * tensor.positions]
    return tuple(parts) if any(tensor.is_cut for tensor in tensors) else ()


def repeat_parts(parts: tuple[QuantPart, ...], times: int) -> tuple[QuantPart, ...]:
    """Parts after a depthwise convolution that makes `times` channels of each."""
    return tuple(
        QuantPart(part.size * times, tuple(channels * times for channels in part.channels))
        for part in parts
    )


def keep_parts(parts: tuple[QuantPart, ...], subnets: tuple[int, ...]) -> tuple[QuantPart, ...]:
    """Parts of the network of some subnets, ascending, cut to the largest of them."""
    kept = [
        QuantPart(part.channels[subnets[-1]], tuple(part.channels[k] for k in subnets))
        for part in parts
        if part.channels[subnets[-1]]
    ]
    return tuple(kept) if any(set(part.channels) != {part.size} for part in kept) else ()


def _levels(part: QuantPart) -> np.ndarray:
    return np.searchsorted(part.channels, np.arange(part.size), side="right")
