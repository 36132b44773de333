"""Training under `tf.distribute`: two logical CPU devices beside one."""

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest


@pytest.fixture(scope="module")
def results() -> dict:
    """By network: the run on one device and that on two. And what was refused."""
    finished = subprocess.run(
        [sys.executable, "-m", "tests.train_on_two_devices"],
        cwd=Path(__file__).parents[1],
        env={**os.environ, "TF_CPP_MIN_LOG_LEVEL": "3"},
        capture_output=True,
        text=True,
    )
    assert finished.returncode == 0, finished.stderr[-3000:]
    return json.loads(finished.stdout.splitlines()[-1])


@pytest.mark.parametrize(
    # Each device normalises its half of the batch, so batch-norm's run is close, not equal.
    ("network", "tolerance"), [("dense_net", 1e-4), ("batch_norm_net", 0.1)]
)  # fmt: skip
def test_two_devices_train_like_one(results, network, tolerance):
    one, two = results[network]
    assert one["widths"] == two["widths"]
    measures = ("loss", "accuracy_30", "accuracy_60", "accuracy_100")
    assert set(two["history"]) == {*measures, *(f"val_{name}" for name in measures)}
    for name in ("loss", "val_loss"):
        np.testing.assert_allclose(two["history"][name], one["history"][name], rtol=tolerance)


@pytest.mark.parametrize("network", ["dense_net", "batch_norm_net"])
def test_callbacks_hold_on_two_devices(results, network):
    _, two = results[network]
    for name, value in two["kept"].items():
        if name == "loss":  # in fit it holds the distillation too, which ends with it
            continue
        assert value == pytest.approx(two["history"][f"val_{name}"][two["best_epoch"]], rel=1e-5)
    assert max(two["differences"]) == 0.0  # of the devices' copies, batch-norm statistics too


def test_measured_utilities_are_refused_within_the_scope(results):
    assert "Nest before the scope" in results["refusal"]
