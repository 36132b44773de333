"""Each subnet as a plain .tflite file, float32 and int8, for phones and Linux (docs/phones.md)."""

import json
import tempfile
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import keras

from tflm_reds.datasets import Dataset
from tflm_reds.errors import ToolchainError
from tflm_reds.files import atomic_path, write_text
from tflm_reds.litert_runner import LitertRunner, litert_version
from tflm_reds.nested_model import NestedModel
from tflm_reds.quantized import QuantizedNet
from tflm_reds.training import accuracy

FORMS = ("float32", "int8")


@dataclass(frozen=True)
class LitertModel:
    """One file of one subnet.

    Attributes:
        form: "float32" or "int8".
        file: its name.
        bytes: its size.
        accuracy: on the test set in LiteRT; None without test data.
        reference: the same of Keras (float32) or of the generated C (int8).
        host_ms: median time of an inference on the machine that built it, one thread.
    """

    subnet: int
    form: str
    file: str
    bytes: int
    accuracy: float | None
    reference: float | None
    host_ms: float


@dataclass(frozen=True)
class LitertReport:
    """All files of one network.

    Attributes:
        nested_bytes: of the one .tflite file that holds all subnets as int8, for TFLM.
        samples: in the test set.
    """

    models: tuple[LitertModel, ...]
    nested_bytes: int
    samples: int
    runtime: str

    def total_bytes(self, form: str) -> int:
        """Sum of the sizes of all files of one form."""
        return sum(model.bytes for model in self.models if model.form == form)

    def save(self, folder: Path) -> None:
        """Write `litert.json` and `litert.md`."""
        totals = {form: self.total_bytes(form) for form in FORMS}
        content = {"schema": 1, **asdict(self), "total_bytes": totals}
        write_text(folder / "litert.json", json.dumps(content, indent=1) + "\n")
        write_text(folder / "litert.md", render_litert(self) + "\n")


def write_litert(
    nested: NestedModel,
    net: QuantizedNet,
    dataset: Dataset,
    references: dict[str, Sequence[float | None]],
    folder: Path,
) -> LitertReport:
    """Write `<name>_<subnet>_<form>.tflite` for every subnet and form, run and time them.

    Args:
        net: `nested` as int8.
        references: accuracies of the subnets by form, to compare with.

    Raises:
        ToolchainError: if LiteRT, flatbuffers or a Keras that exports LiteRT is missing.
        OutputError: if `folder` cannot be written.
    """
    from tflm_reds.tflite_io import write_stock_model

    inputs = {"float32": dataset.x_test, "int8": net.quantize_input(dataset.x_test)}
    models = []
    for k in range(net.subnet_count):
        paths = {form: folder / f"{net.name}_{k}_{form}.tflite" for form in FORMS}
        write_float_model(nested.subnet(k), paths["float32"])
        write_stock_model(net.slice(k), paths["int8"])
        for form, path in paths.items():
            runner = LitertRunner(path)
            found = accuracy(runner.run(inputs[form]), dataset.y_test)
            facts = (path.stat().st_size, found, references[form][k], runner.milliseconds())
            models.append(LitertModel(k, form, path.name, *facts))
    size = nested_bytes(net)
    return LitertReport(tuple(models), size, len(dataset.x_test), litert_version())


def write_float_model(model: keras.Model, path: Path) -> Path:
    """Write a plain Keras model as a float32 .tflite of batch 1, batch-norms folded.

    Raises:
        ToolchainError: if this Keras cannot, or its converter refuses the model.
        OutputError: if the file cannot be written.
    """
    shape = (1, *model.input_shape[1:])
    signature = [keras.InputSpec(shape=shape, dtype="float32")]
    with atomic_path(path) as temporary, tempfile.TemporaryDirectory() as folder:
        exported = Path(folder) / "model.tflite"
        try:
            model.export(exported, format="litert", input_signature=signature, verbose=False)
        except (ValueError, TypeError, RuntimeError, ImportError) as error:
            raise ToolchainError(
                f"Keras {keras.__version__} cannot export {model.name} to LiteRT: {error} Run "
                "`pip install 'tflm-reds[litert]'`, which brings Keras 3.13.1 or later."
            ) from error
        temporary.write_bytes(exported.read_bytes())
    return path


def nested_bytes(net: QuantizedNet) -> int:
    """Size of the one .tflite file with all subnets, int8, with our custom ops."""
    from tflm_reds.tflite_io import write_reds_model

    with tempfile.TemporaryDirectory() as folder:
        return write_reds_model(net, Path(folder) / "nested.tflite").stat().st_size


def render_litert(report: LitertReport) -> str:
    """The table of files, and the sum of their sizes."""
    lines = ["| subnet | form | bytes | accuracy | reference | ms on the building host |"]
    lines.append("|---:|---|---:|---:|---:|---:|")
    for model in report.models:
        shares = (model.accuracy, model.reference)
        percent = ["-" if share is None else f"{100 * share:.2f} %" for share in shares]
        cells = (model.subnet, model.form, f"{model.bytes:,}", *percent, f"{model.host_ms:.3f}")
        lines.append(f"| {' | '.join(map(str, cells))} |")
    count = len(report.models) // len(FORMS)
    return "\n".join(lines) + (
        f"\n\nAll {count} float32 files: {report.total_bytes('float32'):,} B; all {count} int8 "
        f"files: {report.total_bytes('int8'):,} B; the one nested int8 .tflite for TFLM: "
        f"{report.nested_bytes:,} B. {report.samples:,} test samples; {report.runtime}, XNNPACK, "
        "one thread; times measured on the building host, not on a phone. Reference: Keras for "
        "float32, the generated C for int8, from which XNNPACK may differ by a few steps."
    )
