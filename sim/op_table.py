"""The ops of a model inside an image, and where the executor runs them."""

import struct
from dataclasses import dataclass

from tflm_reds.errors import SimulationError
from tflm_reds.sim.elf import Elf

OP_BYTES = 12
"""Of `reds_op` on a 32-bit core: three pointers, of which the first is the name."""


@dataclass(frozen=True)
class OpTable:
    """The ops of one model, in order of execution.

    Attributes:
        run_op: address of `reds_run_op`, whose second argument is the address of an op.
        start: address of the first op.
        names: of the ops, all different.
    """

    run_op: int
    start: int
    names: tuple[str, ...]

    @classmethod
    def find(cls, elf: Elf, model: str) -> "OpTable":
        """The ops of the `reds_model` called `<model>_model`.

        Raises:
            SimulationError: if the image lacks it, or if two ops have one name, so that their
                counts could not be told apart.
        """
        _, start, count = struct.unpack("<III", elf.read(elf.symbol(f"{model}_model").address, 12))
        table = struct.iter_unpack("<III", elf.read(start, OP_BYTES * count))
        names = tuple(elf.read_string(name) for name, _, _ in table)
        if len(set(names)) < len(names):
            raise SimulationError(f"Two ops of {model} in {elf.path.name} share a name: {names}.")
        return cls(elf.symbol("reds_run_op").address, start, names)

    def index(self, address: int) -> int:
        """The number of the op at `address`."""
        return (address - self.start) // OP_BYTES


NO_OPS = OpTable(run_op=1, start=0, names=())
"""Of an image without a model: no code begins at an odd address."""
