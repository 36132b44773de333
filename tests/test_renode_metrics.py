"""Renode's metrics: read back what its documented layout holds, and refuse what is no such file."""

import struct
from pathlib import Path

import nbformat
import pytest
from hypothesis import given
from hypothesis import strategies as st
from nbclient import NotebookClient
from tiny_model import build

from benchmarks.renode_metrics import encode, record
from tflm_reds.errors import SimulationError
from tflm_reds.sim.renode_metrics import (
    EXCEPTION,
    INSTRUCTIONS,
    MEMORY,
    PERIPHERAL,
    PERIPHERAL_WRITE,
    read_metrics,
)

EXAMPLES = Path(__file__).parents[1] / "examples"
# tools/metrics_analyzer of Renode 1.16.1: "<qdc", then "<iQ", "c", "<cQ" or "Q" by kind.
LAYOUTS = {0: "<iQ", 1: "<B", 2: "<BQ", 3: "<Q"}
words = st.integers(0, 2**64 - 1)
entries = st.lists(
    st.tuples(st.integers(0, 2**40), st.floats(0, 1e6)).flatmap(
        lambda time: st.one_of(
            st.tuples(st.just(0), st.just(time), st.tuples(st.integers(0, 7), words)),
            st.tuples(st.just(1), st.just(time), st.tuples(st.integers(2, 3))),
            st.tuples(st.just(2), st.just(time), st.tuples(st.integers(0, 1), words)),
            st.tuples(st.just(3), st.just(time), st.tuples(words)),
        )
    ),
    max_size=8,
)


def file_of(recorded) -> bytes:
    """One CPU, two peripherals, and the entries: (kind, (ticks, virtual ms), content)."""
    content = struct.pack("<iii3s", 1, 5, 3, b"cpu")
    content += struct.pack("<ii5sQQ", 2, 5, b"uart0", 0x40002000, 0x40002FFF)
    content += struct.pack("<i4sQQ", 4, b"nvic", 0xE000E000, 0xE000EFFF)
    for kind, (ticks, virtual), values in recorded:
        content += struct.pack("<qdB", ticks, virtual, kind) + struct.pack(LAYOUTS[kind], *values)
    return content


def as_bytes(kind, values):
    """Operations are bytes, as in Renode's own parser."""
    return (bytes([values[0]]), *values[1:]) if kind in (MEMORY, PERIPHERAL) else values


@given(recorded=entries)
def test_every_entry_is_read(recorded, tmp_path_factory):
    path = tmp_path_factory.mktemp("metrics") / "metrics.dump"
    path.write_bytes(file_of(recorded))
    metrics = read_metrics(path)
    assert metrics.cpus == {5: "cpu"}
    assert metrics.peripherals["uart0"] == (0x40002000, 0x40002FFF)
    for kind in LAYOUTS:
        expected = [
            ((ticks - recorded[0][1][0]) / 10_000, virtual, *as_bytes(kind, values))
            for found, (ticks, virtual), values in recorded
            if found == kind
        ]
        assert metrics.entries[kind] == expected
    assert metrics.get_instructions_entries() == (metrics.cpus, metrics.entries[INSTRUCTIONS])
    assert metrics.get_peripheral_entries() == (metrics.peripherals, metrics.entries[PERIPHERAL])
    assert metrics.get_memory_entries() is metrics.entries[MEMORY]
    assert metrics.get_exceptions_entries() is metrics.entries[EXCEPTION]


def test_a_cut_off_file_gives_its_whole_entries(tmp_path):
    recorded = [(0, (0, 1.0), (5, 100)), (1, (1, 2.0), (2,)), (2, (2, 3.0), (1, 7))]
    content, path = file_of(recorded), tmp_path / "metrics.dump"
    counts = []
    for size in range(len(file_of([])), len(content) + 1):
        path.write_bytes(content[:size])
        counts.append(sum(map(len, read_metrics(path).entries.values())))
    assert counts == sorted(counts) and counts[0] == 0 and counts[-1] == 3


@pytest.mark.parametrize("content", [b"", b"\x01\x00\x00\x00", b"hello world, no metrics"])
def test_other_files_are_refused(content, tmp_path):
    path = tmp_path / "metrics.dump"
    path.write_bytes(content)
    with pytest.raises(SimulationError, match="holds no metrics of Renode"):
        read_metrics(path)


def test_a_missing_file(tmp_path):
    with pytest.raises(SimulationError, match="holds no metrics of Renode"):
        read_metrics(tmp_path / "metrics.dump")


def test_an_unknown_kind_of_entry(tmp_path):
    path = tmp_path / "metrics.dump"
    path.write_bytes(file_of([]) + struct.pack("<qdB", 0, 0.0, 9))
    with pytest.raises(SimulationError, match="unknown kind 9"):
        read_metrics(path)


def test_recording_of_an_image(tmp_path):
    firmware = build(tmp_path)
    path = tmp_path / "metrics.dump"
    path.write_bytes(encode(firmware.board, record(firmware.board, firmware.elf)))
    metrics = read_metrics(path)
    executed = [row[3] for row in metrics.entries[INSTRUCTIONS]]
    assert executed == sorted(executed) and executed[-1] > 10_000
    uarte = firmware.board.peripherals["uarte"]
    writes = [row for row in metrics.entries[PERIPHERAL] if row[2] == PERIPHERAL_WRITE]
    starts = [row for row in writes if row[3] == uarte + 0x008]  # TASKS_STARTTX, once a line
    assert len(starts) == 11 + 1  # the records, and the first line end


def test_notebook_runs_on_the_recorded_example(monkeypatch):
    monkeypatch.setenv("PYTHONPATH", str(EXAMPLES.parent))  # of the kernel, in a checkout
    notebook = nbformat.read(EXAMPLES / "renode_colab.ipynb", as_version=4)
    NotebookClient(notebook, timeout=120, resources={"metadata": {"path": EXAMPLES}}).execute()
    outputs = [output for cell in notebook.cells for output in cell.get("outputs", [])]
    text = "".join(output.get("text", "") for output in outputs)
    assert "instructions in" in text and "accesses to" in text
    assert any("image/png" in output.get("data", {}) for output in outputs)
    assert not any(output.output_type == "error" for output in outputs)


def test_notebook_is_stored_without_outputs():
    notebook = nbformat.read(EXAMPLES / "renode_colab.ipynb", as_version=4)
    assert not any(cell.get("outputs") or cell.get("execution_count") for cell in notebook.cells)
    assert "git+https://github.com/antmicro/renode-colab-tools" in notebook.cells[1].source
