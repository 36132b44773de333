"""What a package holds in every ecosystem: the sources of one model, in one of two forms."""

from collections.abc import Mapping
from dataclasses import dataclass

from tflm_reds.codegen import cformat
from tflm_reds.codegen.firmware import Samples
from tflm_reds.quantized import QuantizedNet


@dataclass(frozen=True)
class PackageContent:
    """One model as source files, and what the examples must know of it.

    Attributes:
        net: the network; its labels name the classes.
        samples: embedded in the example.
        sources: bytes of each file of the folder src/, by name.
        model: the .tflite file that is among the sources as an array; None without TFLM.
        arena_bytes: for TFLM's interpreter; None without TFLM.
    """

    net: QuantizedNet
    samples: Samples
    sources: Mapping[str, bytes]
    model: bytes | None = None
    arena_bytes: int | None = None

    @property
    def prefix(self) -> str:
        """The C identifier that the model's symbols start with."""
        return cformat.identifier(self.net.name, "model")

    @property
    def name(self) -> str:
        """Of the package, its main header, CMake target, component and module.

        Not the bare prefix: a model called `time` must not bring a header <time.h>.
        """
        return f"{self.prefix}_model"

    @property
    def tflm(self) -> bool:
        """Whether the model runs in TensorFlow Lite Micro."""
        return self.model is not None
