"""From a Keras model to C and to TFLM: all supported layers, every subnet, zero differing bytes."""

import numpy as np
import pytest
from keras_models import BRANCHING, MODELS, data, make
from tflm_wheels import pinned_wheel

import tflm_reds as reds
from tflm_reds import tflm_verify
from tflm_reds.codegen.host import HostLibrary
from tflm_reds.codegen.lower import lower
from tflm_reds.tflite_io import write_reds_model
from tflm_reds.verify import comparison_inputs, verify


@pytest.mark.parametrize("name", sorted(MODELS | BRANCHING))
def test_keras_to_c_and_tflm(name, tmp_path):
    model = make(name, seed=11, negative_gammas=True)
    x, y = data(model, 200)
    net = reds.quantize(reds.nest(model, (x, y), budgets=(0.3, 0.6)), x)
    host = HostLibrary(lower(net), tmp_path)
    wheel = pinned_wheel()
    path = write_reds_model(net, tmp_path / "reds.tflite")
    implementations = {
        "host": lambda x: np.stack(
            [host.run(x, k).reshape(len(x), -1) for k in range(net.subnet_count)]
        ),
        "tflm_sliced": tflm_verify.sliced_models(net, wheel),
        "tflm": tflm_verify.custom_ops(net, path, wheel),
    }
    differences = verify(net, comparison_inputs(net, x, 100), implementations)
    assert all(count == 0 for counts in differences.values() for count in counts)
