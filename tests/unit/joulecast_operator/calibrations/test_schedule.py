"""Test schedules in the syntax of a CronJob, in UTC."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from joulecast_operator.calibrations.schedule import parse

AFTER = datetime(2026, 1, 1, 12, 30, 30, tzinfo=UTC)  # a Thursday


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("* * * * *", "2026-01-01T12:31"),
        ("30 12 * * *", "2026-01-02T12:30"),
        ("0 3 * * 0", "2026-01-04T03:00"),
        ("0 3 * * 7", "2026-01-04T03:00"),
        ("*/20 * * * *", "2026-01-01T12:40"),
        ("5-59/25 9,13 * * 1-5", "2026-01-01T13:05"),
        ("0 0 29 2 *", "2028-02-29T00:00"),
        ("0 0 13 * 5", "2026-01-02T00:00"),  # a 13th or a Friday, as crontab(5) has it
        ("0 0 */2 * 1", "2026-01-03T00:00"),  # a step names days too
        ("0 0 * * 5", "2026-01-02T00:00"),  # beside a star the other one holds
        ("10/30 * * * *", "2026-01-01T12:40"),
        ("0 3 * * SUN", "2026-01-04T03:00"),
        ("0 3 * * mon-fri", "2026-01-02T03:00"),
        ("0 3 1 FEB,Apr *", "2026-02-01T03:00"),
        ("0 3 ? * 0", "2026-01-04T03:00"),
        ("0 3 1 * ?", "2026-02-01T03:00"),
        ("@hourly", "2026-01-01T13:00"),
        ("@daily", "2026-01-02T00:00"),
        ("@midnight", "2026-01-02T00:00"),
        ("@weekly", "2026-01-04T00:00"),
        ("@monthly", "2026-02-01T00:00"),
        ("@yearly", "2027-01-01T00:00"),
        ("@annually", "2027-01-01T00:00"),
    ],
)
def test_the_next_time(text: str, expected: str) -> None:
    assert parse(text).next(AFTER) == datetime.fromisoformat(expected).replace(tzinfo=UTC)


def test_the_next_time_is_later_than_a_time_of_the_schedule_itself() -> None:
    nightly = parse("0 3 * * *")
    first = nightly.next(AFTER)
    assert nightly.next(first) == datetime(2026, 1, 3, 3, tzinfo=UTC)


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("60 * * * *", "minute"),
        ("* 24 * * *", "hour"),
        ("* * 0 * *", "day"),
        ("* * * 13 *", "month"),
        ("* * * * 8", "weekday"),
        ("5-1 * * * *", "minute"),
        ("*/0 * * * *", "minute"),
        ("1,,2 * * * *", "minute"),
        ("SAT-MON * * * *", "minute"),
        ("* * * * SAT-MON", "weekday"),
        ("* * * DEC-JAN *", "month"),
        ("* * L * *", "day"),
        ("* * * * 5#2", "weekday"),
        ("* * * * MON#2", "weekday"),
        ("R * * * *", "minute"),
        ("? * * * *", "minute"),
        ("* * MON * *", "day"),
        ("* * *", "3 fields"),
        ("0 0 * * * *", "6 fields"),
        ("@every 1h", "2 fields"),
        ("@reboot", "1 fields"),
        ("0 0 31 2 *", "no date"),
    ],
)
def test_what_is_no_schedule_is_named(text: str, complaint: str) -> None:
    with pytest.raises(ValueError, match=complaint):
        parse(text)
