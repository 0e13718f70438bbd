"""Write tables and sentences of a measurement as plain text."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from joulecast_calibration.measure.plan.allocation import Allocation
from joulecast_calibration.measure.report.report import Report
from joulecast_calibration.suite.configuration import ACCELERATOR
from joulecast_calibration.suite.decoders import OmittedPass

_SIGNS = {"holds": "ok  ", "fails": "FAIL", "unknown": "?   "}
_MOST_TROUBLES = 40  # lines; the rest is in the rows


def allocation_text(allocated: Allocation, budget_seconds: float) -> str:
    """List what the budget covers, slice by slice, and the first rows of each slice."""
    total = 0.0
    lines = []
    for name, (count, seconds) in allocated.by_slice().items():
        total += seconds
        lines.append((name, str(count), clock(seconds), clock(total)))
    rows = len(allocated.rows)
    text = table(("slice", "rows", "minutes", "in all"), lines)
    processes = "1 process" if allocated.processes == 1 else f"{allocated.processes} processes"
    text += f"\n{rows} rows in {clock(allocated.seconds)} of {clock(budget_seconds)}, in {processes};"
    text += f" {allocated.left} rows are left for later runs\n"
    return text + f"times are as forecast for {ACCELERATOR}: on a slower card a budget covers fewer rows\n"


def omitted_text(omitted: Sequence[OmittedPass]) -> str:
    """List every pass of a decoder that is not measured, with the reason."""
    lines = [
        f"  {each.name} {each.phase} of {each.context_tokens} tokens batch {each.batch_size}: {each.reason}\n"
        for each in omitted
    ]
    return "left out of serving\n" + "".join(lines) if lines else ""


def order_text(allocated: Allocation) -> str:
    """List every row in its order, with the expected seconds."""
    return "".join(f"{row.slice:<11} {row.expected_seconds:6.1f} s  {row.label}\n" for row in allocated.rows)


def report_text(report: Report) -> str:
    """Write the table of what was measured, and the results of the checks."""
    gained = report.gain
    words = "SIMULATED rows, of no use to a profile\n" if gained.simulated else ""
    words += table(("slice", "rows"), [(name, str(count)) for name, count in gained.slices.items()])
    words += _listed("networks by task", gained.tasks.most_common())
    words += _listed("layers by op type", gained.op_types.most_common())
    words += (
        f"{gained.rows} rows in {gained.minutes:.1f} minutes ({gained.rows_per_minute:.1f} a minute),"
        f" {gained.runs} run{'s' * (gained.runs != 1)} on {gained.cards} card{'s' * (gained.cards != 1)}\n"
        f"coverage: {_of(gained.networks)} network rows of the suite, {_of(gained.layers)} layers"
        f" ({gained.executions:.1%} of executed rows), {_of(gained.op_types_covered)} op types\n\nverdict\n"
    )
    words += "".join(f"{_SIGNS[each.outcome]} {each.name}: {each.figure}\n" for each in report.findings)
    return words + _troubles(report.troubles) + _gained(report)


def _gained(report: Report) -> str:
    """State what the present command added, and whether the rows may be fitted, in one line."""
    if report.window is None:
        return ""
    usable = report.findings[0]
    answer = "yes" if usable.outcome == "holds" else "no"
    return f"\ngained {report.window.sentence}. {usable.name.capitalize()}: {answer} ({usable.figure})\n"


def _troubles(troubles: Sequence[tuple[str, str]]) -> str:
    """List each row that is not fitted, and the reason."""
    lines = [f"  {key}: {reason}\n" for key, reason in troubles[:_MOST_TROUBLES]]
    more = f"  … and {len(troubles) - _MOST_TROUBLES} more\n" if len(troubles) > _MOST_TROUBLES else ""
    return "\nfailed or invalid\n" + "".join(lines) + more if troubles else ""


def table(header: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Align columns: the first to the left, figures to the right."""
    lines = [header, *rows]
    widths = [max(len(line[column]) for line in lines) for column in range(len(header))]
    return "".join(
        "  ".join(
            [line[0].ljust(widths[0]), *(cell.rjust(width) for cell, width in zip(line[1:], widths[1:], strict=True))]
        )
        + "\n"
        for line in lines
    )


def clock(seconds: float) -> str:
    """Format seconds as minutes and seconds, ``07:05``."""
    whole = max(0, round(seconds))
    return f"{whole // 60:02}:{whole % 60:02}"


def _listed(what: str, counts: Sequence[tuple[str, int]]) -> str:
    return f"{what}: {', '.join(f'{name} {count}' for name, count in counts)}\n" if counts else ""


def _of(pair: tuple[int, int]) -> str:
    return f"{pair[0]} of {pair[1]}"
