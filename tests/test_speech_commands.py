"""The keyword-spotting networks with Arm's weights: kept by nesting, bit-exact everywhere."""

import numpy as np
import pytest
from real_data import DATA, needs_speech_commands

from tflm_reds import build
from tflm_reds.datasets import load_dataset, load_kws_canonical_test
from tflm_reds.nesting import nest
from tflm_reds.report import Report
from tflm_reds.training import accuracy
from tflm_reds.zoo import ZOO, load_zoo

pytestmark = [pytest.mark.slow, needs_speech_commands]
NETWORKS = ["ds_cnn_s_kws", "cnn_s_kws", "dnn_s_kws"]


@pytest.mark.parametrize("name", NETWORKS)
def test_nesting_keeps_the_pretrained_accuracy(name):
    model, pretrained = load_zoo(name, DATA)
    assert pretrained
    frames = "every second" if ZOO[name].dataset == "kws_25_frames" else "all"
    x, y = load_kws_canonical_test(DATA, frames=frames)
    dataset = load_dataset(ZOO[name].dataset, DATA)
    nested = nest(model, (dataset.x_train[:1000], dataset.y_train[:1000]))
    before, after = model.predict(x, verbose=0), nested.predict(x, verbose=0)[-1]
    assert np.abs(after - before).max() <= 1e-4 * np.abs(before).max()
    assert abs(accuracy(after, y) - accuracy(before, y)) < 1e-3


@pytest.mark.parametrize("name", NETWORKS)
def test_every_implementation_agrees_on_200_inputs(name, tmp_path):
    flags = ["--zoo", name, "--data", str(DATA), "--epochs", "0", "--out", str(tmp_path / name)]
    assert build.main([*flags, "--compare", "200", "--quiet"]) == 0
    report = Report.load(tmp_path / name / "report.json")
    assert report.switch_instructions < 16 and report.plan.gap == 0
    for subnet in report.subnets:
        for implementation in ("host", "unicorn", "tflm_sliced", "tflm"):
            assert subnet.differing_bytes[implementation] == 0
        assert subnet.first_after_switch_instructions <= 64
    full = report.subnets[-1]
    # Without training the small subnets' wild activations widen the ranges that all share.
    assert abs(full.accuracy_int8 - full.accuracy_float) < 0.03
