"""Where tests find real data; those that need it are skipped without it."""

import os
from pathlib import Path

import pytest

DATA = Path(os.environ.get("TFLM_REDS_DATA") or Path(__file__).parents[2] / "shared" / "data")

needs_speech_commands = pytest.mark.skipif(
    not (DATA / "kws_speech_commands_mfcc.npz").is_file(),
    reason="no Speech Commands features: set TFLM_REDS_DATA to the data directory",
)
