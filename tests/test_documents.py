"""The documents say what the JSON says, and nothing committed names a private path."""

import json
import subprocess
from pathlib import Path

import pytest

from benchmarks import tables
from tflm_reds.report.model import report_from_dict

ROOT = Path(__file__).parents[1]


@pytest.mark.parametrize("name", tables.DOCUMENTS)
def test_tables_are_generated_from_the_results(name):
    text = (ROOT / name).read_text()
    assert tables.BLOCK.search(text), f"{name} holds no table"
    assert tables.render(text) == text, "run python -m benchmarks.tables"


def test_recorded_networks_meet_the_contracts():
    """What docs/results.md shows was measured: bit-exact, cheap switches, int8 near float."""
    rows = json.loads((ROOT / "docs" / "results" / "networks.json").read_text())
    assert {row["name"] for row in rows} >= {"digits_ds_cnn", "ds_cnn_s_kws", "cnn_s_kws"}
    for row in rows:
        report = report_from_dict(row)
        assert report.switch_instructions < 16
        for subnet in report.subnets:
            measured = {k: v for k, v in subnet.differing_bytes.items() if v is not None}
            assert set(measured) >= {"host", "unicorn", "tflm", "tflm_sliced"}
            assert not any(measured.values()) and subnet.compared_inputs >= 200
            assert subnet.first_after_switch_instructions <= 64


def test_readme_has_exactly_two_commands():
    section = (ROOT / "README.md").read_text().split("## Two commands")[1].split("\n## ")[0]
    blocks = section.split("```sh\n")[1:]
    assert len(blocks) == 2
    assert all(len(block.split("```")[0].strip().splitlines()) == 1 for block in blocks)


def test_no_machine_path_is_committed():
    listing = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True)
    if listing.returncode:
        pytest.skip("not a git checkout")
    for name in listing.stdout.split():
        content = (ROOT / name).read_bytes()
        assert b"/work/" + b"main" not in content and b"/root/" + b"." not in content, name
