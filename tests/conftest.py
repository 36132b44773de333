"""Settings for all tests."""

import os

from hypothesis import settings

# Before Keras is imported: quiet, and without oneDNN's run-to-run differences.
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "0")

# Machines are noisy: an example may take as long as it likes.
settings.register_profile("any_machine", deadline=None)
settings.load_profile("any_machine")
