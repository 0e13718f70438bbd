"""When a calibration with a schedule is due: the five fields of cron, in UTC."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from typing import Final

_FIELDS: Final = (("minute", 0, 59), ("hour", 0, 23), ("day", 1, 31), ("month", 1, 12), ("weekday", 0, 7))
_SUNDAY: Final = 7  # cron counts Sunday as 0 and as 7
_LONGEST: Final = timedelta(days=8 * 366)  # 29 February is at most eight years away


@dataclass(frozen=True, slots=True, kw_only=True)
class Schedule:
    """Sets of minutes, hours, days, months and weekdays (Monday is 1). ``either``: day and weekday are both restricted,
    and one of them suffices, as crontab(5) has it."""

    minutes: frozenset[int]
    hours: frozenset[int]
    days: frozenset[int]
    months: frozenset[int]
    weekdays: frozenset[int]
    either: bool

    def next(self, after: datetime) -> datetime:
        """The first time of the schedule later than ``after``. Raises ValueError where there is none."""
        after = after.astimezone(UTC)
        day = after.date()
        while day <= after.date() + _LONGEST:
            if self._is_day(day):
                for time in self._times(day):
                    if time > after:
                        return time
            day += timedelta(days=1)
        raise ValueError("no day of the calendar fits it")

    def _is_day(self, day: date) -> bool:
        on_day, on_weekday = day.day in self.days, day.isoweekday() in self.weekdays
        fits = (on_day or on_weekday) if self.either else (on_day and on_weekday)
        return fits and day.month in self.months

    def _times(self, day: date) -> list[datetime]:
        return [
            datetime(day.year, day.month, day.day, hour, minute, tzinfo=UTC)
            for hour in sorted(self.hours)
            for minute in sorted(self.minutes)
        ]


def parse(text: str) -> Schedule:
    """The schedule that ``text`` says. Raises ValueError, which names the field."""
    parts = text.split()
    if len(parts) != len(_FIELDS):
        raise ValueError(f"{len(parts)} fields instead of {len(_FIELDS)}: minute hour day month weekday")
    minutes, hours, days, months, weekdays = (
        _values(part, name, low, high) for part, (name, low, high) in zip(parts, _FIELDS, strict=True)
    )
    found = Schedule(
        minutes=minutes,
        hours=hours,
        days=days,
        months=months,
        weekdays=frozenset(_SUNDAY if day == 0 else day for day in weekdays),
        either=not parts[2].startswith("*") and not parts[4].startswith("*"),
    )
    found.next(datetime.now(UTC))  # a 31 February is no time
    return found


def _values(text: str, name: str, low: int, high: int) -> frozenset[int]:
    found: set[int] = set()
    for part in text.split(","):
        span, _, step = part.partition("/")
        try:
            first, last = _span(span, low, high, stepped=bool(step))
            found.update(range(first, last + 1, int(step or 1)))
        except ValueError as error:
            raise ValueError(f"{part!r} is no {name}: give {low}-{high}, *, a range, a step or a list") from error
    return frozenset(found)


def _span(text: str, low: int, high: int, *, stepped: bool) -> tuple[int, int]:
    if text == "*":
        return low, high
    begin, dash, end = text.partition("-")
    first = int(begin)
    last = int(end) if dash else (high if stepped else first)
    if not low <= first <= last <= high:
        raise ValueError(text)
    return first, last
