"""What to do with a real board: the options that the commands build and device share."""

from dataclasses import dataclass
from typing import Any

SECONDS = 120.0


@dataclass(frozen=True)
class DeviceOptions:
    """What to do with a board; false where that is nothing.

    Attributes:
        upload: flash it: where the board has an Arduino core its sketch, else the bare image.
        bare: the bare image in any case.
        port: serial port of the programmer or bootloader; by default that of `serial`.
        serial: port where the records come; None: do not read.
        seconds: limit of the reading.
    """

    upload: bool = False
    bare: bool = False
    port: str | None = None
    serial: str | None = None
    seconds: float = SECONDS

    def __bool__(self) -> bool:
        return self.upload or self.serial is not None


def add_device_arguments(group) -> None:
    """Add the options apart from --flash to a parser or a group of it."""
    group.add_argument(
        "--bare", action="store_true", help="the bare image also where there is an Arduino sketch"
    )
    group.add_argument("--port", help="of the bootloader, for --flash (default: that of --serial)")
    group.add_argument("--serial", metavar="PORT", help="read the board's records, add its cycles")
    group.add_argument(
        "--seconds", type=float, default=SECONDS, help="limit of --serial (default: %(default)g)"
    )


def take_device_options(values: dict[str, Any]) -> DeviceOptions:
    """Remove the options from parsed arguments; a --flash without a number means the board."""
    upload = values["flash"] in ([], True)
    if upload:
        values["flash"] = None
    names = ("bare", "port", "serial", "seconds")
    return DeviceOptions(upload, **{name: values.pop(name) for name in names})
