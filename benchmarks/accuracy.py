"""Accuracy of nested subnets beside the paper's: one seeded run per call, resumable.

    python -m benchmarks.accuracy ds_cnn_s_fashion_mnist --data DIR
    python -m benchmarks.accuracy ds_cnn_s_fashion_mnist --data DIR --widths measured
    python -m benchmarks.accuracy ds_cnn_s_kws --data DIR --budgets paper
    python -m benchmarks.accuracy ds_cnn_s_kws --data DIR --budgets ten

Nests the pretrained network, trains all subnets jointly, quantises, and measures each subnet as
int8 on the host-compiled C over the whole test part. Training continues after the last finished
epoch when the command is killed and run again. One row per subnet goes into
docs/results/accuracy.json.

`interval` is the paired 95 % bootstrap interval (over test samples) of the drop from the pretrained
network to our int8 subnet less the paper's drop, in points: the bar is met when it does not lie
above 0. Without a paper's figure it is the interval of our drop alone.
"""

import argparse
import sys
import tempfile
import time
from dataclasses import dataclass, replace
from pathlib import Path

import keras
import numpy as np

from benchmarks.choice import uniform_plan
from benchmarks.paper import PAPER
from benchmarks.rows import replace_rows, versions
from tflm_reds.callbacks import SubnetSampler
from tflm_reds.codegen.host import HostLibrary
from tflm_reds.codegen.lower import lower
from tflm_reds.datasets import Dataset, load_dataset
from tflm_reds.datasets.cifar10 import load_cifar10_test
from tflm_reds.keras_reader import read_model
from tflm_reds.nested_model import NestedModel
from tflm_reds.nesting import nest
from tflm_reds.quantization import quantize
from tflm_reds.quantized import QuantizedNet
from tflm_reds.sampling import spread
from tflm_reds.training import fine_tune
from tflm_reds.zoo import ZOO, load_zoo

CALIBRATION_SAMPLES = 16_000  # to score units and to measure utilities
QUANTISATION_SAMPLES = 2000
RESAMPLES = 2000


@dataclass(frozen=True)
class Recipe:
    """Joint training of one network.

    Attributes:
        epochs, batch_size, rate: of Adam with cosine decay.
        trust: share of the pretrained network's outputs in the labels.
        mixing: largest share of a second sample in a training sample; see `fine_tune`.
        augmented: whether the data set's augmentation is used. It needs many epochs to pay: after 3
            on 15,000 images the 25 % subnet of Fashion-MNIST stood at 87.3 % without, and at 84.2 %
            with it.
        full_share: of the joint loss, the full network's; the other subnets share the rest.
    """

    epochs: int
    batch_size: int = 64
    rate: float = 3e-3
    trust: float = 0.0
    mixing: float = 0.0
    augmented: bool = False
    full_share: float = 0.25


VISION = Recipe(epochs=7)
# Little labelled data: the pretrained network teaches, on blends of its own inputs too.
SPEECH = Recipe(epochs=8, rate=1e-3, trust=0.9, mixing=0.5, full_share=0.4)
RECIPES = {
    "ds_cnn_s_fashion_mnist": VISION,
    "ds_cnn_s_cifar10": VISION,
    "dnn_s_kws": replace(SPEECH, epochs=100),
    "dnn_l_kws": replace(SPEECH, epochs=30),
    "cnn_s_kws": replace(SPEECH, epochs=60, full_share=0.5),
    "cnn_l_kws": replace(SPEECH, epochs=12),
    "ds_cnn_s_kws": replace(SPEECH, epochs=60),
    "ds_cnn_l_kws": replace(SPEECH, epochs=8),
}


def budgets_of(name: str, choice: str) -> tuple[tuple[float, ...], dict[float, int]]:
    """Shares of the true MACs, and the paper's label that each is compared with.

    "labels": 25, 50, 75 %, which for the DS-CNNs never exceed the paper's label budgets (those
    leave out the head, which a narrow subnet shrinks). "paper": the true MACs of the paper's
    labels. "ten": 10, 20, ... 90 %.
    """
    if choice == "paper":
        by_label = {label: share for label, share in PAPER[name].true_macs.items() if share < 1}
    else:
        step = 10 if choice == "ten" else 25
        by_label = {label: label / 100 for label in range(step, 100, step)}
    return tuple(sorted(by_label.values())), {b: label for label, b in by_label.items()} | {
        1.0: 100
    }


def train(
    arguments: argparse.Namespace, dataset: Dataset, folder: Path
) -> tuple[NestedModel, float]:
    """The nested model after joint training, and the seconds of this call's training.

    What an earlier call has trained is loaded, so that it can be quantised and measured again.
    """
    trained, duration = folder / "nested.keras", folder / "seconds.txt"
    if trained.exists():
        return keras.models.load_model(trained), float(duration.read_text())
    name, recipe = arguments.network, RECIPES[arguments.network]
    epochs = arguments.epochs or recipe.epochs
    keras.utils.set_random_seed(arguments.seed)
    model, pretrained = load_zoo(name, arguments.data)
    if not pretrained:
        raise SystemExit(f"{arguments.data} has no pretrained weights for {name}.")
    rows = np.random.default_rng(arguments.seed).permutation(len(dataset.x_train))
    data = dataset.x_train[rows[:CALIBRATION_SAMPLES]], dataset.y_train[rows[:CALIBRATION_SAMPLES]]
    budgets, _ = budgets_of(name, arguments.budgets)
    if arguments.widths == "uniform":
        graph, _ = read_model(model)
        nested = nest(model, data, plan=uniform_plan(graph, (*budgets, 1.0)))
    else:
        objective = "measured" if arguments.widths == "measured" else "width"
        nested = nest(model, data, budgets, objective=objective)
    print(nested.plan, flush=True)
    start = time.monotonic()
    others = nested.subnet_count - 1
    weights = [1.0] * others + [others * recipe.full_share / (1 - recipe.full_share)]
    if not recipe.augmented:
        dataset = replace(dataset, augment=None)
    fine_tune(
        nested, dataset, epochs, recipe.batch_size, recipe.rate, arguments.distillation,
        model if recipe.trust else None, recipe.trust, (_Lines(), SubnetSampler(weights=weights)),
        mixing=recipe.mixing, checkpoints=folder / "checkpoints",
    )  # fmt: skip
    seconds = time.monotonic() - start
    duration.write_text(f"{seconds:.1f}")
    nested.save(trained)
    return nested, seconds


class _Lines(keras.callbacks.Callback):
    """A line for each epoch."""

    def on_epoch_end(self, epoch, logs=None) -> None:
        shown = {k: round(v, 4) for k, v in (logs or {}).items() if "val_acc" in k or k == "loss"}
        print(epoch + 1, shown, flush=True)


def quantized(nested: NestedModel, dataset: Dataset) -> QuantizedNet:
    """The int8 network, calibrated on the training part."""
    return quantize(nested, spread(dataset.inputs, QUANTISATION_SAMPLES), labels=dataset.labels)


def correct_int8(net: QuantizedNet, x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Whether the host-compiled C is right, bool [subnets, samples]."""
    x = net.quantize_input(x)
    with tempfile.TemporaryDirectory() as temporary:
        host = HostLibrary(lower(net), temporary)
        outputs = [host.run(x, k) for k in range(net.subnet_count)]
    return np.stack([output.argmax(-1) == y for output in outputs])


def exact_figures(name: str, net: QuantizedNet, data: Path) -> list[dict[str, float]]:
    """Per subnet, accuracies on the 1,000 exact images of CIFAR-10; of others nothing."""
    if ZOO[name].dataset != "cifar10":
        return [{}] * net.subnet_count
    x, y = load_cifar10_test(data, test="lossless")
    before = np.mean(load_zoo(name, data)[0].predict(x, verbose=0).argmax(-1) == y)
    return [
        {"accuracy_exact": float(right.mean()), "accuracy_exact_pretrained": float(before)}
        for right in correct_int8(net, x, y)
    ]


def correct(outputs: np.ndarray, dataset: Dataset) -> np.ndarray:
    """Whether each test sample is right, bool [n]."""
    return outputs.argmax(-1) == dataset.y_test


def interval(worse: np.ndarray, paper_drop: float) -> tuple[float, float]:
    """95 % bootstrap interval in points of mean(worse) less `paper_drop`.

    Args:
        worse: per test sample, pretrained right less ours right: -1, 0 or 1.
    """
    random = np.random.default_rng(0)
    rows = random.integers(0, len(worse), (RESAMPLES, len(worse)))
    means = 100 * worse[rows].mean(axis=1) - paper_drop
    low, high = np.percentile(means, [2.5, 97.5])
    return float(low), float(high)


def rows_of(arguments: argparse.Namespace, command: str) -> list[dict]:
    """Train, quantise, measure: one row for each subnet."""
    name = arguments.network
    dataset = load_dataset(ZOO[name].dataset, arguments.data)
    folder = arguments.out / f"{name}-{arguments.budgets}-{arguments.widths}-{arguments.seed}"
    nested, seconds = train(arguments, dataset, folder)
    before = correct(load_zoo(name, arguments.data)[0].predict(dataset.x_test, verbose=0), dataset)
    outputs = nested.predict(dataset.x_test, verbose=0, batch_size=256)
    net = quantized(nested, dataset)
    net.save(folder / "quantized.npz")
    right = correct_int8(net, dataset.x_test, dataset.y_test)
    exact = exact_figures(name, net, arguments.data)
    _, labels = budgets_of(name, arguments.budgets)
    rows = []
    for k, budget in enumerate(nested.plan.budgets):
        paper = paper_figures(name, arguments.budgets, labels[budget])
        worse = before.astype(int) - right[k]
        low, high = interval(worse, paper.get("paper_drop", 0.0))
        rows.append(
            {
                "run": f"{name}/{arguments.budgets}/{arguments.widths}/{arguments.seed}",
                "name": name,
                "budgets": arguments.budgets,
                "widths_by": arguments.widths,
                "objective": nested.plan.objective,
                "seed": arguments.seed,
                "label": labels[budget],
                "mac_fraction": nested.plan.fractions[k],
                "widths": nested.plan.widths[k],
                "kilobytes_float": sum(a.size for a in nested.subnet_arrays(k).values()) * 4 / 1024,
                "accuracy_float": float(correct(outputs[k], dataset).mean()),
                "accuracy_int8": float(right[k].mean()),
                "accuracy_pretrained": float(before.mean()),
                "samples": len(before),
                "drop": 100 * float(worse.mean()),
                **exact[k],
                **paper,
                "interval": [low, high],
                "met": low <= 0 if paper else None,
                "epochs": arguments.epochs or RECIPES[name].epochs,
                "recipe": vars(RECIPES[name]) | {"distillation": arguments.distillation},
                "seconds": seconds,
                "versions": versions("keras", "tensorflow", "numpy"),
                "command": command,
            }
        )
    return rows


def paper_figures(name: str, budgets: str, label: int) -> dict[str, float]:
    """The paper's accuracy and drop for this label; empty if it has none."""
    net = PAPER.get(name)
    accuracies = {} if net is None else net.ten if budgets == "ten" else net.accuracy
    if label not in accuracies:
        return {}
    return {
        "paper_accuracy": accuracies[label],
        "paper_pretrained": net.pretrained,
        "paper_drop": net.pretrained - accuracies[label],
        "paper_kilobytes_float": net.kilobytes.get(label) if budgets != "ten" else None,
    }


def parse(arguments: list[str] | None = None) -> argparse.Namespace:
    """Parse the command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("network", choices=sorted(RECIPES))
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--budgets", choices=["labels", "paper", "ten"], default="labels")
    parser.add_argument("--widths", choices=["planned", "measured", "uniform"], default="planned")
    parser.add_argument("--distillation", type=float, default=0.5)
    parser.add_argument("--epochs", type=int, help="default: as in RECIPES")
    parser.add_argument("--out", type=Path, default=Path("build/accuracy"))
    return parser.parse_args(arguments)


def main() -> None:
    """One run."""
    arguments = parse()
    shown = [word for word in sys.argv[1:] if word != str(arguments.data)]
    command = " ".join(["python -m benchmarks.accuracy", *shown]).replace("--data", "--data DIR")
    rows = rows_of(arguments, command)
    for row in rows:
        keys = ("label", "mac_fraction", "accuracy_float", "accuracy_int8", "interval", "met")
        print({key: row[key] for key in keys})
    replace_rows("accuracy", rows, "run")


if __name__ == "__main__":
    sys.exit(main())
