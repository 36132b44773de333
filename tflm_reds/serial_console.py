"""Reads the records that a board prints on a serial port."""

import time
from collections.abc import Iterable
from types import TracebackType

from tflm_reds.errors import DeviceError, ToolchainError
from tflm_reds.sim.records import Record, find_record, parse_records

BAUD = 115200
POLL_SECONDS = 0.1
APPEAR_SECONDS = 10.0  # a board with native USB comes back after its reset
LAST = ("DONE", "FAULT")
# The last key that the firmware prints, and those that are read.
NEEDED = {
    "BOOT": ("build", "ops"),
    "RESULT": ("subnet", "sample", "crc", "expected", "cycles", "failed"),
    "DONE": ("failures",),
}


def check_pyserial() -> None:
    """Raise a ToolchainError if pyserial is not installed."""
    try:
        import serial  # noqa: F401
    except ModuleNotFoundError as error:
        raise ToolchainError(
            "The package pyserial is missing. Run `pip install 'tflm-reds[serial]'`."
        ) from error


class SerialConsole:
    """An open serial port; a context manager.

    Args:
        port: such as /dev/ttyACM0, COM3, or a URL of pyserial.

    Raises:
        ToolchainError: if pyserial is not installed.
        DeviceError: if the port cannot be opened.
    """

    def __init__(self, port: str) -> None:
        check_pyserial()
        import serial

        self.port, self._errors = port, (OSError, serial.SerialException)
        self._stream = self._open(serial.serial_for_url)

    def _open(self, open_port):
        """The port, which may appear only some seconds after the board's reset."""
        end = time.monotonic() + APPEAR_SECONDS
        while True:
            try:
                return open_port(self.port, BAUD, timeout=POLL_SECONDS)
            except self._errors as error:
                if time.monotonic() > end or "could not open port" not in str(error):
                    raise self._error("cannot be opened", error) from error
            time.sleep(POLL_SECONDS)

    def __enter__(self) -> "SerialConsole":
        return self

    def __exit__(
        self, kind: type | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stream.close()

    def read_run(self, build: str, seconds: float) -> tuple[Record, ...]:
        """The records of one whole run of the image `build`, from its BOOT to its DONE or FAULT.

        What other images print before it, a run that had begun already, and records that were cut
        off on the way are left out.

        Raises:
            DeviceError: if there is no such run within `seconds`; tells what was seen.
        """
        end = time.monotonic() + seconds
        text, run = "", ()
        while time.monotonic() < end:
            try:
                text += self._stream.read(max(self._stream.in_waiting, 1)).decode(errors="replace")
            except self._errors as error:
                raise self._error("was lost", error) from error
            run = run_of(whole_records(text), build)
            if run and run[-1].kind in LAST:
                return run
        raise DeviceError(_nothing_whole(text, run, self.port, build, seconds))

    def _error(self, what: str, error: BaseException) -> DeviceError:
        return DeviceError(
            f"The serial port {self.port} {what} ({error}). Is the board connected, and no other "
            "program (a serial monitor) at the port?"
        )


def whole_records(text: str) -> tuple[Record, ...]:
    """The records in `text`, without those that lack a key or its value."""
    return tuple(
        record
        for record in parse_records(text.replace("\r", ""))
        if all(record.values.get(key) for key in NEEDED.get(record.kind, ()))
    )


def run_of(records: Iterable[Record], build: str) -> tuple[Record, ...]:
    """The records of the last run of `build`, from its BOOT to its DONE or FAULT, if that came."""
    run: list[Record] = []
    inside = False
    for record in records:
        if record.kind == "BOOT":
            run.clear()
            inside = record.values.get("build") == build
        if inside:
            run.append(record)
        inside = inside and record.kind not in LAST
    return tuple(run)


def _nothing_whole(text: str, run, port: str, build: str, seconds: float) -> str:
    if run:
        found = f"the run of build {build} stopped at its record {run[-1].kind}, before REDS DONE"
    elif boot := find_record(whole_records(text), "BOOT"):
        found = f"the board runs build {boot.values['build']}, not {build}: flash it (--flash)"
    elif text:
        found = f"{len(text)} characters, but no boot record. Press the board's reset button"
    else:
        found = "nothing at all. Press the board's reset button; check the port and the wires"
    return f"No whole run on {port} within {seconds:g} seconds: {found}."
