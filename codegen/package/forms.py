"""The two forms of a package: the executor alone, or custom ops for TensorFlow Lite Micro."""

import hashlib
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path

from tflm_reds.codegen.firmware import Samples
from tflm_reds.codegen.governor.files import FOLDER as GOVERNOR
from tflm_reds.codegen.package.content import PackageContent
from tflm_reds.codegen.package.render import render
from tflm_reds.codegen.tflm.library import FOLDER as OPS
from tflm_reds.codegen.tflm.library import op_sources
from tflm_reds.codegen.writer import KERNELS
from tflm_reds.errors import PackageError
from tflm_reds.quantized import QuantizedNet


def standalone_content(
    net: QuantizedNet, samples: Samples, sources: Iterable[Path]
) -> PackageContent:
    """The executor, which needs nothing else.

    Args:
        sources: as `write_sources` returns them.

    Raises:
        PackageError: if another version of tflm-reds wrote them.
    """
    content = PackageContent(net, samples, {path.name: path.read_bytes() for path in sources})
    _check_version(content)
    return _tied(content, f"{content.name}.c")


def tflm_content(
    net: QuantizedNet,
    samples: Samples,
    model: bytes,
    arena_bytes: int,
    governor: Iterable[Path] = (),
) -> PackageContent:
    """The custom ops and the .tflite file, for a TensorFlow Lite Micro that the user has.

    Args:
        model: what `write_reds_model` wrote.
        arena_bytes: what the interpreter needs.
        governor: its files, and those of the subnets' costs if they are known.
    """
    headers = [*OPS.glob("*.h"), *KERNELS.glob("*.h")]
    files = (*op_sources(), *headers, *governor)
    sources = {path.name: path.read_bytes() for path in files}
    content = PackageContent(net, samples, sources, model, arena_bytes)
    for suffix in ("h", "cpp"):
        sources[f"{content.name}.{suffix}"] = render(content, f"model.{suffix}.j2")
    return _tied(content, f"{content.name}.cpp")


def _check_version(content: PackageContent) -> None:
    for ours in (*KERNELS.glob("*.[ch]"), *GOVERNOR.glob("*.[ch]")):
        if content.sources.get(ours.name, ours.read_bytes()) != ours.read_bytes():
            raise PackageError(
                f"{ours.name} comes from another version of tflm-reds than this one. Build the "
                "model again: a nested model needs no training (python -m tflm_reds.build "
                "nested.keras)."
            )


def _tied(content: PackageContent, model_file: str) -> PackageContent:
    """`content` with a reference from the model to the kernels that it was made for.

    Two models in one program share the kernels of the first library. Were these of another version
    (another order of the packed weights, say), the program would link and compute nonsense: with
    this reference the linker also takes the second library's kernels, and tells of two.
    """
    digest = hashlib.sha256()
    for path in sorted(KERNELS.glob("*.[ch]")):
        digest.update(path.read_bytes())
    symbol = f"reds_kernels_{digest.hexdigest()[:8]}"
    language = '"C" ' if model_file.endswith(".cpp") else ""
    reference = (
        "\n/* Of the kernels that this model was made for: another version's do not link. */\n"
        f"extern {language}const char {symbol};\n"
        f"extern {language}const char *const {content.prefix}_kernels;\n"
        f"const char *const {content.prefix}_kernels = &{symbol};\n"
    )
    definition = f"\nextern const char {symbol};\nconst char {symbol} = 0;\n"
    sources = dict(content.sources)
    sources[model_file] += reference.encode()
    sources["reds.c"] += definition.encode()
    return replace(content, sources=sources)
