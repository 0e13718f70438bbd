"""Cards by the names that people and tables give them, which often differ from the driver's, and by what rows show of
them.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import lru_cache

from joulecast.energy.datasheets import DataSheet, datasheets

_MAKERS = frozenset({"nvidia", "tesla", "geforce", "quadro", "amd"})
_DETAIL = re.compile(r"\d+gb|gpu|rtx|generation")
"""Words that one table has and another leaves out. Any other one makes another card of it (Laptop, Ti, MIG)."""
_SAME_LIMIT = 0.01
"""Share by which a power limit may differ from the data sheet's: drivers tell it in milliwatts."""
_OVER_LIMIT = 1.05
"""Of its limit that a card's mean power may reach: the control holds it on average, meters read 5 % off at most (Yang,
Adamek and Armour, Part-time Power Measurements)."""
_OVER_BOOST = 1.1
"""Of the boost clock in a data sheet that a card's highest clock may reach: 1980 of 1830 MHz on an H100."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Seen:
    """What rows show of the card; None where they do not show it.

    - its enforced power limit
    - its highest mean power
    - the highest clock that it was locked at
    """

    power_limit_watts: float | None = None
    watts: float | None = None
    clock_mhz: float | None = None


NOTHING = Seen()


def sheet_named(name: str, seen: Seen = NOTHING) -> DataSheet | None:
    """Return the data sheet that ``name`` means, or None where it is ambiguous.

    It is the one sheet with the same words as ``name``, in any order and case, details aside; or the only one with more
    words that fits what is ``seen`` of the card. A name of which only a part matches means no sheet.
    """
    same = _same(name)
    if len(same) == 1:
        return same[0]
    fitting = _fitting(candidates(name), seen)
    if len(candidates(name)) == 1:  # other cards share the word, of which there is no data sheet
        fitting = [sheet for sheet in fitting if _has(sheet, seen, "power_limit_watts")]
    return fitting[0] if len(fitting) == 1 else None


def candidates(name: str) -> tuple[DataSheet, ...]:
    """Return every data sheet that ``name`` may mean."""
    return tuple(_same(name) or _containing(name))


def label_of(name: str, seen: Seen = NOTHING) -> str:
    """Return the label of the card that ``name`` means, or ``name`` itself where it is ambiguous."""
    sheet = sheet_named(name, seen)
    return name if sheet is None else called(sheet)


def called(sheet: DataSheet) -> str:
    """Return the label that means ``sheet`` alone; its key where another sheet has the same label."""
    shared = any(sheet.labels[0] in other.labels for other in datasheets() if other is not sheet)
    return sheet.key if shared else sheet.labels[0]


def could_be(name: str) -> str:
    """List the cards that ``name`` may mean, with power limit and boost clock.

    Empty where it means none, or exactly one.
    """
    found = candidates(name)
    if not found or [called(sheet) for sheet in found] == [name]:
        return ""
    *most, last = [f"{called(sheet)}{_told(sheet)}" for sheet in found]
    return f"{name!r} could be {', '.join(most)}{' or ' if most else ''}{last}"


def _told(sheet: DataSheet) -> str:
    facts = ((sheet.power_limit_watts, "W"), (sheet.boost_clock_mhz, "MHz"))
    known = [f"{fact.value:g} {unit}" for fact, unit in facts if fact is not None]
    return f" ({', '.join(known)})" if known else ""


def _same(name: str) -> list[DataSheet]:
    wanted = _words(name)
    exact = [sheet for sheet in datasheets() if wanted in _names(sheet)]
    return exact or [sheet for sheet in datasheets() if any(_same_card(wanted, own) for own in _names(sheet))]


def _same_card(one: frozenset[str], other: frozenset[str]) -> bool:
    """Decide whether two names differ by details only, and one of them has more."""
    told = _telling(one & other)
    return bool(told) and (one <= other or other <= one) and not _telling(one ^ other)


def _containing(name: str) -> list[DataSheet]:
    """Return the data sheets whose names contain all words of ``name`` and more."""
    wanted = _words(name)
    return [sheet for sheet in datasheets() if _telling(wanted) and any(wanted <= own for own in _names(sheet))]


def _fitting(sheets: Sequence[DataSheet], seen: Seen) -> list[DataSheet]:
    """Return the sheets that match the power limit and clock that were seen, else those that they do not exclude."""
    left = [sheet for sheet in sheets if not _ruled_out(sheet, seen)]
    for what in ("power_limit_watts", "clock_mhz"):
        left = [sheet for sheet in left if _has(sheet, seen, what)] or left
    return left


def _has(sheet: DataSheet, seen: Seen, what: str) -> bool:
    """Decide whether the card has exactly the power limit or clock that was seen."""
    value, published = getattr(seen, what), _published(sheet, what)
    return bool(value and published and abs(value - published) <= _SAME_LIMIT * published)


def _ruled_out(sheet: DataSheet, seen: Seen) -> bool:
    limit, boost = _published(sheet, "power_limit_watts"), _published(sheet, "clock_mhz")
    over_limit = max(seen.watts or 0.0, seen.power_limit_watts or 0.0)
    return bool((limit and over_limit > _OVER_LIMIT * limit) or (boost and (seen.clock_mhz or 0) > _OVER_BOOST * boost))


def _published(sheet: DataSheet, name: str) -> float | None:
    fact = sheet.power_limit_watts if name == "power_limit_watts" else sheet.boost_clock_mhz
    return fact.value if fact else None


def _telling(words: Iterable[str]) -> list[str]:
    """Return the words that are not details."""
    return [word for word in words if not _DETAIL.fullmatch(word)]


def _names(sheet: DataSheet) -> tuple[frozenset[str], ...]:
    return tuple(_words(name) for name in (sheet.key, *sheet.labels))


@lru_cache(maxsize=1024)
def _words(name: str) -> frozenset[str]:
    """Split a name into lower-case words: ``Tesla V100-SXM2-16GB`` has v100, sxm2 and 16gb."""
    return frozenset(re.findall(r"[a-z0-9]+", name.lower())) - _MAKERS
