"""Which peripherals of each chip family Unicorn serves: the registers that `chip_<chip>.c` uses."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from tflm_reds.boards.schema import Board
from tflm_reds.sim.peripherals import BytePort, Registers, Uarte

PAGE = 0x1000


@dataclass(frozen=True)
class Chip:
    """One chip family; peripherals by their names in the board files.

    Attributes:
        serial: the serial port.
        data: offset of its register for bytes to send; None: it is a UARTE.
        ready: bits that firmware waits for, by peripheral and offset.
        pages: of 4 KiB for each peripheral.
    """

    serial: str
    data: int | None = None
    ready: Mapping[str, Mapping[int, int]] = field(default_factory=dict)
    pages: int = 1


_STM32_CLOCK = {0x00: 1 << 10 | 1 << 25, 0x08: 2 << 2 | 3 << 2}  # HSI and PLL; PLL in use
CHIPS = {
    "nrf52840": Chip("uarte", ready={"clock": {0x100: 1}}),
    "nrf5340": Chip("uarte", ready={"clock": {0x100: 1}}),
    "stm32f4": Chip("usart", 0x04, {"rcc": _STM32_CLOCK, "usart": {0x00: 1 << 7}}),
    "stm32f7": Chip(
        "usart", 0x28, {"rcc": _STM32_CLOCK, "pwr": {0x04: 3 << 16}, "usart": {0x1C: 1 << 7}}
    ),
    "stm32l4plus": Chip("usart", 0x28, {"rcc": _STM32_CLOCK, "usart": {0x1C: 1 << 7}}),
    "rp2040": Chip(
        "uart",
        0x00,
        {
            "resets": {0x8: 0xFFFFFFFF},
            "xosc": {0x04: 1 << 31},
            "pll_sys": {0x0: 1 << 31},
            "clocks": {0x38: 1 << 2, 0x44: 1 << 1},
        },
    ),
    "psoc6": Chip("scb", 0x240, {"srss": {0x640: 1}}, pages=2),
    "mps2": Chip("uart", 0x00),
}


def serve_chip(
    board: Board, read_memory: Callable[[int, int], bytes]
) -> tuple[dict[int, Registers], Uarte | BytePort | None]:
    """Registers at each base address of the board's chip, and its serial port.

    None: the chip is not known here, so that the image can print by semihosting only.
    """
    chip = CHIPS.get(board.chip)
    if chip is None:
        return {}, None
    banks = {
        address: Registers(chip.ready.get(name)) for name, address in board.peripherals.items()
    }
    if chip.data is None:
        port = Uarte(read_memory, board.ram)
    else:
        port = BytePort(chip.data, chip.ready.get(chip.serial, {}))
    banks[board.peripherals[chip.serial]] = port
    return banks, port


def pages(board: Board, banks: Mapping[int, Registers]) -> set[int]:
    """Addresses of the pages of 4 KiB that hold the banks."""
    count = CHIPS[board.chip].pages if board.chip in CHIPS else 1
    return {(base & ~(PAGE - 1)) + i * PAGE for base in banks for i in range(count)}


def find_bank(banks: Mapping[int, Registers], address: int) -> tuple[Registers, int]:
    """The bank with the nearest base that is not above `address`, and the offset in it."""
    base = max((base for base in banks if base <= address), default=min(banks))
    return banks[base], address - base
