"""What the TFLM tests share: the pinned wheels and the custom ops built for each."""

from functools import cache
from pathlib import Path

import pytest

from tflm_reds.codegen.tflm.library import cached_custom_ops
from tflm_reds.errors import ToolchainError
from tflm_reds.tflm_wheel import PINS, Wheel, find_wheel


@cache
def _found(version: str) -> Wheel | str:
    try:
        return find_wheel(version)
    except ToolchainError as error:
        return str(error)


def pinned_wheel(version: str = PINS[0]) -> Wheel:
    """The installed wheel; skips the test if pip cannot provide it."""
    wheel = _found(version)
    if isinstance(wheel, str):
        pytest.skip(wheel)
    return wheel


@cache
def custom_ops(abi: int) -> Path:
    """The library of custom ops, built once for all tests of these sources."""
    return cached_custom_ops(abi)
