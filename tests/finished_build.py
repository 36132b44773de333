"""A build folder like that of `python -m tflm_reds.build`, of the hand-written tiny model."""

from pathlib import Path

import tiny_model

from tflm_reds.boards.schema import load_board
from tflm_reds.codegen.arduino_sketch import write_sketch
from tflm_reds.codegen.firmware import Firmware, build_firmware
from tflm_reds.report import PlanFacts, Report, SubnetRow


def finished_build(folder: Path, board: str | Path = "nano33ble") -> Firmware:
    """Write the image, its sketch and a report into `folder`."""
    sources = tiny_model.write_sources(folder / "src")
    found = load_board(board)
    firmware = build_firmware(sources, "tiny", tiny_model.samples(), found, folder / "firmware")
    write_sketch(firmware, sources, folder / "firmware" / "sketch")
    budgets = (0.25, 0.5, 1.0)
    Report(
        model="tiny",
        board=found.name,
        toolchain=firmware.toolchain,
        seed=0,
        build_hash=firmware.build,
        plan=PlanFacts("optimal", 0.0, 0.0, "bottom-up", "width"),
        subnets=tuple(SubnetRow(k, budgets[k], {}) for k in range(tiny_model.SUBNETS)),
        flash_bytes={"total": firmware.flash_bytes},
    ).save(folder / "report.json")
    return firmware
