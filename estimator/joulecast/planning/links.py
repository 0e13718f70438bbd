"""Links between machines: how fast they carry bytes, and what a byte costs."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

from joulecast.errors import WorkloadError
from joulecast.units import Joules, Seconds

_RATE = re.compile(r"([0-9]+(?:\.[0-9]+)?)\s*([kMGT]?)bit(?:/s)?", re.ASCII)
_PREFIX = {"": 1.0, "k": 1e3, "M": 1e6, "G": 1e9, "T": 1e12}
_BITS = 8.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Link:
    """A link: ``joules_per_byte`` of both ends and what lies between, ``latency_seconds`` before the first byte.

    - ``source``: where the joules are from.
    """

    bytes_per_second: float
    joules_per_byte: float
    latency_seconds: float = 0.0
    source: str = "given"

    def __post_init__(self) -> None:
        """Raise WorkloadError, naming the field, for what no link has."""
        if not (math.isfinite(self.bytes_per_second) and self.bytes_per_second > 0):
            raise WorkloadError(f"a link carries {self.bytes_per_second} bytes a second: give a number above 0")
        for name in ("joules_per_byte", "latency_seconds"):
            value = getattr(self, name)
            if not (math.isfinite(value) and value >= 0):
                raise WorkloadError(f"{name} of a link is {value}: give a number from 0 up")

    def joules(self, count: int) -> Joules:
        """Return what ``count`` bytes cost."""
        return Joules(count * self.joules_per_byte)

    def seconds(self, count: int) -> Seconds:
        """Return how long ``count`` bytes take; none take no time."""
        return Seconds(self.latency_seconds + count / self.bytes_per_second if count else 0.0)


@dataclass(frozen=True, slots=True, kw_only=True)
class Medium:
    """What a byte costs over a kind of link, and who measured it."""

    joules_per_byte: float
    source: str


MEDIA: Mapping[str, Medium] = MappingProxyType(
    {
        "internet": Medium(
            joules_per_byte=0.06 * 3.6e6 / 1e9,
            source="core and fixed access networks, 0.06 kWh per GB in 2015, halved every two years before (Aslan et"
            " al., Journal of Industrial Ecology 22, 2018)",
        ),
    }
)
"""Only what a source states of a whole path. A cable in a rack or a radio differs too much for a default."""


def link_named(
    text: str, *, over: str | None = None, joules_per_byte: float | None = None, latency_seconds: float = 0.0
) -> Link:
    """Return the link of a rate such as ``1Gbit``, with the joules given or those of a medium.

    Raises WorkloadError for a rate that is none, an unknown medium, and where nothing tells the joules of a byte.
    """
    found = _RATE.fullmatch(text.strip())
    if found is None:
        raise WorkloadError(f"{text!r} is not the rate of a link: write bits a second, as 100Mbit or 1Gbit")
    if over is not None and over not in MEDIA:
        raise WorkloadError(f"unknown medium {over!r}: choose one of {', '.join(MEDIA)}, or give joules per byte")
    if joules_per_byte is not None:
        medium = Medium(joules_per_byte=joules_per_byte, source="given")
    elif over is not None:
        medium = MEDIA[over]
    else:
        raise WorkloadError(
            f"no trusted source states what a byte costs on every link of {text}: give joules per byte, or the medium"
            f" ({', '.join(MEDIA)})"
        )
    return Link(
        bytes_per_second=float(found[1]) * _PREFIX[found[2]] / _BITS,
        joules_per_byte=medium.joules_per_byte,
        latency_seconds=latency_seconds,
        source=medium.source,
    )
