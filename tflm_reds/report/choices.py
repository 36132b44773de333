"""What was chosen for each op, and why."""

from tflm_reds.codegen.lower import SLACK
from tflm_reds.codegen.passes.select_kernels import Candidate
from tflm_reds.codegen.program import Edge, Memory, Op, Program
from tflm_reds.codegen.tuning.tune import Tuning, faster, relative_cost
from tflm_reds.report.model import Alternative, OpChoice


def choices_of(program: Program, tuning: Tuning, optimize: str) -> tuple[OpChoice, ...]:
    """The choice of each op of `program`, in order."""
    return tuple(_choice(program, tuning, optimize, op) for op in program.ops)


def _choice(program: Program, tuning: Tuning, optimize: str, op: Op) -> OpChoice:
    edges, measured = program.edges, tuning.measured.get(op.name, {})
    return OpChoice(
        name=op.name,
        kernel=op.kernel,
        why_kernel=_why_kernel(tuning, op),
        candidates=tuple(
            Alternative(one.kernel, one.scratch_bytes, costs) for one, costs in measured.items()
        ),
        scratch_bytes=op.scratch_bytes,
        scratch_candidates=op.scratch_candidates,
        why=_why_scratch(program, optimize, op),
        output=_place(edges[op.target], [edges[name] for name in op.sources]),
    )


def _why_kernel(tuning: Tuning, op: Op) -> str:
    if tuning.unit is None:
        return "by shape"
    if op.name not in tuning.measured:
        return "the only one"
    costs, used = tuning.measured[op.name], Candidate(op.kernel, op.scratch_bytes)
    better = faster(costs, used)
    others = [_compare(tuning, op, one) for one in costs if one != used and one not in better]
    if better:
        others = [_compare(tuning, op, one) + ", in a larger arena" for one in better] + others
    return "; ".join(["the arena decides" if better else "the fastest", *others])


def _compare(tuning: Tuning, op: Op, candidate: Candidate) -> str:
    """How long a candidate takes compared with the one that is used."""
    costs, used = tuning.measured[op.name], Candidate(op.kernel, op.scratch_bytes)
    name = candidate.kernel
    if name == op.kernel:
        name = f"with {candidate.scratch_bytes:,} B of scratch"
    if not costs[candidate]:
        return f"{name} refuses it"
    return f"{name} {relative_cost(costs, candidate) / relative_cost(costs, used):.2f} x"


def _why_scratch(program: Program, optimize: str, op: Op) -> str:
    """Why the op has the scratch memory that it has."""
    if not op.scratch_candidates:
        return "needs no scratch"
    if op.scratch_bytes == op.scratch_candidates[0]:
        return "all scratch that it can use" if len(op.scratch_candidates) > 1 else "needs it"
    return (
        f"more scratch would raise the arena above {SLACK[optimize]:g} x the "
        f"{program.live_sizes[-1]:,} B that are live, or above a RAM limit"
    )


def _place(target: Edge, sources: list[Edge]) -> str:
    """Where the output lies."""
    if target.memory is not Memory.ARENA:
        return "the caller's"
    for source in (source for source in sources if source.memory is Memory.ARENA):
        below = source.offset - target.offset
        if below == 0:
            return f"in place of {source.name}"
        if 0 < below < target.size:
            return f"over {source.name}, from {below} B below it"
        if 0 < -below < source.size:
            return f"over {source.name}, from {-below} B above its start"
    return "memory of its own"
