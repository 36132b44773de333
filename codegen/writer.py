"""Write a Program as a folder of C11 files: the model, the kernels it uses, the executor."""

from collections.abc import Mapping
from dataclasses import fields
from functools import cache
from pathlib import Path

import jinja2

from tflm_reds.channel_order import Run, concatenation_runs
from tflm_reds.codegen import cformat
from tflm_reds.codegen.packing import filter_stride
from tflm_reds.codegen.passes.select_kernels import DEPTHWISE_3X3, FULLY_CONNECTED
from tflm_reds.codegen.program import (
    PAIR_KERNELS,
    Edge,
    Memory,
    Op,
    Program,
    arena_bytes,
    flash_bytes,
)
from tflm_reds.files import write_bytes, write_text

KERNELS = Path(__file__).parent / "kernels"
TEMPLATES = Path(__file__).parent / "templates"
RUNTIME = ("reds.c", "reds_ops.c", "reds_support.c")
# What kernels have in common.
SHARED = {
    "reds_convolve_1x1_s8": ("reds_block", "reds_vector"),
    "reds_convolve_1x1_small_s8": ("reds_block", "reds_fully_connected_s8", "reds_vector"),
    "reds_convolve_direct_s8": ("reds_block", "reds_vector"),
    "reds_convolve_narrow_s8": ("reds_block", "reds_vector"),
    "reds_convolve_s8": ("reds_block", "reds_patches", "reds_vector"),
    "reds_fully_connected_s8": ("reds_vector",),
}

# What reds_ops.h calls the ops of each kind, but for those with weights.
OP_TYPES = {
    "MAX_POOL_2D": "pool",
    "AVERAGE_POOL_2D": "pool",
    "MEAN": "mean",
    "PAD": "pad",
    "PRELU": "prelu",
    "ADD": "add",
    "CONCATENATION": "concatenate",
    "SOFTMAX": "softmax",
    "RESHAPE": "flatten",
}
PLACES = {Memory.INPUT: "REDS_INPUT", Memory.OUTPUT: "REDS_OUTPUT"}


def write_sources(program: Program, folder: str | Path) -> list[Path]:
    """Write `<name>_model.c`, `<name>_model.h`, the used kernels and all headers into `folder`.

    The same program gives the same bytes.

    Returns:
        The paths written, sorted.

    Raises:
        OutputError: if the folder cannot be written.
    """
    folder = Path(folder)
    name = model_identifier(program)
    written = [
        write_text(folder / f"{name}_model.{suffix}", render(program, f"model.{suffix}.j2"))
        for suffix in ("c", "h")
    ]
    shared = (part for kernel in program.kernels for part in SHARED.get(kernel, ()))
    copied = [*RUNTIME, *(f"{part}.c" for part in sorted({*program.kernels, *shared}))]
    copied += [header.name for header in KERNELS.glob("*.h")]
    written += [write_bytes(folder / file, (KERNELS / file).read_bytes()) for file in copied]
    return sorted(written)


def model_identifier(program: Program) -> str:
    """The C identifier that files and symbols of the model start with."""
    return cformat.identifier(program.name, "model")


def render(program: Program, template: str) -> str:
    """The text of one template."""
    ids = cformat.unique_identifiers(program.edges)
    op_ids = cformat.unique_identifiers(op.name for op in program.ops)
    used = {edge for op in program.ops for edge in (*op.sources, op.target)}
    tensors = {name: edge for name, edge in program.edges.items() if name in used}
    width_tables = _width_tables(tensors, ids)
    edges = {name: _edge_view(edge, ids[name], width_tables) for name, edge in tensors.items()}
    name = model_identifier(program)
    return (
        template_environment(TEMPLATES)
        .get_template(template)
        .render(
            program=program,
            name=name,
            macro=name.upper(),
            input=program.edges[program.input],
            output=program.edges[program.output],
            subnets=[_subnet_row(program, k) for k in range(program.subnet_count)],
            width_tables=width_tables,
            tensors=edges.values(),
            op_list=[
                _op_view(op, f"{name}_op_{i}_{op_ids[op.name]}", op_ids[op.name], edges)
                for i, op in enumerate(program.ops)
            ],
        )
    )


@cache
def template_environment(*folders: Path) -> jinja2.Environment:
    """Templates of C files in `folders`, with the functions of `cformat`."""
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(folders),
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    environment.globals |= {
        "array": cformat.array,
        "string": cformat.string,
        "float_literal": cformat.float_literal,
        "shape": _shape,
    }
    return environment


def _subnet_row(program: Program, subnet: int) -> tuple:
    flash = flash_bytes(program, subnet)
    sizes = (arena_bytes(program, subnet), flash["weights"], flash["tables"])
    return (subnet, program.budgets[subnet], program.macs(subnet), *sizes)


def _width_tables(edges: Mapping[str, Edge], ids: Mapping[str, str]) -> dict[tuple, str]:
    """The name of the table of each width, after the first edge that is cut so."""
    tables: dict[tuple, str] = {}
    for name, edge in edges.items():
        if edge.is_cut:
            tables.setdefault(edge.channels, f"{ids[name]}_channels")
    return tables


def _edge_view(edge: Edge, name: str, width_tables: Mapping[tuple, str]) -> dict:
    return _values(edge) | {
        "id": name,
        "is_cut": edge.is_cut,
        "width_table": width_tables[edge.channels] if edge.is_cut else "NULL",
        "place": PLACES.get(edge.memory, edge.offset),
    }


def _op_view(op: Op, data: str, name: str, edges: dict[str, dict]) -> dict:
    sources, target = [edges[name] for name in op.sources], edges[op.target]
    source, runs = sources[0], _runs(op, sources)
    return _values(op) | {
        "id": name,
        "data": data,
        "type": f"reds_{_type(op)}_op",
        "run": _run(op, data),
        "sources": sources,
        "source": source,
        "target": target,
        "filter_stride": _filter_stride(op, source, target),
        "comment_name": cformat.comment(op.name),
        "geometry": _geometry(op),
        "shapes": f"{', '.join(map(_sizes, sources))} -> {_sizes(target)}",
        "widths": f"{', '.join(map(_widths, sources))} -> {_widths(target)}",
        "requantisation": _requantisation(op, source),
        "tables": _tables(op),
        "shares_bias": op.shares_bias,
        "shares_requantisation": op.shares_requantisation,
        "weight_order": _weight_order(op),
        "slope_size": _slope_size(op, source),
        "runs": runs,
        "run_counts": _run_counts(runs, len(source["channels"])),
        "lookup_type": "int32_t" if op.kind == "SOFTMAX" else "int8_t",
    }


def _values(instance) -> dict:
    return {field.name: getattr(instance, field.name) for field in fields(instance)}


def _type(op: Op) -> str:
    if op.tables:
        return "fully_connected" if op.kernel == FULLY_CONNECTED else "convolution"
    return OP_TYPES.get(op.kind, "lookup")


def _run(op: Op, data: str) -> str:
    """The function that runs the op; a concatenation has one of its own."""
    if op.kind == "CONCATENATION":
        return f"{data}_run"
    return f"reds_run_{'depthwise' if op.kind == 'DEPTHWISE_CONV_2D' else _type(op)}"


def _tables(op: Op) -> list[dict]:
    """Bias, multiplier and shift: arrays of the subnets one after the other, or one for all."""
    if not op.tables:
        return []
    fields = [("bias", "int32_t", op.shares_bias)]
    fields += [("multiplier", "int32_t", op.shares_requantisation)]
    fields += [("shift", "int8_t", op.shares_requantisation)]
    return [
        {
            "name": name,
            "type": kind,
            "shared": shared,
            "arrays": [getattr(t, name) for t in (op.tables[-1:] if shared else op.tables)],
        }
        for name, kind, shared in fields
    ]


def _runs(op: Op, sources: list[dict]) -> tuple[Run, ...]:
    if op.kind != "CONCATENATION":
        return ()
    return concatenation_runs([source["channels"] for source in sources])


def _run_counts(runs: tuple[Run, ...], subnets: int) -> list[int]:
    """How many of the runs each subnet copies."""
    return [sum(run.subnet <= subnet for run in runs) for subnet in range(subnets)]


def _slope_size(op: Op, source: dict) -> tuple[int, int]:
    """(height, width) of PRELU's slopes."""
    shared = op.weights is None or len(op.weights) == 1
    return (1, 1) if shared else (source["height"], source["width"])


def _filter_stride(op: Op, source: dict, target: dict) -> int:
    if op.kind == "CONV_2D":
        return filter_stride(op.window, source["stride"], source["is_cut"])
    return target["stride"] if op.kind == "DEPTHWISE_CONV_2D" else source["stride"]


def _weight_order(op: Op) -> str:
    if op.weights is None:
        return ""
    if op.kernel in PAIR_KERNELS:
        return f"[{len(op.weights)} row pairs][{op.weights.shape[-1]} bytes]: reds_block.h"
    if op.kind == "PRELU":
        return f"[{len(op.weights)}][{op.weights.shape[-1]} slopes]"
    taps = f"[{op.window[0]}][{op.window[1]}]"
    if op.kernel == DEPTHWISE_3X3:
        return f"[{len(op.weights)} channels]{taps}"
    return f"{taps}[{op.weights.shape[-1]} channels]"


def _geometry(op: Op) -> str:
    parts = []
    if op.window != (1, 1):
        parts.append(f" {op.window[0]}x{op.window[1]}")
    if op.stride != (1, 1):
        parts.append(f", stride {op.stride[0]}x{op.stride[1]}")
    if op.padding != (0, 0):
        parts.append(f", padding {op.padding[0]} above, {op.padding[1]} left")
    if op.dilation != (1, 1):
        parts.append(f", dilation {op.dilation[0]}x{op.dilation[1]}")
    return "".join(parts)


def _requantisation(op: Op, source: dict) -> str:
    if not op.tables:
        return ""
    shifts = [int(shift) for table in op.tables for shift in table.shift]
    low, high = op.activation
    return (
        f"zero points {source['zero_point']} -> {op.zero_point}, "
        f"shifts {min(shifts)} .. {max(shifts)}, outputs {low} .. {high}"
        + ("" if op.lookup is None else ", then the look-up table")
    )


def _widths(edge: dict) -> str:
    return " | ".join(map(str, edge["channels"]))


def _sizes(edge: dict) -> str:
    return f"{edge['height']}x{edge['width']}x{edge['stride']} {edge['layout']}"


def _shape(edge: Edge) -> str:
    return f"{edge.height}x{edge.width}x{edge.stride}"
