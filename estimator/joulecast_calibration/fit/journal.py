"""Select the rows of ``joulecast measure`` on one accelerator that can be fitted, and give reasons for the others."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from joulecast.energy.names import Seen, label_of
from joulecast.energy.profile import SIMULATED_ALLOWED
from joulecast.errors import MeasurementError
from joulecast_calibration.meter.simulated.presets import PRESETS
from joulecast_calibration.rows.graphs import MeasuredGraph, graphs_of
from joulecast_calibration.rows.journals import (
    FEWEST_ROWS,
    SIMULATED,
    Executed,
    is_executed,
    is_served,
    is_simulated,
    left_out,
    read_journals,
    refuse_unfit,
)
from joulecast_calibration.rows.typed import ConstantsRow, SessionRow, TypedRow

SERVED = "prefill and decode passes of decoders: scored by `joulecast evaluate`, and not fitted"
"""Reason for rows that a fit leaves out."""


@dataclass(frozen=True, slots=True, kw_only=True)
class MeasuredRows:
    """Rows of one accelerator, ready to be fitted.

    - ``rows``: valid layers and networks.
    - ``served``: valid passes of decoders that generate, which no fit uses.
    - ``graphs``: graphs that were traced where the rows were measured, by digest.
    - ``constants``: rows of kind ``constants`` of every run.
    - ``product``: label of the accelerator, found by the power limit where the rows have a shorter name; of a simulated
      card, the product that it simulates.
    - ``suite``: digest of the index that planned most of the sessions.
    - ``drivers``, ``hosts``: of the sessions, the most frequent first.
    - ``refused``: number of layers and networks that cannot be fitted, and of invalid lines, by reason.
    """

    rows: tuple[Executed, ...]
    served: tuple[Executed, ...] = ()
    graphs: Mapping[str, MeasuredGraph]
    constants: tuple[ConstantsRow, ...]
    product: str
    simulated: bool
    suite: str
    drivers: tuple[str, ...]
    hosts: tuple[str, ...]
    power_limit_watts: float | None
    refused: Mapping[str, int]


def read(paths: Sequence[Path]) -> MeasuredRows:
    """Read all rows of ``paths``, each a journal or a folder of journals.

    Raises MeasurementError where there are no rows, too few rows, rows of two accelerators, or simulated rows that are
    not allowed.
    """
    found = read_journals(_files(paths))
    named = ", ".join(map(str, paths))
    if not found.lines:
        raise MeasurementError(
            f"{named} holds no measured rows: make some with `joulecast measure --resume {paths[0]}`", reason="NoRows"
        )
    simulated = any(is_simulated(line.accelerator) for line in found.lines)
    refuse_unfit(found.lines, simulated=simulated and simulated_allowed())
    kept = tuple(filter(is_executed, found.placed))
    served = tuple(filter(is_served, found.placed))
    refused = left_out(found.lines, found.damaged)
    if served:
        refused[SERVED] = len(served)
    if len(kept) < FEWEST_ROWS:
        raise MeasurementError(
            f"{named} holds {len(kept)} valid layer and network rows, and a fit needs {FEWEST_ROWS}:"
            f" measure more with the same command{_told(refused)}",
            reason="TooFewRows",
        )
    accelerator = _only_accelerator((line.accelerator for line in found.lines), named)
    return journal_of(found.rows, kept, accelerator, served=served, refused=refused, simulated=simulated)


def _told(refused: Mapping[str, int]) -> str:
    return f" (left out: {'; '.join(f'{number} {reason}' for reason, number in refused.items())})" if refused else ""


def journal_of(
    rows: Sequence[TypedRow],
    kept: Sequence[Executed],
    accelerator: str,
    *,
    served: Sequence[Executed] = (),
    refused: Mapping[str, int],
    simulated: bool,
) -> MeasuredRows:
    """Build the table input from ``rows`` of every kind of one accelerator.

    ``kept``: those that are fitted; ``served``: passes of decoders.
    """
    sessions = [row for row in rows if isinstance(row, SessionRow)]
    limit_watts = _limit(kept)
    return MeasuredRows(
        rows=tuple(kept),
        served=tuple(served),
        graphs=graphs_of(rows),
        constants=tuple(row for row in rows if isinstance(row, ConstantsRow)),
        product=label_of(product_of(accelerator, simulated=simulated), Seen(power_limit_watts=limit_watts)),
        simulated=simulated,
        suite=next(iter(_frequent(row.suite_digest for row in sessions)), ""),
        drivers=_frequent(row.driver for row in sessions),
        hosts=_frequent(row.host.processor for row in sessions),
        power_limit_watts=limit_watts,
        refused=dict(refused),
    )


def _files(paths: Sequence[Path]) -> list[Path]:
    found: list[Path] = []
    for path in paths:
        if not path.exists():
            raise MeasurementError(f"{path} does not exist: name a folder of measured rows, or a .jsonl file of it")
        found += sorted(path.glob("*.jsonl")) if path.is_dir() else [path]
    return list(dict.fromkeys(found))


def simulated_allowed() -> bool:
    """Return whether the environment allows rows of a simulated card to be fitted and scored, as tests do."""
    return os.environ.get(SIMULATED_ALLOWED) == "1"


def _only_accelerator(accelerators: Iterable[str | None], named: str) -> str:
    """Return the one accelerator that all rows were measured on."""
    values = sorted(set(filter(None, accelerators)))
    if len(values) != 1:
        told = " and ".join(value[:40] for value in values) or "none"
        raise MeasurementError(
            f"{named} holds rows of {len(values)} accelerators ({told}): give those of one alone", reason="MixedRows"
        )
    return values[0]


def product_of(accelerator: str, *, simulated: bool) -> str:
    """Return the product of an accelerator's name; for a simulated card the product that it simulates."""
    if not simulated:
        return accelerator
    found = PRESETS.get(accelerator.lower().removeprefix(SIMULATED))
    return accelerator if found is None else found.product


def _frequent(values: Iterable[str | None]) -> tuple[str, ...]:
    return tuple(value for value, _ in Counter(filter(None, values)).most_common())


def _limit(kept: Iterable[Executed]) -> float | None:
    """Return the power limit that most rows have, because several cards may differ."""
    found = Counter(filter(None, (line.row.power_limit_watts for line in kept)))
    return float(found.most_common(1)[0][0]) if found else None
