"""Slower kernels with less scratch, for the ops during which the arena would exceed its limit."""

from dataclasses import replace

from tflm_reds.codegen.passes.plan_arena import needed_bytes, plan_arena
from tflm_reds.codegen.passes.select_kernels import scratch_candidates, smaller_kernels
from tflm_reds.codegen.program import Op, Program


def save_scratch(program: Program, limit: int) -> Program:
    """The program with other kernels where its arena would exceed `limit` bytes.

    Each op keeps its kernel unless tensors and scratch during it need more. It gets the fastest one
    that needs no more than the limit; else the one that needs least. The program stays as it is if
    its arena gets no smaller.
    """
    saved = program
    for time, needed in enumerate(needed_bytes(program)):
        if needed > limit:
            saved = _save(saved, time, needed, limit)
    sizes = [plan_arena(one, 1.0, limit).arena_sizes[-1] for one in (program, saved)]
    return saved if sizes[1] < sizes[0] else program


def _save(program: Program, time: int, needed: int, limit: int) -> Program:
    """The program with another kernel for op number `time`, which needs `needed` bytes."""
    best = program
    for kernel in smaller_kernels(program, program.ops[time]):
        trial = _with_kernel(program, time, kernel)
        if (trial_needs := needed_bytes(trial)[time]) < needed:
            best, needed = trial, trial_needs
        if needed <= limit:
            break
    return best


def _with_kernel(program: Program, time: int, kernel: str) -> Program:
    op: Op = replace(program.ops[time], kernel=kernel)
    op = replace(op, scratch_candidates=scratch_candidates(program, op))
    return replace(program, ops=(*program.ops[:time], op, *program.ops[time + 1 :]))
