"""From the records of a real board to the rows of a report, source "measured on silicon"."""

from collections.abc import Iterable
from dataclasses import replace

from tflm_reds.boards.schema import Board
from tflm_reds.report import Report, SubnetRow
from tflm_reds.report.model import SiliconRun
from tflm_reds.sim.records import Record, check_records


def add_silicon(
    report: Report, board: Board, records: tuple[Record, ...], build: str, image: str
) -> Report:
    """`report` with the cycles that the board counted in each subnet's inferences.

    They replace all of an earlier run: rows of different images never mix.

    Args:
        records: of one whole run of the image `build`.
        image: what ran: "bare image" or "Arduino sketch".

    Raises:
        SimulationError: if the run faulted or gave wrong results.
    """
    check_records(records, build)
    rows = tuple(_row(row, board, records) for row in report.subnets)
    return replace(report, subnets=rows, silicon=SiliconRun(image, build))


def _row(row: SubnetRow, board: Board, records: Iterable[Record]) -> SubnetRow:
    results = [r for r in records if r.kind == "RESULT" and r.integer("subnet") == row.index]
    cycles = [result.integer("cycles") for result in results]
    if not any(cycles):  # no result came through, or the core has no cycle counter
        return replace(row, cycles_silicon=None, ms_silicon=None)
    low, high = min(cycles), max(cycles)
    per_millisecond = board.clock_hz / 1000
    ms = (low / per_millisecond, high / per_millisecond)
    return replace(row, cycles_silicon=(low, high), ms_silicon=ms)
