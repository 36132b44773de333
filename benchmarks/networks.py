r"""Builds digits and the keyword-spotting networks; writes what their reports say.

    python -m benchmarks.networks digits_ds_cnn
    python -m benchmarks.networks ds_cnn_s_kws cnn_s_kws --data DIR --trained build/accuracy
    python -m benchmarks.networks dnn_s_kws --data DIR --trained build/accuracy --widths measured

With `--trained` the nested networks are those that benchmarks.accuracy has trained and saved there.
The keyword networks start from Arm's pretrained weights; their accuracy on the canonical test set
(4,890 clips, zeroed silence) is measured before nesting and again for the full subnet after the
units were scored, sorted and nested, before any training. The subnets are trained and measured on
the speaker-disjoint split B, silence left out: those figures do not compare with published ones.
"""

import argparse
import sys
from pathlib import Path

import numpy as np

from benchmarks.rows import replace_rows, versions
from tflm_reds.build import parse_arguments
from tflm_reds.datasets import load_dataset, load_kws_canonical_test
from tflm_reds.nesting import nest
from tflm_reds.options import BuildOptions
from tflm_reds.report import render_table
from tflm_reds.stages import build
from tflm_reds.training import accuracy
from tflm_reds.zoo import ZOO, load_zoo


def canonical_accuracies(name: str, data: Path) -> dict[str, float]:
    """Float accuracy on the canonical test set before and after nesting, no training between."""
    model, pretrained = load_zoo(name, data)
    if not pretrained:
        raise SystemExit(f"{data} has no pretrained weights for {name}.")
    frames = "every second" if ZOO[name].dataset == "kws_25_frames" else "all"
    x, y = load_kws_canonical_test(data, frames=frames)
    dataset = load_dataset(ZOO[name].dataset, data)
    nested = nest(model, (dataset.x_train[:2000], dataset.y_train[:2000]))
    before = model.predict(x, verbose=0)
    after = nested.predict(x, verbose=0)[-1]
    return {
        "canonical_accuracy_pretrained": accuracy(before, y),
        "canonical_accuracy_full_subnet_after_permutation": accuracy(after, y),
        "permutation_change": float(np.abs(after - before).max() / np.abs(before).max()),
        "canonical_samples": len(y),
    }


def build_row(name: str, options: BuildOptions, command: str) -> dict:
    """Run one build; the row of its report."""
    report = build(options)
    print(render_table(report), flush=True)
    row = {"name": name, "epochs": options.nested_epochs(False), **report.to_dict()}
    row["versions"] = versions("keras", "tensorflow", "numpy", "unicorn")
    return row | {"command": command}


def main() -> None:
    """Build the networks named on the command line, one row each."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("networks", nargs="+", choices=sorted(ZOO))
    parser.add_argument("--data", type=Path)
    parser.add_argument("--epochs", type=int)
    parser.add_argument("--trained", type=Path, help="folder of benchmarks.accuracy")
    parser.add_argument("--widths", default="planned", help="as benchmarks.accuracy chose them")
    arguments = parser.parse_args()
    for name in arguments.networks:
        flags = [] if name == "digits_ds_cnn" else ["--zoo", name]
        if arguments.trained:
            run = f"{name}-paper-{arguments.widths}-0"
            nested = str(arguments.trained / run / "nested.keras")
            flags = [nested, "--dataset", ZOO[name].dataset, "--name", name, "--epochs", "0"]
        flags += ["--epochs", str(arguments.epochs)] if arguments.epochs is not None else []
        command = " ".join(["python -m tflm_reds.build", *flags, *["--data DIR"] * bool(flags)])
        parsed = vars(parse_arguments(flags)) | {"data": arguments.data}
        options = BuildOptions.from_arguments(parsed)
        row = build_row(name, options, command)
        if ZOO[name].pretrained:
            row |= canonical_accuracies(name, arguments.data)
        replace_rows("networks", [row], "name")


if __name__ == "__main__":
    sys.exit(main())
