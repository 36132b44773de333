"""`python -m tflm_reds.tfmot_bridge in.h5 out.keras`: tensorflow-model-optimization to Keras 3.

Reads a model that was quantised (QAT), pruned or clustered there, takes the wrappers off and writes
plain layers with the trained weights. Zeros of a pruned model and the values of a clustered one
stay as they are; nested training afterwards changes them.
"""

import argparse
import os
import subprocess
import sys
import tempfile
from pathlib import Path

from tflm_reds.errors import ModelError, OutputError, RedsError, ToolchainError
from tflm_reds.files import write_bytes

_MISSING = 3
"""Exit status of the child that found no tensorflow-model-optimization."""


def convert(source: Path, target: Path) -> None:
    """Write the plain Keras 3 model of `source` (.h5 or .keras of tf_keras) to `target` (.keras).

    tensorflow-model-optimization switches the whole process to Keras 2, so it runs in a child.

    Raises:
        ModelError: if `source` cannot be read.
        ToolchainError: if the extra is not installed.
        OutputError: if `target` is not called .keras or cannot be written.
    """
    from tflm_reds.legacy_files import load_legacy

    if target.suffix != ".keras":
        raise OutputError(f"The result is a .keras file; {target} is not called so.")
    if not source.is_file():
        raise ModelError(f"There is no model file {source}.")
    with tempfile.TemporaryDirectory() as folder:
        plain = Path(folder) / "plain.h5"
        _strip_in_child(source, plain)
        converted = Path(folder) / "converted.keras"
        load_legacy(plain).save(converted)
        write_bytes(target, converted.read_bytes())


def _strip_in_child(source: Path, plain: Path) -> None:
    child = subprocess.run(
        [sys.executable, "-m", "tflm_reds.tfmot_strip", str(source), str(plain)],
        env={**os.environ, "TF_USE_LEGACY_KERAS": "1", "TF_CPP_MIN_LOG_LEVEL": "3"},
        capture_output=True, text=True,
    )  # fmt: skip
    if child.returncode == _MISSING:
        raise ToolchainError(
            "The bridge needs tensorflow-model-optimization and tf_keras: "
            "pip install 'tflm-reds[tfmot]'."
        )
    if child.returncode:
        last = (child.stderr.strip().splitlines() or ["no message"])[-1]
        raise ModelError(
            f"tf_keras cannot read {source}: {last} Save the model as .h5 with model.save, and use "
            "only layers that tflm_reds supports."
        )


def main(arguments: list[str] | None = None) -> int:
    """Run the command; 0, or the error's code."""
    parser = argparse.ArgumentParser(
        prog="python -m tflm_reds.tfmot_bridge",
        description="Turn a tensorflow-model-optimization model into a plain Keras 3 model.",
    )
    parser.add_argument(
        "source", type=Path, help=".h5 or .keras file of a QAT, pruned or clustered model"
    )
    parser.add_argument("target", type=Path, help=".keras file to write")
    parsed = parser.parse_args(arguments)
    try:
        convert(parsed.source, parsed.target)
    except RedsError as error:
        print(f"{type(error).__name__}: {error}", file=sys.stderr)
        return error.exit_code
    return 0


if __name__ == "__main__":
    sys.exit(main())
