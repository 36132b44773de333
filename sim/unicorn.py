"""Runs an image in Unicorn: exact instruction counts by op and subnet, modelled cycles."""

import importlib.util
from collections import Counter
from functools import cached_property

import numpy as np

from tflm_reds.codegen.firmware import Firmware
from tflm_reds.sim.counting import make_counter
from tflm_reds.sim.counts import Counts
from tflm_reds.sim.cycles import CycleModel, cycle_model
from tflm_reds.sim.elf import Elf
from tflm_reds.sim.machine import Machine
from tflm_reds.sim.op_table import OpTable
from tflm_reds.sim.protocol import Limits, RunResult, SubnetRun
from tflm_reds.sim.session import Session, by_name, run_samples


class UnicornSession(Session):
    """A booted image whose functions can be called, with any number of inputs.

    Args:
        firmware: the image; it boots at once and must end with its final record.
        limits: of the boot, and of each later call.
        semihosting: print by semihosting instead of the board's serial port.
        counter: `make_counter`, or the class of one of the counters.

    Raises:
        SimulationError: if the image faults, passes a limit, or reports failures.
    """

    def __init__(
        self,
        firmware: Firmware,
        limits: Limits = Limits(),
        semihosting: bool = False,
        counter=make_counter,
    ):
        self.firmware, self.limits = firmware, limits
        self.elf = Elf.load(firmware.elf)
        self.ops = OpTable.find(self.elf, firmware.model)
        self.machine = Machine(firmware.board, self.elf, self.ops, semihosting, counter)
        self.machine.boot(limits)
        self.accept_boot(self.machine.console, self.machine.counter.instructions)

    def call(self, symbol: str, *arguments: int) -> int:
        """Call a function of the image with up to four 32-bit arguments; return r0."""
        return self.machine.call(self.address(symbol), arguments, self.limits)

    def measure(self, subnet: int, x: np.ndarray) -> SubnetRun:
        """Count one inference of `subnet` on one int8 input, its first and its second run."""
        self.invoke((subnet + 1) % len(self.firmware.samples.outputs), x)
        switch = self._count("reds_set_subnet", self.address("firmware_state"), subnet)
        first = self._count_inference(subnet)
        second = self._count_inference(subnet)
        self.machine.counter.count_accesses(True)
        accesses = self._count_inference(subnet)
        self.machine.counter.count_accesses(False)
        model, names = self._cycle_model, self.ops.names
        cycles = [model and model.estimate(accesses.slot(i)) for i in range(len(names))]
        per_op = [second.slot(i).instructions for i in range(len(names))]
        return SubnetRun(
            subnet=subnet,
            instructions=second.instructions,
            first_instructions=first.instructions,
            switch_instructions=switch.instructions,
            by_function=_by_function(self.elf, second),
            per_op=dict(zip(names, per_op, strict=True)),
            flash_reads=sum(accesses.flash_reads),
            cycles=model and model.estimate(accesses),
            cycles_per_op=dict(zip(names, cycles, strict=True)),
        )

    @cached_property
    def _cycle_model(self) -> CycleModel | None:
        board = self.firmware.board
        return cycle_model(board, self.elf.flash_image(board.image_origin))

    def _count_inference(self, subnet: int) -> Counts:
        return self._count(*self.inference(subnet))

    def _count(self, symbol: str, *arguments: int) -> Counts:
        self.machine.counter.reset()
        self.call(symbol, *arguments)
        return self.machine.counter.counts()


class UnicornSimulator:
    """The default simulator: in-process, by pip alone."""

    name = "unicorn"

    def available(self) -> bool:
        """Whether the Python packages are installed."""
        return all(importlib.util.find_spec(name) for name in ("unicorn", "capstone"))

    def run(self, firmware: Firmware, limits: Limits = Limits()) -> RunResult:
        """Run the image, then measure every subnet on its first embedded sample.

        Raises:
            SimulationError: on a fault, a passed limit, a missing final record, or wrong results.
        """
        return run_samples(UnicornSession(firmware, limits), self.name)


def _by_function(elf: Elf, counts: Counts) -> dict[str, int]:
    blocks: Counter[int] = Counter()
    for edge in counts.edges:
        blocks[int(edge["target"])] += int(edge["count"]) * int(edge["instructions"])
    return by_name(elf, blocks)
