"""The data files that the loaders know, and what to say when one of them is broken.

A checksum is computed only after something else went wrong: reading an `.npz` checks the CRC-32 of
every array anyway.
"""

import hashlib
from pathlib import Path

from tflm_reds.errors import DataError

SHA256 = {
    "cifar10_jpeg.npz": "2a0eb74eeba42a9fe17737bf8c924f7b31a77c24d3d1a572854141cc1e50a156",
    "cifar10_lossless.npz": "29141b218d4736dd8e8d99d4f47a5cdff790b38600c9151395ab427dfd3dcdbc",
    "fashion_mnist.npz": "188c9226d11c4e8197a3b7023823024706d588e520b87c80c2247efcd134b714",
    "kws_speech_commands_mfcc.npz": (
        "c999ab779382d19628e5c4b515a3c947eda33bf160fffe5c9b87c10f315ee3c6"
    ),
    "models_original.zip": "1423bced319c1cbef40d42dd96e2fb4acfc95d14277f9aceff14877aa603359a",
    "vww_person_96.npz": "9bc71961c9e2519c5ad927765bdd71495542cfc205ad6035b24d4fdc2b8ed85a",
    "weights_float.npz": "cd07ce1cd6494c66c3cacf04b846513857e9f7b2f724a3c78676d19b524f7da6",
}


def broken_file(path: Path, what: str) -> DataError:
    """The error for a data file: what is wrong with it, and the checksums of one that is known."""
    return DataError(f"{path}: {what.rstrip('.')}. {_checksums(path)}Fetch the file again.")


def _checksums(path: Path) -> str:
    expected = SHA256.get(path.name)
    if expected is None or not path.is_file():
        return ""
    with path.open("rb") as file:
        found = hashlib.file_digest(file, "sha256").hexdigest()
    if found == expected:
        return f"Its sha256 is as expected, {expected}: the file is whole, but not what was asked. "
    return f"Its sha256 should be {expected}, found {found}. "
