"""Runs an image in Unicorn: exact instruction counts by op and subnet, modelled cycles."""

import importlib.util
from functools import cached_property

import numpy as np

from tflm_reds.codegen.firmware import Firmware
from tflm_reds.errors import DataError, SimulationError
from tflm_reds.sim.counting import make_counter
from tflm_reds.sim.counts import Counts
from tflm_reds.sim.cycles import CycleModel, cycle_model
from tflm_reds.sim.elf import Elf
from tflm_reds.sim.machine import Machine
from tflm_reds.sim.op_table import OpTable
from tflm_reds.sim.protocol import Limits, RunResult, SubnetRun
from tflm_reds.sim.records import check_records, find_record, parse_records


class UnicornSession:
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
        limits: Limits = Limits(),  # noqa: B008 (frozen)
        semihosting: bool = False,
        counter=make_counter,
    ):
        self.firmware, self.limits = firmware, limits
        self.elf = Elf.load(firmware.elf)
        self.ops = OpTable.find(self.elf, firmware.model)
        self._machine = Machine(firmware.board, self.elf, self.ops, semihosting, counter)
        self._machine.boot(limits)
        self.boot_instructions = self._machine.counter.instructions
        self.console = self._machine.console
        self.records = parse_records(self.console)
        check_records(self.records, firmware.build)

    def call(self, symbol: str, *arguments: int) -> int:
        """Call a function of the image with up to four 32-bit arguments; return r0."""
        return self._machine.call(self.elf.symbol(symbol).address, arguments, self.limits)

    def invoke(self, subnet: int, x: np.ndarray) -> np.ndarray:
        """Run `subnet` on one int8 input of any shape; return the int8 output, flat.

        Raises:
            DataError: if `x` has another size or dtype than the model's input.
            SimulationError: if the image faults or refuses the subnet.
        """
        self._write_input(x)
        if status := self.call("firmware_invoke", subnet):
            raise SimulationError(
                f"Subnet {subnet} of {self.firmware.model} was refused with status {status} "
                "(reds_status in reds.h)."
            )
        output = self.elf.symbol("firmware_output").address
        size = self.firmware.samples.outputs.shape[-1]
        return np.frombuffer(self._machine.read(output, size), np.int8)

    def run(self, subnet: int, x: np.ndarray) -> np.ndarray:
        """Run `subnet` on int8 `x` [n, ...]; return int8 [n, output bytes]."""
        return np.stack([self.invoke(subnet, row) for row in x])

    def measure(self, subnet: int, x: np.ndarray) -> SubnetRun:
        """Count one inference of `subnet` on one int8 input, its first and its second run."""
        self.invoke((subnet + 1) % len(self.firmware.samples.outputs), x)
        switch = self._count("reds_set_subnet", self._address("firmware_state"), subnet)
        first = self._count_inference(subnet)
        second = self._count_inference(subnet)
        self._machine.counter.count_accesses(True)
        accesses = self._count_inference(subnet)
        self._machine.counter.count_accesses(False)
        model, names = self._cycle_model, self.ops.names
        cycles = [model and model.estimate(accesses.slot(i)) for i in range(len(names))]
        per_op = [second.slot(i).instructions for i in range(len(names))]
        return SubnetRun(
            subnet=subnet,
            instructions=second.instructions,
            first_instructions=first.instructions,
            switch_instructions=switch.instructions,
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
        self._machine.write_word(self._address("firmware_subnet"), subnet)
        buffers = ("firmware_state", "firmware_input", "firmware_output")
        return self._count("reds_invoke", *map(self._address, buffers))

    def _count(self, symbol: str, *arguments: int) -> Counts:
        self._machine.counter.reset()
        self.call(symbol, *arguments)
        return self._machine.counter.counts()

    def _address(self, name: str) -> int:
        return self.elf.symbol(name).address

    def _write_input(self, x: np.ndarray) -> None:
        size = self.firmware.samples.inputs.shape[1]
        if x.size != size or x.dtype != np.int8:
            raise DataError(
                f"{self.firmware.model} takes one int8 input of {size} values, got {x.size} of "
                f"{x.dtype}."
            )
        self._machine.write(self._address("firmware_input"), x.tobytes())


class UnicornSimulator:
    """The default simulator: in-process, by pip alone."""

    name = "unicorn"

    def available(self) -> bool:
        """Whether the Python packages are installed."""
        return all(importlib.util.find_spec(name) for name in ("unicorn", "capstone"))

    def run(self, firmware: Firmware, limits: Limits = Limits()) -> RunResult:  # noqa: B008
        """Run the image, then measure every subnet on its first embedded sample.

        Raises:
            SimulationError: on a fault, a passed limit, a missing final record, or wrong results.
        """
        session = UnicornSession(firmware, limits)
        samples = firmware.samples
        subnets = range(len(samples.outputs))
        outputs = np.stack([session.run(subnet, samples.inputs) for subnet in subnets])
        measured = tuple(session.measure(subnet, samples.inputs[0]) for subnet in subnets)
        return RunResult(
            simulator=self.name,
            model=firmware.model,
            build=firmware.build,
            records=session.records,
            console=session.console,
            outputs=outputs,
            subnets=measured,
            instructions=session.boot_instructions,
            stack_bytes=_used(session, "STACK"),
            arena_bytes=_used(session, "ARENA"),
        )


def _used(session: UnicornSession, kind: str) -> int:
    record = find_record(session.records, kind)
    if record is None:
        raise SimulationError(f"The firmware did not print the record {kind}. Build it again.")
    return record.integer("used")
