"""Write the text that Prometheus reads. Families with thousands of samples write it themselves, because the client
library takes 20 µs a sample.

The labels of a row are kept once, and once as text, however many values the row has.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from prometheus_client import CollectorRegistry
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.exposition import generate_latest
from prometheus_client.metrics_core import Metric as Family
from prometheus_client.samples import Sample

Labels = tuple[str, ...]
Point = tuple[Labels, str, float]
"""A sample: the values of its labels, its labels as text, and its value."""


class LargeFamily(GaugeMetricFamily):
    """A family of gauges that writes its own text."""

    def __init__(self, name: str, text: str, labels: Sequence[str], points: Iterable[Point] = ()) -> None:
        self._names = tuple(labels)
        self._points = list(points)
        super().__init__(name, text, labels=labels)

    @property
    def samples(self) -> list[Sample]:
        """Return the samples, which are an attribute of the base class, made only when they are needed."""
        return [
            Sample(self.name, dict(zip(self._names, labels, strict=True)), value) for labels, _, value in self._points
        ]

    @samples.setter
    def samples(self, _: list[Sample]) -> None:
        """Ignore the value that the constructor of the base class sets."""

    def text(self) -> str:
        """Return the family in the same format as the client library's generate_latest."""
        lines = [f"{self.name}{{{text}}} {value!r}\n" for _, text, value in self._points]
        return f"# HELP {self.name} {_line(self.documentation)}\n# TYPE {self.name} gauge\n{''.join(lines)}"


class _Alone:
    """A registry with one family, as generate_latest expects one."""

    def __init__(self, family: Family) -> None:
        self._family = family

    def collect(self) -> Iterable[Family]:
        return (self._family,)


def page(registry: CollectorRegistry) -> bytes:
    """Return everything that ``registry`` collects, in text format 0.0.4."""
    return b"".join(
        family.text().encode() if isinstance(family, LargeFamily) else generate_latest(_Alone(family))
        for family in registry.collect()
    )


def label_text(names: Sequence[str], values: Labels) -> str:
    """Return labels in the format that stands between the braces."""
    return ",".join(f'{name}="{_quoted(value)}"' for name, value in zip(names, values, strict=True))


def _quoted(value: str) -> str:
    return _line(value).replace('"', '\\"')


def _line(text: str) -> str:
    return text.replace("\\", "\\\\").replace("\n", "\\n")
