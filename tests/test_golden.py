"""The golden test: every int8 network of the zoo in TFLM, random switches, zero differing bytes."""

import pytest
from real_data import DATA
from test_zoo_nets import FLOAT_ONLY
from tflm_wheels import pinned_wheel

from benchmarks.golden import SWITCHES, rows_of
from benchmarks.rows import read_rows
from tflm_reds.tflm_wheel import PINS
from tflm_reds.zoo import ZOO

NAMES = [name for name in ZOO if name not in FLOAT_ONLY]


def check(name: str, switches: int) -> None:
    for pin in PINS:
        pinned_wheel(pin)
    rows = list(rows_of(name, switches, DATA if DATA.is_dir() else None))
    assert [row["wheel"] for row in rows] == list(PINS)
    for row in rows:
        assert sum(row["invocations"]) == switches
        assert row["differing_bytes"] == 0
        assert row["distinct_outputs"] > switches / 5


def test_random_switches_of_a_small_network():
    check("digits_ds_cnn", 100)


@pytest.mark.slow
@pytest.mark.parametrize("name", NAMES)
def test_random_switches_of_every_network(name):
    check(name, SWITCHES)


def test_results_hold_every_network_and_wheel():
    rows = {(row["name"], row["wheel"]): row for row in read_rows("golden")}
    assert set(rows) == {(name, pin) for name in NAMES for pin in PINS}
    for row in rows.values():
        assert (sum(row["invocations"]), row["differing_bytes"]) == (SWITCHES, 0)
