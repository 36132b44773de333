"""The `.npz` file of a QuantizedNet: JSON structure and arrays, the same bytes for the same net."""

import json
import zipfile
from collections.abc import Iterator, Mapping
from dataclasses import asdict, fields, replace
from pathlib import Path
from typing import BinaryIO

import numpy as np

from tflm_reds.errors import ModelError
from tflm_reds.files import atomic_path
from tflm_reds.quantized import QuantizedNet, QuantOp
from tflm_reds.quantized_tensor import QuantPart, QuantTensor

SCHEMA = 2


def save_net(net: QuantizedNet, path: str | Path) -> Path:
    """Write `net` to `path`, atomically."""
    with atomic_path(path) as temporary, temporary.open("wb") as stream:
        _write_npz(stream, _structure(net), dict(_arrays(net)))
    return Path(path)


def load_net(path: str | Path) -> QuantizedNet:
    """Read a file written by `save_net`.

    Raises:
        ModelError: if the file is missing or corrupt.
    """
    try:
        with np.load(path) as file:
            structure = json.loads(file["structure"].tobytes())
            if structure["schema"] != SCHEMA:
                raise ValueError(f"schema {structure['schema']}, this version reads {SCHEMA}")
            return _from_structure(structure, file)
    except (OSError, ValueError, KeyError, TypeError, zipfile.BadZipFile) as error:
        raise ModelError(
            f"{path} is not a quantised network ({error}). Build the model again."
        ) from error


_OP_FIELDS = tuple(f.name for f in fields(QuantOp) if f.name not in ("weights", "scales", "biases"))


def _structure(net: QuantizedNet) -> dict:
    return {
        "schema": SCHEMA,
        "name": net.name,
        "budgets": net.budgets,
        "labels": net.labels,
        "tensors": [asdict(tensor) for tensor in net.tensors.values()],
        "ops": [{key: getattr(op, key) for key in _OP_FIELDS} for op in net.ops],
    }


def _arrays(net: QuantizedNet) -> Iterator[tuple[str, np.ndarray]]:
    for op in net.ops:
        if op.weights is not None:
            yield f"{op.name}/weights", np.ascontiguousarray(op.weights)
            for k in range(len(op.biases)):
                yield f"{op.name}/scales/{k}", op.scales[k]
                yield f"{op.name}/biases/{k}", op.biases[k]


def _write_npz(stream: BinaryIO, structure: dict, arrays: dict[str, np.ndarray]) -> None:
    # numpy.savez stamps the current time into the zip; contract 8 asks for the same bytes.
    text = np.frombuffer(json.dumps(structure, sort_keys=True).encode(), np.uint8)
    with zipfile.ZipFile(stream, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, array in {"structure": text, **arrays}.items():
            with archive.open(zipfile.ZipInfo(f"{name}.npy"), "w") as member:
                np.lib.format.write_array(member, array, allow_pickle=False)


def _from_structure(structure: dict, file: Mapping[str, np.ndarray]) -> QuantizedNet:
    def restore(values: dict) -> dict:
        return {k: tuple(v) if isinstance(v, list) else v for k, v in values.items()}

    def with_arrays(op: QuantOp) -> QuantOp:
        if f"{op.name}/weights" not in file:
            return op
        count = len(structure["budgets"]) if op.is_linear else 0
        return replace(
            op,
            weights=file[f"{op.name}/weights"],
            scales=tuple(file[f"{op.name}/scales/{k}"] for k in range(count)),
            biases=tuple(file[f"{op.name}/biases/{k}"] for k in range(count)),
        )

    tensors = [_tensor(restore(tensor)) for tensor in structure["tensors"]]
    ops = [with_arrays(QuantOp(**restore(values))) for values in structure["ops"]]
    return QuantizedNet(
        name=structure["name"],
        tensors={tensor.name: tensor for tensor in tensors},
        ops=tuple(ops),
        budgets=tuple(structure["budgets"]),
        labels=tuple(structure["labels"]),
    )


def _tensor(values: dict) -> QuantTensor:
    parts = (QuantPart(part["size"], tuple(part["channels"])) for part in values.pop("parts"))
    return QuantTensor(**values, parts=tuple(parts))
