"""Compute when a calibration with a schedule is due: in the syntax of a CronJob, in UTC."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final

from croniter import CroniterBadDateError, CroniterError, croniter

_MONTHS: Final = "JAN FEB MAR APR MAY JUN JUL AUG SEP OCT NOV DEC".split()
_DAYS: Final = "SUN MON TUE WED THU FRI SAT".split()
_FIELDS: Final = (
    ("minute", "0-59", "", ()),
    ("hour", "0-23", "", ()),
    ("day", "1-31", "?", ()),
    ("month", "1-12 or JAN-DEC", "", _MONTHS),
    ("weekday", "0-7 or SUN-SAT", "?", _DAYS),
)
"""Of each field: its name, its values, what besides ``*`` stands for all values, and the names of its values."""

NICKNAMES: Final = ("@yearly", "@annually", "@monthly", "@weekly", "@daily", "@midnight", "@hourly")
"""What may stand for the five fields."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Schedule:
    """A valid schedule. If both day and weekday are restricted, a day that matches one of them is enough.

    - ``text``: the five fields of cron, or a nickname such as @daily.
    """

    text: str

    def next(self, after: datetime) -> datetime:
        """Return the first time of the schedule later than ``after``. Raises ValueError if there is none."""
        try:
            found: datetime = croniter(self.text, after.astimezone(UTC)).get_next(datetime)
        except CroniterBadDateError as error:
            raise ValueError("no date of the calendar matches: correct the day or the month") from error
        return found


def parse(text: str) -> Schedule:
    """Parse a schedule in cron's syntax. Raises ValueError, whose message names the wrong field."""
    parts = text.split()
    if text.strip() not in NICKNAMES:
        if len(parts) != len(_FIELDS):
            raise ValueError(
                f"it has {len(parts)} fields instead of {len(_FIELDS)}: give minute hour day month weekday, or one of"
                f" {', '.join(NICKNAMES)}"
            )
        for position, part in enumerate(parts):
            _check(part, position)
    schedule = Schedule(text=" ".join(parts))
    schedule.next(datetime.now(UTC))  # raises for a date that never comes, such as 31 February
    return schedule


def _check(text: str, position: int) -> None:
    """Raise ValueError for a field that a CronJob would refuse; croniter accepts more (``L``, ``5#2``, ``R``)."""
    name, values, everything, names = _FIELDS[position]
    word = "|".join(("[0-9]+", *names))
    item = rf"([*{everything}]|({word})(-({word}))?)(/[0-9]+)?"
    alone = " ".join(text if place == position else "*" for place in range(len(_FIELDS)))
    fits = re.fullmatch(rf"{item}(,{item})*", text, re.IGNORECASE) and _ascending(text.upper(), names)
    try:
        croniter(alone if fits else "")
    except CroniterError as error:
        raise ValueError(f"{text!r} is not a valid {name}: give {values}, *, a range, a step or a list") from error


def _ascending(text: str, names: list[str] | tuple[()]) -> bool:
    """Tell whether every range ends where it begins or later."""
    places = {name: place for place, name in enumerate(names, start=names is _MONTHS)}
    ranges = re.findall(r"(\w+)-(\w+)", text)
    return all(places.get(a, a) == b or int(places.get(a, a)) <= int(places.get(b, b)) for a, b in ranges)
