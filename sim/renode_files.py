"""Renode's files for one image: platform, script, Robot Framework suite, and an image that fails.

They keep to what was seen to work in Renode 1.16.1: four-space indents, an `init:` that replaces
the platform's download, virtual-time limits, ${ELF} from the command line.
"""

from collections.abc import Sequence
from pathlib import Path

from tflm_reds.boards.schema import Board
from tflm_reds.codegen.checksum import write_checksum
from tflm_reds.codegen.firmware import Firmware
from tflm_reds.codegen.rendering import render
from tflm_reds.errors import SimulationError
from tflm_reds.files import atomic_path, write_text
from tflm_reds.sim.elf import Elf
from tflm_reds.sim.renode_governor import build_governor_image

VERSION = "1.16.1"
TEMPLATES = Path(__file__).resolve().parent
MARGIN = 2.0
SECONDS_A_RECORD = 0.02  # 200 characters at 115200 baud
OTHER_RECORDS = 6  # BOOT, SWITCH, STACK, ARENA, DONE, FAULT


def write_renode_files(
    firmware: Firmware, sources: Sequence[Path], instructions: int, folder: str | Path
) -> list[Path]:
    """Write `<board>.repl`, `<model>.resc`, `<model>.robot` and the images that the suite runs.

    Args:
        sources: of the model, for the image with the governor.
        instructions: that the whole run takes, as counted in Unicorn; sets the time limits.
        folder: best the one of the ELF file; elsewhere, pass `--variable ELF:...`.

    Returns:
        Paths of the platform, the script, the suite, and the images `<model>_faulty.elf` and
        `governor/<model>.elf`.

    Raises:
        SimulationError: if Renode does not know the board.
    """
    board, folder = firmware.board, Path(folder)
    if not board.renode.platform:
        raise SimulationError(unknown_board(board))
    faulty = folder / f"{firmware.model}_faulty.elf"
    governor = build_governor_image(firmware, sources, folder / "governor")
    values = {
        "firmware": firmware,
        "board": board,
        "version": VERSION,
        "instructions": instructions,
        "timeout": f"{_virtual_seconds(firmware, instructions):.1f}",
        "results": _expected_lines(firmware),
        "faulty": faulty.name,
        "faulty_line": _faulty_line(firmware),
        "governor": governor,
    }
    names = {
        "renode_board.repl.j2": f"{board.name}.repl",
        "renode_model.resc.j2": f"{firmware.model}.resc",
        "renode_model.robot.j2": f"{firmware.model}.robot",
    }
    texts = [
        write_text(folder / name, render(TEMPLATES / template, values))
        for template, name in names.items()
    ]
    return [*texts, write_faulty_image(firmware, faulty), governor.elf]


def _virtual_seconds(firmware: Firmware, instructions: int) -> float:
    """What a run may take at most: its instructions and the serial line, with a margin."""
    records = sum(map(len, firmware.samples.checksums)) + OTHER_RECORDS
    seconds = instructions / firmware.board.clock_hz + records * SECONDS_A_RECORD
    return 1 + MARGIN * seconds


def unknown_board(board: Board) -> str:
    """Why there are no files for a board without a platform."""
    return (
        f"Renode {VERSION} does not know {board.name}: {board.renode.missing}. "
        "Simulate it with Unicorn or QEMU."
    )


def write_faulty_image(firmware: Firmware, path: Path) -> Path:
    """Write the ELF file with a wrong result expected of subnet 0, sample 0: its run must fail."""
    elf = Elf.load(firmware.elf)
    wrong = _faulty_checksum(firmware).to_bytes(4, "little")
    with atomic_path(path) as temporary:
        temporary.write_bytes(elf.patched(elf.symbol("firmware_expected").address, wrong))
        write_checksum(temporary)
    return path


def _faulty_checksum(firmware: Firmware) -> int:
    return firmware.samples.checksums[0][0] ^ 1


def _faulty_line(firmware: Firmware) -> str:
    return _result_line(firmware, 0, 0, _faulty_checksum(firmware))


def _expected_lines(firmware: Firmware) -> list[list[str]]:
    """For each subnet and sample the record that main() prints, up to its timing."""
    return [
        [_result_line(firmware, subnet, sample, crc) for sample, crc in enumerate(checksums)]
        for subnet, checksums in enumerate(firmware.samples.checksums)
    ]


def _result_line(firmware: Firmware, subnet: int, sample: int, expected: int) -> str:
    """The record of one result as far as it does not depend on time."""
    outputs = firmware.samples.outputs[subnet, sample]
    crc = firmware.samples.checksums[subnet][sample]
    return (
        f"REDS RESULT subnet={subnet} sample={sample} active={subnet} "
        f"class={outputs.argmax()} crc={crc:08x} expected={expected:08x}"
    )
