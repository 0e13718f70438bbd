"""Figures as people read them: three significant digits, a prefix, a unit."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

_METRIC = ((1e12, "T"), (1e9, "G"), (1e6, "M"), (1e3, "k"), (1.0, ""), (1e-3, "m"), (1e-6, "µ"), (1e-9, "n"))
_BINARY = ((2.0**40, "Ti"), (2.0**30, "Gi"), (2.0**20, "Mi"), (2.0**10, "Ki"), (1.0, ""))
_TRIFLE = "<0.01"
_DIGITS = 3  # an interval is ± 10 % at best: more digits would only look exact


@dataclass(frozen=True, slots=True, kw_only=True)
class Scale:
    """One unit for many figures, so that a column can be compared by eye. ``unit`` has its prefix: ``mJ``, ``GMAC``."""

    factor: float
    unit: str

    def text(self, value: float) -> str:
        """Return ``value`` in this unit without writing the unit; a value too small for it is ``<0.01``."""
        scaled = value / self.factor
        return _TRIFLE if 0 < scaled < 0.005 else digits(scaled)

    def interval(self, value: float, lower: float, upper: float) -> str:
        """Return a forecast with its interval: ``0.42 J (0.39–0.46)``."""
        return f"{self.text(value)} {self.unit} ({self.text(lower)}–{self.text(upper)})"


def metric(unit: str, values: Iterable[float]) -> Scale:
    """Return the scale with an SI prefix that fits the largest of ``values``; counts (no J, s, W) never go below 1."""
    return _scale(unit, values, _METRIC if unit in ("J", "s", "W") else _METRIC[:5])


def joules(values: Iterable[float]) -> Scale:
    """Choose the scale of forecasts in text, where 0.42 J reads better than 420 mJ."""
    figures = list(values)
    if 0.1 <= max(figures, default=0.0) < 1:
        return Scale(factor=1.0, unit="J")
    return metric("J", figures)


def binary(values: Iterable[float]) -> Scale:
    """Return the scale of bytes (KiB, MiB, GiB) that fits the largest of ``values``."""
    return _scale("B", values, _BINARY)


def _scale(unit: str, values: Iterable[float], prefixes: tuple[tuple[float, str], ...]) -> Scale:
    largest = max((abs(value) for value in values), default=0.0)
    for factor, prefix in prefixes:
        if largest >= factor * 0.9995:  # 999.9 m would round to 1000 m
            return Scale(factor=factor, unit=prefix + unit)
    factor, prefix = prefixes[-1] if largest else (1.0, "")
    return Scale(factor=factor, unit=prefix + unit)


def digits(value: float) -> str:
    """Return three significant digits, without an exponent from 0.0001 up: 0.0123456 -> 0.0123, 1234.5 -> 1,234."""
    if value == 0:
        return "0"
    if abs(value) >= 100:
        return f"{value:,.0f}"
    return f"{value:.{_DIGITS}g}"


def quantity(value: float, unit: str) -> str:
    """Return ``value`` with the prefix that fits it: 4.09 GMAC, 12.3 mJ."""
    scale = joules([value]) if unit == "J" else metric(unit, [value])
    return f"{scale.text(value)} {scale.unit}".rstrip()


def size(count: float) -> str:
    """Return a number of bytes as text: 1.95 MiB."""
    scale = binary([count])
    return f"{scale.text(count)} {scale.unit}"


def percent(share: float) -> str:
    """Return a share as a percentage: 0.9934 -> 99.3 %. Only 1 becomes 100 %, and only 0 becomes 0 %."""
    shown = f"{100 * share:.1f}"
    if share < 1 and shown == "100.0":
        return "> 99.9 %"
    if share > 0 and shown == "0.0":
        return "< 0.1 %"
    return f"{shown.removesuffix('.0')} %"


def bar(share: float, width: int = 12) -> str:
    """Draw a bar of ``share`` of ``width`` cells, to an eighth of a cell."""
    eighths = round(max(0.0, min(1.0, share)) * width * 8)
    full, rest = divmod(eighths, 8)
    return "█" * full + ("", "▏", "▎", "▍", "▌", "▋", "▊", "▉")[rest]
