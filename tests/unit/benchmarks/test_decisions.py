"""The table of decisions at two sizes."""

from __future__ import annotations

from benchmarks.decisions import table
from benchmarks.scale import Figure, p99


def figure(measured: float, wanted: float | None = None) -> Figure:
    return Figure(what="admission", measured=measured, unit="ms", wanted=wanted)


def test_each_size_has_a_column_and_each_figure_a_row() -> None:
    lines = table([[figure(1.5, 10), figure(2)], [figure(4.25, 10), figure(250)]]).splitlines()
    assert lines[0] == "| 3,000 workloads of five kinds | 1,000 estimates | 10,000 estimates | wanted |"
    assert lines[2:] == ["| admission | 1.5 ms | 4.25 ms | ≤ 10 ms |", "| admission | 2 ms | 250 ms | – |"]


def test_one_in_a_hundred_is_slower_than_the_p99() -> None:
    assert p99(list(map(float, range(1, 101)))) == 99.0
