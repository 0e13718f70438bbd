"""Score the seconds of whole networks in the latency tables that a folder of data holds."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import numpy as np

from joulecast.energy.datasheets import datasheets
from joulecast.energy.features import Array, Flags
from joulecast_calibration.evaluate.serving.scoring import (
    ALL,
    LeftOut,
    ServedEvaluation,
    ServedForecast,
    ServedScore,
    left_out,
    score,
)
from joulecast_calibration.evaluate.timed.joint import JOINT, JointLaw
from joulecast_calibration.evaluate.timed.laws import BY_KIND, DIRECT, LAWS, TODAY, CardRows, SecondsLaw
from joulecast_calibration.evaluate.timed.unread import unread
from joulecast_calibration.fit.latencies import latency_table
from joulecast_calibration.rows.latencies.lineage import lineage_of
from joulecast_calibration.rows.latencies.tables import DLE, TIMM, LatencyRow, read_latencies

NAMES: Mapping[str, str] = {"timm": "timm_latency", "dle": "nvidia_dle_latency"}
FAMILY_OUT, CARD_OUT = "seconds, family left out", "seconds, card left out"
CHIP_OUT = "seconds, all cards of the chip left out"
SCORED_BY: Mapping[str, tuple[str, ...]] = {"timm": (TODAY, BY_KIND, JOINT), "dle": (TODAY, BY_KIND, DIRECT, JOINT)}


def holds_timed(folder: Path) -> bool:
    """Decide whether ``folder`` holds one of the tables."""
    return any((folder / file).is_file() for file in (TIMM, DLE))


def laws_of(folder: Path) -> Mapping[str, SecondsLaw]:
    """Return every law that is scored on the tables of ``folder``."""
    return {**LAWS, JOINT: JointLaw(folder=folder)}


def evaluate_timed(folder: Path, laws: Mapping[str, SecondsLaw] | None = None) -> ServedEvaluation:
    """Return the scores of every law on every table of ``folder``; none where it holds no table.

    Every row is forecast by a fit that saw no row of its card, but those of all other cards in every table; rows of
    tables with dozens of families also by one that saw the card's other families.
    """
    found, laws = read_latencies(folder), laws or laws_of(folder)
    scores: list[ServedScore] = []
    missing: list[LeftOut] = []
    tables: dict[str, tuple[CardRows, ...]] = {}
    for table, name in NAMES.items():
        tables[table], without = cards_of([row for row in found.rows if row.table == table])
        missing += left_out(name, without)
    everyone = [card for cards in tables.values() for card in cards]
    for table, cards in tables.items():
        for system in SCORED_BY[table] if cards else ():
            scores += _scores(table, system, laws[system], cards, everyone)
    missing += [*left_out("latency tables", found.left_out), *unread(folder)]
    return ServedEvaluation(scores=tuple(scores), left_out=tuple(missing))


def cards_of(rows: Sequence[LatencyRow]) -> tuple[tuple[CardRows, ...], Mapping[str, int]]:
    """Return ``rows`` by card, and the numbers of those that cannot be priced, by reason."""
    sheets = {sheet.key: sheet for sheet in datasheets()}
    found, without = [], Counter[str]()
    for card in sorted({row.card for row in rows}):
        own, sheet = [row for row in rows if row.card == card], sheets.get(card)
        if sheet is None or sheet.missing:
            without[f"{card} has no data sheet"] += len(own)
            continue
        timed = latency_table(own, lacks=sheet.lacks)
        without["networks that the pinned timm does not have or that are not counted"] += len(timed.uncounted)
        families = np.array([lineage_of(row.network) for row in timed.rows], dtype=object)
        found.append(CardRows(sheet=sheet, timed=timed, families=families))
    return tuple(found), dict(without)


def _scores(
    table: str, system: str, law: SecondsLaw, cards: Sequence[CardRows], everyone: Sequence[CardRows]
) -> Iterator[ServedScore]:
    name = NAMES[table]
    left = [(card, without_card(law, everyone, card)) for card in cards]
    yield from _scored(name, CARD_OUT, system, left)
    if system != TODAY and any(of_its_chip(everyone, card) for card in cards):
        apart = [(card, _without_chip(law, everyone, card, seconds)) for card, seconds in left]
        yield from _scored(name, CHIP_OUT, system, apart)
    if table == "timm" and system not in (TODAY, JOINT):
        yield from _scored(name, FAMILY_OUT, system, [(card, without_family(law, cards, card)) for card in cards])


def without_card(law: SecondsLaw, cards: Sequence[CardRows], card: CardRows) -> Array:
    """Forecast all rows of ``card`` by a fit on the other cards."""
    everything = np.ones(card.timed.table.size, dtype=bool)
    others = (other for other in cards if other.sheet is not card.sheet)
    seen = [(other, np.ones(other.timed.table.size, dtype=bool)) for other in others]
    return law.fit(seen, card.sheet)(card, everything)


def of_its_chip(cards: Sequence[CardRows], card: CardRows) -> tuple[CardRows, ...]:
    """Return the other products among ``cards`` that have the chip of ``card``."""
    chip = card.sheet.architecture
    return tuple(each for each in cards if each.sheet is not card.sheet and each.sheet.architecture == chip)


def _without_chip(law: SecondsLaw, cards: Sequence[CardRows], card: CardRows, without: Array) -> Array:
    """Forecast all rows of ``card`` by a fit on cards of other chips; ``without``: the forecast without the card."""
    alike = {each.sheet.key for each in of_its_chip(cards, card)}
    return without_card(law, [each for each in cards if each.sheet.key not in alike], card) if alike else without


def without_family(law: SecondsLaw, cards: Sequence[CardRows], card: CardRows) -> Array:
    """Forecast each family of ``card`` by a fit on all other families, of every card."""
    seconds = np.full(card.timed.table.size, np.nan)
    for family in sorted(set(card.families.tolist())):
        asked: Flags = card.families == family
        seen = [(other, other.families != family) for other in cards]
        seconds[asked] = law.fit(seen, card.sheet)(card, asked)
    return seconds


def _scored(name: str, figure: str, system: str, forecasts: Sequence[tuple[CardRows, Array]]) -> Iterator[ServedScore]:
    """Yield the score of all rows, of each card, of each precision, and of each family."""
    every = [
        ServedForecast(
            groups={"card": row.card, "precision": _precision(row), "family": family},
            forecast=forecast,
            measured=row.seconds,
        )
        for card, seconds in forecasts
        for row, family, forecast in zip(card.timed.rows, card.families.tolist(), seconds.tolist(), strict=True)
    ]
    yield score(name, figure, system, ALL, every)
    for kind in ("card", "precision", "family"):
        names = sorted({each.groups[kind] for each in every})
        for part in names if len(names) > 1 else ():
            yield score(name, figure, system, part, [each for each in every if each.groups[kind] == part])


def _precision(row: LatencyRow) -> str:
    return f"{row.precision}, channels last" if row.channels_last else row.precision
