"""Where tests find real data; those that need it are skipped without it."""

import os
from pathlib import Path

import pytest

DATA = Path(os.environ.get("TFLM_REDS_DATA") or Path(__file__).parents[2] / "shared" / "data")


def needs(*files: str) -> pytest.MarkDecorator:
    """Skip a test unless the data directory holds all `files`."""
    absent = [name for name in files if not (DATA / name).is_file()]
    return pytest.mark.skipif(
        bool(absent), reason=f"no {', '.join(absent)}: set TFLM_REDS_DATA to the data directory"
    )


needs_speech_commands = needs("kws_speech_commands_mfcc.npz")
needs_arm_models = needs("kws_speech_commands_mfcc.npz", "models_original.zip")
needs_visual_wake_words = needs("vww_person_96.npz", "weights_float.npz")
needs_fashion_mnist = needs("fashion_mnist.npz", "weights_float.npz")
needs_cifar10 = needs("cifar10_jpeg.npz", "cifar10_lossless.npz", "weights_float.npz")
