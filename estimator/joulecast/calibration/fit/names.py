"""Cards by the names that tables of measurements give them, which are seldom the driver's own."""

from __future__ import annotations

import re

from joulecast.energy.datasheets import DataSheet, datasheets

_MAKERS = frozenset({"nvidia", "tesla", "geforce", "quadro", "amd"})
_DETAIL = re.compile(r"\d+gb|gpu|rtx|generation")
"""Words that one table has and another leaves out. Any other one makes another card of it (Laptop, Ti, MIG)."""


def sheet_named(gpu: str) -> DataSheet | None:
    """The one data sheet with the same words as ``gpu``, in any order and case, be it without details. None where
    several come into question."""
    wanted = _words(gpu)
    exact = [sheet for sheet in datasheets() if wanted in _names(sheet)]
    near = [sheet for sheet in datasheets() if any(_same_card(wanted, own) for own in _names(sheet))]
    found = exact or near
    return found[0] if len(found) == 1 else None


def _same_card(one: frozenset[str], other: frozenset[str]) -> bool:
    """Whether they share what is no detail, and only details set them apart, of which one has more."""
    told = {word for word in one & other if not _DETAIL.fullmatch(word)}
    return bool(told) and (one <= other or other <= one) and all(_DETAIL.fullmatch(word) for word in one ^ other)


def _names(sheet: DataSheet) -> list[frozenset[str]]:
    return [_words(name) for name in (sheet.key, *sheet.labels)]


def _words(name: str) -> frozenset[str]:
    """``Tesla V100-SXM2-16GB`` is v100, sxm2 and 16gb."""
    return frozenset(re.findall(r"[a-z0-9]+", name.lower())) - _MAKERS
