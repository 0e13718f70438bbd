"""What there is to fit: rows of ``joulecast measure`` on one accelerator, and every reason to refuse them."""

from __future__ import annotations

import math
import os
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from joulecast.accelerators import SIMULATED_ALLOWED
from joulecast.calibration.meter.simulated.presets import PRESETS
from joulecast.calibration.rows.journals import SIMULATED, Row, is_simulated, read_journals, refuse_unfit
from joulecast.calibration.rows.measured import LAYER_AND_NETWORK
from joulecast.energy.names import Seen, label_of
from joulecast.errors import MeasurementError

FEWEST_ROWS = 10
"""Fewer cannot move the coefficients that every forecast needs: what is asked of a first look is 15 layers."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Journal:
    """``rows``: valid layers and networks. ``constants``: of every run. ``product``: label of what they were measured
    on, told by the power limit where the rows have a shorter name; of a simulated card that of which it is a likeness.
    ``drivers``, ``hosts``: of the sessions, the most frequent first."""

    rows: tuple[Row, ...]
    constants: tuple[Row, ...]
    product: str
    simulated: bool
    suite: str
    drivers: tuple[str, ...]
    hosts: tuple[str, ...]
    power_limit_watts: float | None
    invalid: int


def read(paths: Sequence[Path]) -> Journal:
    """All rows of ``paths``, each a journal or a folder of them.

    Raises MeasurementError where there are none, too few, of two accelerators, of another suite, or simulated ones
    without leave.
    """
    rows = read_journals(_files(paths)).rows
    named = ", ".join(map(str, paths))
    if not rows:
        raise MeasurementError(
            f"{named} holds no measured rows: make some with `joulecast measure --resume {paths[0]}`", reason="NoRows"
        )
    simulated = any(is_simulated(row.get("accelerator")) for row in rows)
    refuse_unfit(rows, simulated=simulated and simulated_allowed())
    accelerator, suite = _only(rows, "accelerator", named), _only(rows, "suite_digest", named)
    valid = [row for row in rows if row["kind"] in LAYER_AND_NETWORK and row.get("valid") is True]
    kept = tuple(row for row in valid if not flaw_of(row))
    if len(kept) < FEWEST_ROWS:
        raise MeasurementError(
            f"{named} holds {len(kept)} valid layer and network rows, and a fit needs {FEWEST_ROWS}:"
            " measure more with the same command",
            reason="TooFewRows",
        )
    invalid = sum(row["kind"] in LAYER_AND_NETWORK for row in rows) - len(kept)
    return journal_of(rows, kept, accelerator, suite, invalid=invalid, simulated=simulated)


def journal_of(
    rows: Sequence[Row], kept: Sequence[Row], accelerator: str, suite: str, *, invalid: int, simulated: bool
) -> Journal:
    """``rows`` of every kind of one accelerator; ``kept``: those of them that are fitted."""
    sessions = [row for row in rows if row["kind"] == "session"]
    limit_watts = _limit(kept)
    return Journal(
        rows=tuple(kept),
        constants=tuple(row for row in rows if row["kind"] == "constants"),
        product=label_of(product_of(accelerator, simulated=simulated), Seen(power_limit_watts=limit_watts)),
        simulated=simulated,
        suite=suite,
        drivers=_frequent(row.get("driver") for row in sessions),
        hosts=_frequent(_processor(row) for row in sessions),
        power_limit_watts=limit_watts,
        invalid=invalid,
    )


def _files(paths: Sequence[Path]) -> list[Path]:
    found: list[Path] = []
    for path in paths:
        if not path.exists():
            raise MeasurementError(f"{path} does not exist: name a folder of measured rows, or a .jsonl file of it")
        found += sorted(path.glob("*.jsonl")) if path.is_dir() else [path]
    return list(dict.fromkeys(found))


def simulated_allowed() -> bool:
    """Whether the environment lets rows of a simulated card be fitted and scored: for tests."""
    return os.environ.get(SIMULATED_ALLOWED) == "1"


def _only(rows: Iterable[Row], column: str, named: str) -> str:
    """The one value that ``column`` has in all rows."""
    values = sorted({str(row[column]) for row in rows if row.get(column)})
    if len(values) != 1:
        what = {"accelerator": "accelerators", "suite_digest": "suites"}[column]
        told = " and ".join(value[:40] for value in values) or "none"
        raise MeasurementError(
            f"{named} holds rows of {len(values)} {what} ({told}): give those of one alone", reason="MixedRows"
        )
    return values[0]


_NUMBERS = ("joules", "seconds")
_PERHAPS_NUMBERS = ("sm_clock_mhz", "views", "module_calls", "audio_seconds", "power_limit_watts")
_TEXTS = ("name", "runtime", "precision", "identity")
_WHOLE = ("batch_size", "sequence_length")


def flaw_of(row: Mapping[str, Any]) -> str:
    """Why a valid layer or network cannot be fitted or scored; empty if it can. A row may come from anybody."""
    for name in _NUMBERS:
        if not (_is_number(row.get(name)) and row[name] > 0):
            return f"no {name}"
    odd = [name for name in _TEXTS if not isinstance(row.get(name), str)]
    odd += [name for name in _PERHAPS_NUMBERS if row.get(name) is not None and not _is_number(row[name])]
    odd += [name for name in _WHOLE if row.get(name) is not None and not isinstance(row[name], int)]
    odd += ["batch_size"] if row["kind"] == "network" and not row.get("batch_size") else []
    return f"{odd[0]} makes no sense" if odd else ""


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and math.isfinite(value)


def product_of(accelerator: str, *, simulated: bool) -> str:
    """The product of an accelerator's name; of a simulated card the one that it is a likeness of."""
    if not simulated:
        return accelerator
    found = PRESETS.get(accelerator.lower().removeprefix(SIMULATED))
    return accelerator if found is None else found.product


def _frequent(values: Iterable[Any]) -> tuple[str, ...]:
    return tuple(value for value, _ in Counter(str(value) for value in values if value).most_common())


def _processor(session: Mapping[str, Any]) -> str | None:
    host = session.get("host")
    return host.get("processor") if isinstance(host, dict) else None


def _limit(rows: Sequence[Row]) -> float | None:
    """The power limit as most rows have it; several cards may differ."""
    found = Counter(row["power_limit_watts"] for row in rows if row.get("power_limit_watts"))
    return float(found.most_common(1)[0][0]) if found else None
