"""Chooses the counter: compiled hooks where a host compiler is found, else Python hooks."""

import unicorn

from tflm_reds.boards.schema import Memory, Timing
from tflm_reds.errors import ToolchainError
from tflm_reds.sim.compiled_counter import CompiledCounter
from tflm_reds.sim.op_table import OpTable
from tflm_reds.sim.python_counter import PythonCounter


def make_counter(
    engine: unicorn.Uc,
    flash: Memory,
    ops: OpTable,
    timing: Timing = Timing(),
) -> CompiledCounter | PythonCounter:
    """The compiled counter, or the Python one where no host compiler is found.

    Args:
        flash: region whose data reads are counted.
        ops: the ops to tell apart.
        timing: tells the instruction cache.
    """
    try:
        return CompiledCounter(engine, flash, ops, timing)
    except (ToolchainError, ImportError):
        return PythonCounter(engine, flash, ops, timing)
