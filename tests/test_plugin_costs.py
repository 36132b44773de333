"""What each further subnet costs with the custom ops, and what docs/plugin.md records."""

import pytest
import random_nets

from benchmarks import plugin
from benchmarks.rows import read_rows

PER_CHANNEL, PER_CHANNEL_SHARED = 9, 4
SETTER_LIMIT, FIRST_LIMIT = 16, 64  # instructions


@pytest.mark.parametrize("make", [random_nets.ds_cnn, random_nets.concatenating])
def test_a_further_subnet_costs_its_active_channels(make, tmp_path):
    rows = plugin.subnet_rows(make(), tmp_path)
    assert len(rows) == 4
    for row in rows[:-1]:
        channels = row["active_channels"]
        assert 0 < row["added"]["tables"] <= PER_CHANNEL * channels
        assert 0 < row["added_shared_scale"]["tables"] <= PER_CHANNEL_SHARED * channels
        assert row["added"]["file"] < row["own_model"]


@pytest.mark.slow
def test_flash_by_part_leaves_out_ops_that_the_model_lacks(tmp_path):
    row = plugin.flash_row(random_nets.dense_net(), tmp_path)
    assert row["ops"] == ["REDS_FULLY_CONNECTED"]
    assert 0 < 3 * row["kernels"] < row["all_ops"]["kernels"]
    assert 0 < row["glue"] < row["all_ops"]["glue"]
    file_bytes = (tmp_path / "nested.tflite").stat().st_size
    assert sum(row[part] for part in ("weights", "tables", "model_structure")) == file_bytes


def test_the_recorded_costs_meet_the_contracts():
    rows = read_rows("plugin")
    subnets = [row for row in rows if row["table"] == "subnets" and row["added"]]
    for row in subnets:
        assert row["added"]["tables"] <= PER_CHANNEL * row["active_channels"]
        assert row["added_shared_scale"]["tables"] <= PER_CHANNEL_SHARED * row["active_channels"]
    switches = [row for row in rows if row["table"] == "switch"]
    assert len(switches) == len(subnets) + 1
    for row in switches:
        assert row["setter"] < SETTER_LIMIT
        assert abs(row["first"] - row["second"]) <= FIRST_LIMIT
