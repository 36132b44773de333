"""Fold a table activation into the linear op before it: one op and one tensor less.

The kernel looks up what it would have stored: every int8 value of the op list is still computed,
so the result stays the same, byte for byte.
"""

from dataclasses import replace

from tflm_reds.codegen.program import Op, Program
from tflm_reds.element_wise import TABLES


def fuse_lookup(program: Program) -> Program:
    """Remove each table op that is the only reader of a linear op; tables in a row become one."""
    for op in program.ops:
        if op.kind in TABLES:
            program = _fuse(program, op)
    return program


def _fuse(program: Program, op: Op) -> Program:
    readers = [reader for reader in program.ops if op.source in reader.sources]
    linear = [maker for maker in program.ops if maker.target == op.source and maker.tables]
    if not linear or len(readers) > 1 or op.source == program.output:
        return program
    ops = tuple(_join(o, op) if o is linear[0] else o for o in program.ops if o is not op)
    edges = {name: edge for name, edge in program.edges.items() if name != op.source}
    return replace(program, ops=ops, edges=edges)


def _join(linear: Op, op: Op) -> Op:
    table = op.lookup if linear.lookup is None else op.lookup[linear.lookup.astype(int) + 128]
    return replace(linear, name=f"{linear.name} + {op.name}", target=op.target, lookup=table)
