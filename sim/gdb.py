"""The part of GDB's remote protocol by which QEMU lets its processor be read, set and run."""

import os
import select
import time

from tflm_reds.errors import SimulationError

CHUNK = 1024  # bytes of memory a packet; QEMU takes packets of 4096 characters


class GdbConnection:
    """Packets over two file descriptors: QEMU's standard output and input.

    Args:
        reader, writer: file descriptors.
        seconds: limit for each answer; `proceed` has its own.
    """

    def __init__(self, reader: int, writer: int, seconds: float = 10.0) -> None:
        self._reader, self._writer, self._seconds = reader, writer, seconds
        self._received = b""
        # QEMU lets single registers be written only after it was asked for their description.
        self.request("qXfer:features:read:target.xml:0,400")

    def read_memory(self, address: int, size: int) -> bytes:
        """Bytes of memory; registers of peripherals are not reached."""
        parts = []
        for start in range(0, size, CHUNK):
            length = min(CHUNK, size - start)
            parts.append(bytes.fromhex(self._checked(f"m{address + start:x},{length:x}")))
        return b"".join(parts)

    def write_memory(self, address: int, data: bytes) -> None:
        """Set bytes of memory."""
        for start in range(0, len(data), CHUNK):
            part = data[start : start + CHUNK]
            self._checked(f"M{address + start:x},{len(part):x}:{part.hex()}")

    def read_register(self, number: int) -> int:
        """A 32-bit register: 0 to 12, SP, LR, PC as 13 to 15, xPSR as 25."""
        return int.from_bytes(bytes.fromhex(self._checked(f"p{number:x}")), "little")

    def write_register(self, number: int, value: int) -> None:
        """Set a 32-bit register."""
        self._checked(f"P{number:x}={(value & 0xFFFFFFFF).to_bytes(4, 'little').hex()}")

    def add_breakpoint(self, address: int) -> None:
        """Stop before the instruction at `address`; the 1 KiB page around it runs slowly."""
        self._checked(f"Z0,{address:x},2")

    def remove_breakpoint(self, address: int) -> None:
        """Undo `add_breakpoint`."""
        self._checked(f"z0,{address:x},2")

    def proceed(self, seconds: float) -> int | None:
        """Run until a breakpoint (None) or until the program exits (its exit code).

        Raises:
            TimeoutError: after `seconds`.
            SimulationError: if QEMU ended without an answer.
        """
        answer = self.request("c", seconds)
        return int(answer[1:3], 16) if answer.startswith("W") else None

    def request(self, command: str, seconds: float | None = None) -> str:
        """Send a packet, return the answer's text.

        Raises:
            TimeoutError: if there is no answer in time.
            SimulationError: if QEMU ended without an answer.
        """
        checksum = sum(command.encode()) & 0xFF
        return self._exchange(f"${command}#{checksum:02x}".encode(), seconds)

    def interrupt(self, seconds: float) -> None:
        """Stop a program that passed the limit of `proceed`.

        Raises:
            TimeoutError: if QEMU does not answer either.
        """
        self._exchange(b"\x03", seconds)

    def _exchange(self, message: bytes, seconds: float | None) -> str:
        try:
            os.write(self._writer, message)
        except BrokenPipeError as error:
            raise SimulationError("QEMU ended unexpectedly") from error
        seconds = self._seconds if seconds is None else seconds
        deadline = time.monotonic() + seconds
        # An answer is "$text#cc", after the "+" that acknowledges the command.
        while len(parts := self._received.partition(b"$")[2].split(b"#")) < 2 or len(parts[1]) < 2:
            if not self._receive(deadline - time.monotonic()):
                raise TimeoutError(f"passed the limit of {seconds:g} seconds")
        self._received = b""
        return parts[0].decode("latin-1")

    def _checked(self, command: str) -> str:
        answer = self.request(command)
        if not answer or answer.startswith("E"):
            raise SimulationError(f"QEMU refused the request {command[:24]} ({answer or 'empty'})")
        return answer

    def _receive(self, seconds: float) -> bool:
        """Whether something came."""
        if not select.select([self._reader], [], [], max(seconds, 0))[0]:
            return False
        data = os.read(self._reader, 1 << 16)
        if not data:
            raise SimulationError("QEMU ended unexpectedly")
        self._received += data
        return True
