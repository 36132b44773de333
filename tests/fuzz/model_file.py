"""Coverage-guided fuzzing of the model loader, if atheris is installed.

    python tests/fuzz/model_file.py CORPUS -runs=100000      # libFuzzer's options

CORPUS is a folder of .tflite files to begin with.
"""

import sys
from contextlib import suppress

import atheris

with atheris.instrument_imports(include=["flatbuffers", "tflite", "tflm_reds.tflite_schema"]):
    from tflm_reds.tflite_schema import check_file

from tflm_reds.errors import ModelError


def load(content: bytes) -> None:
    """Any error but ours is a find."""
    with suppress(ModelError):
        check_file(content, "fuzzed")


if __name__ == "__main__":
    atheris.Setup(sys.argv, load)
    atheris.Fuzz()
