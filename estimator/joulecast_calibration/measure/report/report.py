"""Summarise and judge a folder of rows."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from joulecast.errors import MeasurementError
from joulecast_calibration import suite
from joulecast_calibration.measure.report.gain import Gain, gain
from joulecast_calibration.measure.report.smoke import Finding
from joulecast_calibration.measure.report.verdict import judge
from joulecast_calibration.rows.journals import Rows, read_rows
from joulecast_calibration.rows.typed import FailureRow, InvalidRow, TypedRow


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """A summary of a folder of rows, with the results of the checks.

    - ``window``: what the present command added; None where no command did.
    - ``troubles``: key and reason of each row that is not fitted, or place and reason of a refused line.
    """

    gain: Gain
    window: Gain | None
    findings: tuple[Finding, ...]
    troubles: tuple[tuple[str, str], ...]


def report(folder: Path, processes: Collection[tuple[str, int]] = ()) -> Report:
    """Report on a folder that holds rows.

    ``processes``: run id and number of those whose rows are counted separately as new. Raises MeasurementError
    (NoRows).
    """
    rows = read_rows(folder)
    if not rows.lines:
        raise MeasurementError(
            f"{folder} holds no rows: measure with --resume {folder} first, or give another folder", reason="NoRows"
        )
    return report_of(rows, processes)


def report_of(rows: Rows, processes: Collection[tuple[str, int]] = ()) -> Report:
    index = suite.committed()
    new = [row for row in rows.rows if (row.run_id, row.process) in processes]
    return Report(
        gain=gain(rows.rows, index.layers, (*index.networks, *index.llms)),
        window=gain(new) if new else None,
        findings=judge(rows, index.additivity),
        troubles=(*_troubles(rows.rows), *((line.place, line.flaw.says) for line in rows.refused)),
    )


def _troubles(rows: Iterable[TypedRow]) -> Iterator[tuple[str, str]]:
    for row in rows:
        if isinstance(row, FailureRow | InvalidRow):
            reason = row.reason if isinstance(row, FailureRow) else row.invalid_reason
            yield row.key, f"{reason}: {row.message or 'the row is kept, and not fitted'}"
