"""Tables of docs/plugin.md: what the custom ops cost, and that they give the same bytes."""

from benchmarks.rows import read_rows, table

PARTS = {
    "weights": "weights, int8, one set",
    "tables": "biases, multipliers, shifts of all subnets",
    "model_structure": "rest of the `.tflite`: shapes, names, options",
    "kernels": "kernels",
    "glue": "glue: registrations, options, state",
}


def _rows(name: str) -> list[dict]:
    return [row for row in read_rows("plugin") if row["table"] == name]


def plugin_flash() -> str:
    """Flash and RAM of the custom ops by part."""
    (flash,), (ram,) = _rows("flash"), _rows("ram")
    everything = flash["all_ops"]
    rows = [
        [title, f"{flash[part]:,}", f"{everything[part]:,}" if part in everything else ""]
        for part, title in PARTS.items()
    ]
    rows.append(["**flash**", f"**{flash['total']:,}**", ""])
    rows.append(["persistent data in the arena", f"{ram['persistent']:,}", ""])
    rows.append(["scratch memory in the arena, most at a time", f"{ram['scratch']:,}", ""])
    rows.append(["state of the switch", f"{ram['state']:,}", ""])
    header = [f"{flash['name']}, {len(_rows('subnets'))} subnets", "bytes", "with all ops"]
    made = f"`{flash['command']}`; {flash['core']}; {flash['compiler']}; ops: "
    return f"{table(header, rows)}\n\n{made}{', '.join(flash['ops'])}."


def plugin_subnets() -> str:
    """What each further subnet costs, beside a model of its own."""
    rows = []
    for row in _rows("subnets"):
        cells = [row["subnet"], row["active_channels"]]
        for key in ("added", "added_shared_scale"):
            added = row[key]
            cells += ["-", "-"] if added is None else _added(added, row["active_channels"])
        rows.append([*cells, f"{row['own_model']:,}"])
    separate = sum(row["own_model"] for row in _rows("subnets"))
    (flash,) = _rows("flash")
    nested = sum(flash[part] for part in ("weights", "tables", "model_structure"))
    header = ["subnet", "active channels", "tables, B", "file, B"]
    header += ["`shared_scale`: tables, B", "file, B", "int8 model of its own, B"]
    return (
        f"{table(header, rows)}\n\nAll {len(rows)} subnets: {nested:,} B in one file, "
        f"{separate:,} B as separate models."
    )


def _added(added: dict[str, int], channels: int) -> list[str]:
    per_channel = added["tables"] / channels
    return [f"{added['tables']:,} ({per_channel:.2f} a channel)", f"{added['file']:,}"]


def plugin_switch() -> str:
    """Instructions of a switch and of the inferences after it."""
    rows = [
        [
            row["subnet"],
            row["setter"],
            row["setter_cycles_modelled"],
            f"{row['first']:,}",
            f"{row['second']:,}",
            row["first"] - row["second"],
        ]
        for row in _rows("switch")
    ]
    header = ["subnet", "setter, instructions", "setter, modelled cycles", "first inference"]
    return table([*header, "second", "first less second"], rows)


def tflm_arena() -> str:
    """The arenas of both model forms in TFLM's interpreter."""
    sizes = ("tflm_host", "tflm_reds_ram", "tflm_reds_speed")
    rows = [
        [row["name"], *(f"{row[size]:,}" for size in sizes)]
        for row in read_rows("arena")
        if row["tflm_host"] is not None
    ]
    return table(["network", "model_full B", "model_reds, ram B", "model_reds, speed B"], rows)


def golden() -> str:
    """Random switches in TFLM's interpreter, wheel by wheel."""
    rows = [
        [
            row["name"],
            row["wheel"],
            row["abi"],
            " + ".join(map(str, row["invocations"])),
            row["switches"],
            row["real_inputs"],
            f"{row['compared_bytes']:,}",
            row["differing_bytes"],
        ]
        for row in read_rows("golden")
    ]
    header = ["network", "tflite-micro", "ABI", "invocations of each subnet", "switches"]
    return table([*header, "real inputs", "bytes compared", "differing"], rows)


PLUGIN_TABLES = {
    "golden": golden,
    "tflm_arena": tflm_arena,
    "plugin_flash": plugin_flash,
    "plugin_subnets": plugin_subnets,
    "plugin_switch": plugin_switch,
}
