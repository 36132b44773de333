"""One trial of a sweep: train, nest, quantise, measure, in a process of its own."""

import hashlib
import json
import os
import subprocess
import sys
import tempfile
import threading
from collections.abc import Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

from tflm_reds.errors import DataError, RedsError
from tflm_reds.files import write_text

_NOT_OF_A_TRIAL = ("out", "name", "board", "compare", "tflm", "quiet")


@dataclass(frozen=True)
class Trial:
    """Options of one build, JSON values by name; those left out have the build's defaults."""

    options: Mapping[str, Any]

    @property
    def key(self) -> str:
        """Hash of the options: the name of the trial's result."""
        text = json.dumps(self.options, sort_keys=True)
        return hashlib.sha256(text.encode()).hexdigest()[:16]


def trial_options() -> list[str]:
    """Names that a trial may set."""
    from tflm_reds.options import BuildOptions  # imports TensorFlow

    return [f.name for f in fields(BuildOptions) if f.name not in _NOT_OF_A_TRIAL]


def check_options(names: set[str]) -> None:
    """Refuse names that no trial has.

    Raises:
        DataError: with the names there are.
    """
    known = trial_options()
    if unknown := sorted(names - set(known)):
        raise DataError(f"A trial has no option {unknown[0]!r}. Choose from {', '.join(known)}.")


def run_isolated(options: Mapping[str, Any], children: set[subprocess.Popen] | None = None) -> dict:
    """Run one trial in a child process, so that a crash or a leak stays in it.

    The child ends when this process does.

    Args:
        children: holds the child while it runs.

    Returns:
        The result as JSON values: "status" is "done", or "failed" with an "error".
    """
    with tempfile.TemporaryDirectory() as folder:
        result = Path(folder) / "result.json"
        child = subprocess.Popen(
            [sys.executable, "-m", "tflm_reds.trial", str(result)],
            stdin=subprocess.PIPE, stderr=subprocess.PIPE, stdout=subprocess.DEVNULL, text=True,
            start_new_session=True,  # Ctrl-C is for the parent, which then ends its children
        )  # fmt: skip
        children = set() if children is None else children
        children.add(child)
        try:
            return _talk(child, options, result)
        finally:
            child.kill()
            child.wait()
            children.discard(child)


def _talk(child: subprocess.Popen, options: Mapping[str, Any], result: Path) -> dict:
    """Send the options and keep the child's stdin open while it works."""
    child.stdin.write(json.dumps(options) + "\n")
    child.stdin.flush()
    errors = child.stderr.read()
    status = child.wait()
    if result.exists():
        return json.loads(result.read_text())
    last = (errors.strip().splitlines() or ["no message"])[-1]
    error = f"The process of the trial ended with status {status}: {last}"
    return {"options": dict(options), "status": "failed", "error": error}


def run(options: Mapping[str, Any]) -> dict:
    """Run one trial in this process; its errors become part of the result."""
    try:
        return {"options": dict(options), "status": "done"} | measure(options)
    except RedsError as error:
        message = f"{type(error).__name__}: {error}"
        return {"options": dict(options), "status": "failed", "error": message}


def measure(options: Mapping[str, Any]) -> dict:
    """Subnets' costs and test accuracies, float and int8, by the stages of a build."""
    import keras

    from tflm_reds import stages
    from tflm_reds.codegen.host import HostLibrary
    from tflm_reds.codegen.lower import lower
    from tflm_reds.options import BuildOptions, load_task
    from tflm_reds.progress import Progress
    from tflm_reds.training import accuracy

    paths = {name: Path(options[name]) for name in ("model", "data", "calibration")
             if options.get(name)}  # fmt: skip
    build = BuildOptions(**{**options, **paths})
    progress = Progress(4, quiet=True)
    keras.utils.set_random_seed(build.seed)
    task = load_task(build)
    nested = stages.make_nested(task, build, progress)
    net = stages.make_quantized(nested, task.dataset, build, progress)
    with tempfile.TemporaryDirectory() as folder:
        int8 = stages.int8_accuracies(net, HostLibrary(lower(net), folder), task.dataset)
    outputs = stages.predict(nested, task.dataset.x_test)
    plan = nested.plan
    subnets = [
        {
            "budget": budget,
            "widths": plan.widths[k],
            "mac_fraction": plan.fractions[k],
            "accuracy_float": accuracy(outputs[k], task.dataset.y_test),
            "accuracy_int8": int8[k],
        }
        for k, budget in enumerate(plan.budgets)
    ]
    return {"subnets": subnets, "samples": len(task.dataset.x_test)}


def main() -> None:
    """The child: options as one line of JSON on stdin, the result in the file given."""
    options = json.loads(sys.stdin.readline())
    threading.Thread(target=_end_with_parent, daemon=True).start()
    write_text(sys.argv[1], json.dumps(run(options)))


def _end_with_parent() -> None:
    sys.stdin.read()  # ends when the parent does, however it ended
    os._exit(1)


if __name__ == "__main__":
    main()
