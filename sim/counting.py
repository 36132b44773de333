"""Chooses the counter: compiled hooks where a host compiler is found, else Python hooks."""

from collections.abc import Sequence

import unicorn

from tflm_reds.boards.schema import Memory
from tflm_reds.errors import ToolchainError
from tflm_reds.sim.compiled_counter import CompiledCounter
from tflm_reds.sim.python_counter import PythonCounter


def make_counter(
    engine: unicorn.Uc, code: Memory, flash: Memory, ops: Sequence[int]
) -> CompiledCounter | PythonCounter:
    """The compiled counter, or the Python one where no host compiler is found.

    Args:
        code: region of the image's code.
        flash: region whose data reads are counted.
        ops: address of each op function, in order.
    """
    try:
        return CompiledCounter(engine, code, flash, ops)
    except (ToolchainError, ImportError):
        return PythonCounter(engine, code, flash, ops)
