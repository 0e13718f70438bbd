"""When a calibration with a schedule is due: as a CronJob reads its schedule, in UTC."""

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
"""Name, values, what else may stand for all of them, and names of values."""

NICKNAMES: Final = ("@yearly", "@annually", "@monthly", "@weekly", "@daily", "@midnight", "@hourly")


@dataclass(frozen=True, slots=True, kw_only=True)
class Schedule:
    """Five fields of cron, or a nickname. Where day and weekday both name days, one of them suffices."""

    text: str

    def next(self, after: datetime) -> datetime:
        """Return the first time of the schedule later than ``after``. Raises ValueError where there is none."""
        try:
            found: datetime = croniter(self.text, after.astimezone(UTC)).get_next(datetime)
        except CroniterBadDateError as error:
            raise ValueError("no day of the calendar fits it") from error
        return found


def parse(text: str) -> Schedule:
    """Parse a schedule in cron's syntax. Raises ValueError, which names the field."""
    parts = text.split()
    if text.strip() not in NICKNAMES:
        if len(parts) != len(_FIELDS):
            raise ValueError(
                f"{len(parts)} fields instead of {len(_FIELDS)}: give minute hour day month weekday, or one of"
                f" {', '.join(NICKNAMES)}"
            )
        for position, part in enumerate(parts):
            _check(part, position)
    schedule = Schedule(text=" ".join(parts))
    schedule.next(datetime.now(UTC))  # 31 February never comes
    return schedule


def _check(text: str, position: int) -> None:
    """Raise ValueError for a field that a CronJob does not read: the library reads more (``L``, ``5#2``, ``R``)."""
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
    """Tell whether no range ends before it begins."""
    places = {name: place for place, name in enumerate(names, start=names is _MONTHS)}
    ranges = re.findall(r"(\w+)-(\w+)", text)
    return all(places.get(a, a) == b or int(places.get(a, a)) <= int(places.get(b, b)) for a, b in ranges)
