"""What the build command was asked for, and the data and model that it stands for."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import keras

from tflm_reds.budget import Budget, combined_budgets
from tflm_reds.datasets import Dataset, from_arrays, from_image_folder, load_dataset
from tflm_reds.device_options import DeviceOptions, take_device_options
from tflm_reds.errors import DataError, ModelError
from tflm_reds.graph import LayerGraph
from tflm_reds.keras_reader import load_model, read_model
from tflm_reds.latency import LatencyTable
from tflm_reds.nested_model import NestedModel
from tflm_reds.zoo import ZOO, load_zoo

DEFAULT_ZOO = "digits_ds_cnn"
DEFAULT_EPOCHS = 30


@dataclass(frozen=True)
class BuildOptions:
    """Arguments of one build; see `python -m tflm_reds.build --help`."""

    model: Path | None = None
    zoo: str | None = None
    data: Path | None = None
    dataset: str | None = None
    calibration: Path | None = None
    pixel_range: Sequence[float] = (0.0, 1.0)
    out: Path | None = None
    name: str | None = None
    board: str = "nano33ble"
    sim: str = "unicorn"
    optimize: str = "speed"
    tuning: bool = True
    budgets: Sequence[float] | None = None
    label: Sequence[float] | None = None
    ram: Sequence[int] | None = None
    flash: Sequence[int] | None = None
    ms: Sequence[float] | None = None
    uj: Sequence[float] | None = None
    latency: Path | None = None
    minimum: int = 1
    multiple: int = 1
    direction: str = "bottom-up"
    objective: str = "width"
    batch_norm: str = "per_subnet"
    float_epochs: int = 15
    epochs: int | None = None
    quantization_epochs: int = 0
    learning_rate: float | None = None
    batch_size: int = 64
    distillation: float = 0.5
    soft_labels: float = 0.9
    seed: int = 0
    compare: int = 200
    tflm: bool = True
    package: Sequence[str] = ()
    standalone: bool = False
    tflm_tree: Path | None = None
    target: str = "board"
    device: DeviceOptions = field(default_factory=DeviceOptions)
    check: Path | None = None
    update_budgets: Path | None = None
    quiet: bool = False

    @classmethod
    def from_arguments(cls, values: Mapping[str, Any]) -> "BuildOptions":
        """The options of a parsed command line, by name."""
        values = dict(values)
        device = take_device_options(values)
        return cls(**values, device=device)

    @property
    def folder(self) -> Path:
        """Where the results go."""
        name = self.model.stem if self.model else self.zoo or "digits"
        return self.out or Path("build") / name

    @property
    def subnets(self) -> tuple[Budget, ...]:
        """What each subnet below the full network may cost."""
        return combined_budgets(
            macs=self.budgets, label=self.label, ram=self.ram, flash=self.flash, ms=self.ms,
            uj=self.uj,
        )  # fmt: skip

    @property
    def planning(self) -> dict[str, Any]:
        """How `nest` plans, and what it shares."""
        return {
            "direction": self.direction,
            "objective": self.objective,
            "minimum": self.minimum,
            "multiple": self.multiple,
            "latency": LatencyTable.load(self.latency) if self.latency else None,
            "batch_norm": self.batch_norm,
        }

    def joint_rate(self, trained: bool) -> float:
        """Learning rate of joint training: gentle with weights that know more than this data."""
        if self.learning_rate is not None:
            return self.learning_rate
        return 1e-3 if trained else 3e-3

    def nested_epochs(self, nested: bool) -> int:
        """Epochs of joint fine-tuning; by default a model that is nested already gets none."""
        if self.epochs is not None:
            return self.epochs
        return 0 if nested else DEFAULT_EPOCHS


@dataclass(frozen=True)
class Task:
    """A model and its data.

    Attributes:
        trained: whether the weights are worth nesting; otherwise the build trains them first.
    """

    model: keras.Model
    dataset: Dataset
    trained: bool

    @property
    def graph(self) -> LayerGraph:
        """Layers of the model."""
        nested = isinstance(self.model, NestedModel)
        return self.model.graph if nested else read_model(self.model)[0]


def load_task(options: BuildOptions) -> Task:
    """Load the model and the data that `options` name.

    Raises:
        ModelError, DataError: if either is missing or unfit.
    """
    model, name, trained = _load_model(options)
    return Task(model, _load_data(options, model, name), trained)


def _load_model(options: BuildOptions) -> tuple[keras.Model, str | None, bool]:
    """(model, name in the zoo, whether it is trained)."""
    if options.model is not None:
        if options.zoo is not None:
            raise ModelError(f"Give either {options.model} or --zoo {options.zoo}, not both.")
        return load_model(options.model), None, True
    name = options.zoo or DEFAULT_ZOO
    model, pretrained = load_zoo(name, options.data)
    return model, name, pretrained


def _load_data(options: BuildOptions, model: keras.Model, name: str | None) -> Dataset:
    """The user's own data, or the data set that was named, or that of the zoo's network."""
    if options.calibration is not None and options.dataset is not None:
        raise DataError(
            f"Give either --calibration {options.calibration} or --dataset {options.dataset}."
        )
    if options.calibration is not None:
        return own_data(options.calibration, model, options.pixel_range)
    if options.dataset is None and name is None:
        raise DataError(
            f"{options.model} needs data: --calibration FILE.npz with arrays x and y as in "
            "training, and x_validation, y_validation, x_test, y_test to choose and to measure by; "
            "or --calibration FOLDER of images, or --dataset NAME."
        )
    return load_dataset(options.dataset or ZOO[name].dataset, options.data)


def own_data(path: Path, model: keras.Model, pixel_range: Sequence[float]) -> Dataset:
    """Arrays from an `.npz` file, or images from a folder, resized to what `model` takes."""
    if not path.is_dir():
        return from_arrays(path)
    nested = isinstance(model, NestedModel)
    shape = model.graph.nodes[0].shape if nested else model.input_shape[1:]
    return from_image_folder(path, shape, tuple(pixel_range))
