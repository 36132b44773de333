"""Keras callbacks for nested training.

They set variables that the traced loss reads, so they also work in a second `fit`. Only
`QuantizationAware` has the model traced anew, twice: a graph that could round would cost every
training that does not.
"""

import warnings
from collections.abc import Iterable
from pathlib import Path

import keras
import numpy as np

from tflm_reds.errors import DataError, ModelError
from tflm_reds.fake_quantization import FakeQuantization
from tflm_reds.files import atomic_path
from tflm_reds.nested_model import NestedModel
from tflm_reds.quantization import activation_ranges, rounding_scales
from tflm_reds.recalibration import recalibrate
from tflm_reds.sampling import spread


class _NestedCallback(keras.callbacks.Callback):
    """Refuses models that are not nested."""

    def set_model(self, model: keras.Model) -> None:
        """Bind to `model`; called by Keras before training."""
        if not isinstance(model, NestedModel):
            raise ModelError(
                f"{type(self).__name__} works on a NestedModel, got {type(model).__name__}. "
                "Nest the model first: nested = tflm_reds.nest(model, ...)."
            )
        super().set_model(model)


class SubnetSampler(_NestedCallback):
    """Chooses which subnets count in the loss of each batch.

    Args:
        mode: "all" trains every subnet on every batch; "sandwich" the smallest, the full network
            and one drawn at random between them (Yu and Huang, 2019).
        weights: loss weight of each subnet, smallest first; default 1 for each.
        seed: of the draw.

    Skipped subnets still run forward (their batch-norm statistics stay fresh), so "sandwich"
    changes the gradient, not the time of a step.
    """

    def __init__(self, mode: str = "all", weights=None, seed: int = 0) -> None:
        super().__init__()
        if mode not in ("all", "sandwich"):
            raise DataError(f"SubnetSampler mode {mode!r} does not exist. Use 'all' or 'sandwich'.")
        self.mode, self.weights, self.seed = mode, weights, seed

    def on_train_begin(self, logs=None) -> None:
        """Set the weights; start the draw anew."""
        count = self.model.subnet_count
        self._base = np.ones(count) if self.weights is None else np.asarray(self.weights, float)
        if self._base.shape != (count,) or (self._base < 0).any() or not self._base.any():
            raise DataError(
                f"SubnetSampler needs {count} loss weights >= 0, one for each subnet, got "
                f"{self.weights}."
            )
        if self.mode == "sandwich" and self.model.steps_per_execution > 1:
            raise DataError(
                f"steps_per_execution={self.model.steps_per_execution} hides batches from "
                "SubnetSampler('sandwich'). Compile with steps_per_execution=1."
            )
        self._random = np.random.default_rng(self.seed)
        self.model.subnet_weights.assign(self._base)

    def on_train_batch_begin(self, batch, logs=None) -> None:
        """Draw the middle subnet of the sandwich."""
        if self.mode == "sandwich" and len(self._base) > 2:
            chosen = [0, self._random.integers(1, len(self._base) - 1), len(self._base) - 1]
            mask = np.zeros_like(self._base)
            mask[chosen] = self._base[chosen]
            self.model.subnet_weights.assign(mask)

    def on_test_begin(self, logs=None) -> None:
        """Validation loss weighs every subnet."""
        if hasattr(self, "_base"):
            self.model.subnet_weights.assign(self._base)


class Distillation(_NestedCallback):
    """Lets the smaller subnets learn from the full network's output as well as from the labels.

    Args:
        alpha: share of the distillation term in a smaller subnet's loss, 0..1.
        temperature: softens both outputs; the term is scaled by its square.
    """

    def __init__(self, alpha: float = 0.5, temperature: float = 1.0) -> None:
        super().__init__()
        if not 0.0 <= alpha <= 1.0 or temperature <= 0.0:
            raise DataError(
                f"Distillation needs alpha in 0..1 and temperature > 0, got {alpha}, {temperature}."
            )
        self.alpha, self.temperature = alpha, temperature

    def on_train_begin(self, logs=None) -> None:
        """Switch distillation on."""
        self.model.temperature.assign(self.temperature)
        self.model.distillation_alpha.assign(self.alpha)

    def on_train_end(self, logs=None) -> None:
        """Switch it off: a later fit without the callback trains on labels alone."""
        self.model.distillation_alpha.assign(0.0)


class RecalibrateBatchNorm(_NestedCallback):
    """Measures every subnet's batch-norm statistics anew before each validation.

    It runs in `on_test_begin`, so the weights that a checkpoint saves after the epoch are exactly
    those that were validated.

    Args:
        x: all kinds of inputs [n, ...] that the training sees, in any order.
        batch_size: large batches estimate the variance better.
        samples: at most so many inputs are used, evenly spaced.
    """

    def __init__(self, x: np.ndarray, batch_size: int = 256, samples: int = 8192) -> None:
        super().__init__()
        self.x, self.batch_size = spread(x, samples), batch_size

    def on_test_begin(self, logs=None) -> None:
        """Recalibrate all subnets."""
        recalibrate(self.model, self.x, self.batch_size)


class BestSubnets(_NestedCallback):
    """Keeps the weights of the epoch with the best mean validation metric over all subnets.

    An epoch whose losses are not finite does not compete.

    Args:
        metric: name without the budget, as in `compile(metrics=...)`.
        verbose: 1 prints the epoch that was kept.
        path: an `.npz` file that holds the best epoch so far, so that a training that is killed
            and goes on (`keras.callbacks.BackupAndRestore`) still knows it. Default: none.
        start_epoch: epochs before it do not compete: those of float training cannot be compared
            with those of quantisation-aware training.
    """

    def __init__(
        self,
        metric: str = "accuracy",
        verbose: int = 0,
        path: str | Path | None = None,
        start_epoch: int = 0,
    ) -> None:
        super().__init__()
        self.metric, self.verbose, self.path = metric, verbose, path and Path(path)
        self.start_epoch = start_epoch

    def on_train_begin(self, logs=None) -> None:
        """Forget earlier runs, but for the one in `path`."""
        self.best, self.best_epoch, self._weights = -np.inf, None, None
        if self.path and self.path.exists():
            with np.load(self.path) as file:
                self.best, self.best_epoch = float(file["best"]), int(file["epoch"])
                self._weights = [file[f"weight{i}"] for i in range(len(file.files) - 2)]

    def on_epoch_end(self, epoch, logs=None) -> None:
        """Remember the weights if this epoch is the best so far."""
        if epoch < self.start_epoch:
            return
        names = [f"val_{self.metric}_{name}" for name in self.model.subnet_names]
        missing = [name for name in names if name not in (logs or {})]
        if missing:
            raise DataError(
                f"BestSubnets needs {missing[0]!r} in the logs. Pass validation_data to fit() and "
                f"metrics=[{self.metric!r}] to compile()."
            )
        mean = float(np.mean([logs[name] for name in names]))
        finite = _all_finite(logs.get(name, 0.0) for name in ("loss", "val_loss"))
        if finite and mean > self.best:
            self.best, self.best_epoch = mean, epoch
            # Not the settings of other callbacks, which are variables of the model too.
            self._weights = self.model.backbone.get_weights()
            self._save()

    def _save(self) -> None:
        if self.path is None:
            return
        weights = {f"weight{i}": weight for i, weight in enumerate(self._weights)}
        with atomic_path(self.path) as temporary, temporary.open("wb") as stream:
            np.savez(stream, best=self.best, epoch=self.best_epoch, **weights)

    def on_train_end(self, logs=None) -> None:
        """Put the best weights back."""
        if self._weights is not None:
            self.model.backbone.set_weights(self._weights)
            if self.verbose:
                print(f"BestSubnets: epoch {self.best_epoch + 1}, mean {self.best:.4f}")


class QuantizationAware(_NestedCallback):
    """Trains with int8's rounding of weights and activations, which then costs less accuracy.

    `tflm_reds.quantize` afterwards uses the activation ranges of this training. Validation inside
    `fit` rounds too: it measures the int8 network, up to its integer biases.

    Args:
        x: calibration inputs [n, ...] for the activation ranges, which are measured once, when
            rounding starts, and again in a `fit` that goes on after a kill.
        start_epoch: first epoch that rounds; train in float before it.

    Raises:
        QuantizationError: in `fit`, if a layer has no int8 form.
    """

    def __init__(self, x: np.ndarray, start_epoch: int = 0) -> None:
        super().__init__()
        if start_epoch < 0 or not len(x):
            raise DataError(
                f"QuantizationAware needs start_epoch >= 0 and calibration inputs, got "
                f"{start_epoch} and {len(x)} inputs."
            )
        self.x, self.start_epoch = x, start_epoch

    def on_epoch_begin(self, epoch, logs=None) -> None:
        """Measure the ranges once, and round from `start_epoch` on."""
        if epoch >= self.start_epoch and self.model.fake_quantization is None:
            recalibrate(self.model, self.x)
            self.model.ranges = activation_ranges(self.model, self.x)
            scales = rounding_scales(self.model.graph, self.model.ranges)
            self.model.fake_quantization = FakeQuantization(scales)
            self.model.make_train_function()

    def on_train_end(self, logs=None) -> None:
        """Predictions after training are those of the float network."""
        self.model.fake_quantization = None


class StopOnNaN(keras.callbacks.Callback):
    """Stops on a loss or weights that are not finite; puts the last good epoch's weights back.

    Works on any Keras model. `BestSubnets` beside it still chooses the best of the good epochs.
    """

    def on_train_begin(self, logs=None) -> None:
        """Forget an earlier run."""
        self.stopped_epoch = None

    def on_epoch_begin(self, epoch, logs=None) -> None:
        """What the epoch before left is good: it was checked, or loaded from a checkpoint."""
        self._epoch, self._good = epoch, self.model.get_weights()

    def on_train_batch_end(self, batch, logs=None) -> None:
        """Stop at the first loss that is not finite."""
        loss = (logs or {}).get("loss")
        if loss is not None and not np.isfinite(loss) and self.stopped_epoch is None:
            self._stop(f"The loss became {loss} in epoch {self._epoch + 1}, batch {batch + 1}.")

    def on_epoch_end(self, epoch, logs=None) -> None:
        """Put the last good weights back if the epoch failed, be it in its very last update."""
        if self.stopped_epoch is None and not _all_finite(self.model.get_weights()):
            self._stop(f"Weights became NaN or infinite at the end of epoch {epoch + 1}.")
        if self.stopped_epoch is not None:
            self.model.set_weights(self._good)

    def _stop(self, what: str) -> None:
        self.stopped_epoch = self._epoch
        self.model.stop_training = True
        warnings.warn(
            f"{what} Training stopped; the weights are those of the last good epoch. Lower the "
            "learning rate, and look for NaN in the data.",
            stacklevel=2,
        )


def _all_finite(arrays: Iterable[np.ndarray | float]) -> bool:
    return all(np.isfinite(array).all() for array in arrays)
