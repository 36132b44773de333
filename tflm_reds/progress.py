"""Progress of a long command: one line a stage, with its seconds; quiet in tests."""

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TextIO

import keras


@dataclass
class Progress:
    """Prints stages to `stream` (stderr by default, so that stdout holds only the result)."""

    total: int
    quiet: bool = False
    stream: TextIO = field(default_factory=lambda: sys.stderr)
    done: int = 0

    @contextmanager
    def stage(self, title: str) -> Iterator[None]:
        """Announce a stage, run the block, print its seconds."""
        self.done += 1
        self._print(f"[{self.done:2d}/{self.total}] {title}")
        start = time.monotonic()
        yield
        self.say(f"{time.monotonic() - start:.1f} s")

    def say(self, text: str) -> None:
        """A line below the current stage."""
        self._print(f"        {text}")

    def epochs(self, total: int) -> keras.callbacks.Callback:
        """A callback that prints about ten lines of validation accuracy in a nested fit."""
        return _EpochLines(self, total)

    def _print(self, text: str) -> None:
        if not self.quiet:
            print(text, file=self.stream, flush=True)


class _EpochLines(keras.callbacks.Callback):
    def __init__(self, progress: Progress, total: int) -> None:
        super().__init__()
        self.progress, self.total = progress, total

    def on_epoch_end(self, epoch: int, logs=None) -> None:
        """Print a line for about every tenth of the epochs, and for the last."""
        every = max(1, self.total // 10)
        if (epoch + 1) % every and epoch + 1 != self.total:
            return
        logs = logs or {}
        accuracies = {name: logs.get(f"val_accuracy_{name}") for name in self.model.subnet_names}
        shown = [
            f"{name} %: {value:.3f}" for name, value in accuracies.items() if value is not None
        ]
        self.progress.say(
            f"epoch {epoch + 1}/{self.total}: loss {logs.get('loss', float('nan')):.3f}"
            + (f", validation accuracy {', '.join(shown)}" if shown else "")
        )
