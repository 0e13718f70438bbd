"""Published limits of accelerators, each with its source. ``datasheets.json`` beside this file is the table."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import Any

UNVERIFIED = "data-sheet-recalled"
"""The source code of a value written from knowledge of a data sheet: on its own, unverified."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Fact:
    """A published value and the codes of its sources; the table's ``sources`` spells them out."""

    value: float
    sources: tuple[str, ...]

    @property
    def verified(self) -> bool:
        return any(source != UNVERIFIED for source in self.sources)


@dataclass(frozen=True, slots=True, kw_only=True)
class DataSheet:
    """Limits of one accelerator.

    - ``peaks``: dense operations per second by arithmetic; None where no source is trusted.
    - ``quantised_peaks``: the same of narrow arithmetics (fp8, int8, fp4), which inference engines use.
    - ``labels``: values of the node label that name it.
    - ``lacks``: arithmetics the hardware does not have.
    - ``memory_bytes``: as published, in units of 10⁹ bytes; cards hold up to 7 % more.
    - ``same_card``: key of the sheet of which this one is an export version: alike but for links between cards.
    """

    key: str
    vendor: str
    labels: tuple[str, ...]
    architecture: str
    lacks: tuple[str, ...]
    peaks: Mapping[str, Fact]
    bandwidth_bytes_per_second: Fact | None
    power_limit_watts: Fact | None
    boost_clock_mhz: Fact | None
    multiprocessors: Fact | None
    quantised_peaks: Mapping[str, Fact]
    memory_bytes: Fact | None
    same_card: str | None = None

    @property
    def boost_mhz(self) -> float | None:
        """The boost clock, where a source is trusted."""
        return self.boost_clock_mhz.value if self.boost_clock_mhz else None

    @property
    def unverified(self) -> tuple[str, ...]:
        """Names of the values that only an unread source states."""
        facts = {f"peak {name}": fact for name, fact in self.peaks.items()} | {
            "bandwidth": self.bandwidth_bytes_per_second,
            "power limit": self.power_limit_watts,
        }
        return tuple(name for name, fact in facts.items() if fact is not None and not fact.verified)

    @property
    def missing(self) -> tuple[str, ...]:
        """What a forecast needs and no source states."""
        needed = {
            "a peak rate": self.peaks,
            "a memory bandwidth": self.bandwidth_bytes_per_second,
            "a power limit": self.power_limit_watts,
        }
        return tuple(name for name, fact in needed.items() if not fact)


@cache
def datasheets() -> tuple[DataSheet, ...]:
    """Return every accelerator of the table, in its order."""
    document = json.loads(files("joulecast.energy").joinpath("datasheets.json").read_text("utf-8"))
    return tuple(_sheet(entry) for entry in document["accelerators"])


@cache
def sources() -> Mapping[str, str]:
    """Return what each source code of the table stands for."""
    document = json.loads(files("joulecast.energy").joinpath("datasheets.json").read_text("utf-8"))
    found: dict[str, str] = document["sources"]
    return found


def _sheet(entry: dict[str, Any]) -> DataSheet:
    return DataSheet(
        key=entry["key"],
        vendor=entry["vendor"],
        labels=tuple(entry["labels"]),
        architecture=entry["architecture"],
        lacks=tuple(entry["lacks"]),
        peaks={name: _fact(fact) for name, fact in entry["peaks"].items()},
        bandwidth_bytes_per_second=_optional(entry, "bandwidth_bytes_per_second"),
        power_limit_watts=_optional(entry, "power_limit_watts"),
        boost_clock_mhz=_optional(entry, "boost_clock_mhz"),
        multiprocessors=_optional(entry, "multiprocessors"),
        memory_bytes=_optional(entry, "memory_bytes"),
        quantised_peaks={name: _fact(fact) for name, fact in entry.get("quantised_peaks", {}).items()},
        same_card=entry.get("same_card"),
    )


def _optional(entry: dict[str, Any], name: str) -> Fact | None:
    return _fact(entry[name]) if name in entry else None


def _fact(entry: dict[str, Any]) -> Fact:
    return Fact(value=entry["value"], sources=tuple(entry["sources"]))
