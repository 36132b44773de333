"""Settings for all tests."""

import os

from hypothesis import settings

# Before Keras is imported.
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

# Machines are noisy: an example may take as long as it likes.
settings.register_profile("any_machine", deadline=None)
settings.load_profile("any_machine")
