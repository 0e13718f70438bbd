"""Derive from the rows of a folder what is done, what is given up, and which run continues."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta

from joulecast_calibration.measure.plan.configuration import Configuration
from joulecast_calibration.meter.sensor import Card
from joulecast_calibration.rows.typed import (
    ConstantsRow,
    FailureRow,
    GraphRow,
    InvalidRow,
    LayerRow,
    MeasuredRow,
    NetworkRow,
    SessionRow,
    TypedRow,
    WindowRow,
)

MOST_CRASHES = 2  # tries of a configuration that ends its process, before it is given up
PASSING = ("foreign process", "stranger")
"""Reasons of an invalid row that do not depend on the configuration, so it is measured again.

Journals of earlier versions say ``stranger`` for a foreign process."""
UNMETERED = "unmetered"
"""Reason of an invalid row of a check, where a configuration ran and the meter was not read."""

_OF_THE_MOMENT = ("CounterReset", "CounterSilent", "LoadStalled", "InternalError")
"""Failures that do not depend on the configuration: a later run tries again. An internal error is a fault of joulecast,
which a later version may have mended."""

_SAME_HOLD = timedelta(minutes=10)  # a card released for longer may have been used by others meanwhile


@dataclass(frozen=True, slots=True, kw_only=True)
class MeasurementRun:
    """The run that a new process belongs to.

    - ``constants``: its row of that kind.
    - ``opened``: keys of opening rows.
    - ``graphs``: digests whose graphs its file holds.
    """

    run_id: str
    process: int
    constants: ConstantsRow | None = None
    opened: frozenset[str] = frozenset()
    graphs: frozenset[str] = frozenset()
    continues: bool = False


class History:
    """What is measured and what is given up, updated as rows are written."""

    def __init__(self, rows: Iterable[TypedRow] = ()) -> None:
        self._done: set[str] = set()
        self._identities: set[str] = set()
        self._crashes: Counter[str] = Counter()
        for row in rows:
            self.add(row)

    def add(self, row: TypedRow) -> None:
        """Learn from one row."""
        if isinstance(row, FailureRow):
            self._learn_failure(row)
        elif isinstance(row, InvalidRow):
            self._learn_invalid(row)
        elif isinstance(row, ConstantsRow):
            self._done.add(row.key)
        elif isinstance(row, LayerRow | NetworkRow | WindowRow) and not row.anchor:
            self._learn(row)

    def suppose(self, configuration: Configuration) -> None:
        """Treat a configuration as measured."""
        self._done.add(configuration.key)
        self._identities.add(configuration.identity)

    def _learn(self, row: MeasuredRow | InvalidRow) -> None:
        self._done.add(row.key)
        self._identities.add(row.identity)

    def _learn_invalid(self, row: InvalidRow) -> None:
        if row.anchor or _passing(row):
            return
        if row.invalid_reason == UNMETERED:
            self._learn(row)
        self._done.add(row.key)

    def _learn_failure(self, row: FailureRow) -> None:
        if row.reason == "Crash":
            self._crashes[row.key] += 1
        elif not row.anchor and row.reason not in _OF_THE_MOMENT:
            self._done.add(row.key)

    def crashes(self, key: str) -> int:
        return self._crashes[key]

    def over(self, configuration: Configuration) -> bool:
        """Return whether the configuration is done or given up."""
        key = configuration.key
        return key in self._done or self._crashes[key] >= MOST_CRASHES

    def wants(self, configuration: Configuration) -> bool:
        """Return whether it is to be measured now: not done or given up, and if a repeat, measured before."""
        if self.over(configuration):
            return False
        return not configuration.repeat or configuration.identity in self._identities


def current_run(rows: Iterable[TypedRow], card: Card, boot: str, now: datetime) -> MeasurementRun | None:
    """Return the folder's last run if it was on ``card``, and since ``boot``, the machine's start; None to begin a new
    run.
    """
    rows = list(rows)
    sessions = [row for row in rows if isinstance(row, SessionRow)]
    if not sessions:
        return None
    last = sessions[-1]
    held = (last.accelerator, last.card, last.driver or "", last.host.boot or "")
    if held != (card.accelerator, card.card, card.driver, boot):
        return None
    own = [row for row in rows if row.run_id == last.run_id]
    ended = datetime.fromisoformat(last.started_at) + timedelta(
        seconds=max(row.at_seconds for row in own if row.process == last.process)
    )
    if now - ended > _SAME_HOLD:
        return None
    constants = [row for row in own if isinstance(row, ConstantsRow)]
    return MeasurementRun(
        run_id=last.run_id,
        process=1 + max(row.process for row in own),
        constants=constants[-1] if constants else None,
        opened=frozenset(key for row in own if (key := _opened(row))),
        graphs=frozenset(row.digest for row in own if isinstance(row, GraphRow)),
        continues=True,
    )


def _opened(row: TypedRow) -> str:
    """Return the key of a row that opens a run, or "" for any other row."""
    if not isinstance(row, LayerRow | NetworkRow | WindowRow | InvalidRow | FailureRow):
        return ""
    return row.key if row.anchor == "start" and not _passing(row) else ""


def _passing(row: TypedRow) -> bool:
    return isinstance(row, InvalidRow) and row.invalid_reason in PASSING
