from __future__ import annotations

import pytest

from joulecast.cli.tables import quantities


@pytest.mark.parametrize(
    ("value", "unit", "text"),
    [
        (4_089_184_256, "MAC", "4.09 GMAC"),
        (36_069_120, "MAC", "36.1 MMAC"),
        (0, "MAC", "0 MAC"),
        (7, "MAC", "7 MAC"),
        (11_115_000, "", "11.1 M"),
        (0.42, "J", "0.42 J"),
        (0.042, "J", "42 mJ"),
        (1.5, "J", "1.5 J"),
        (12_345.0, "J", "12.3 kJ"),
        (0.000_0123, "s", "12.3 µs"),
        (0.9999, "s", "1 s"),
        (999.9, "W", "1 kW"),
        (2e-12, "J", "<0.01 nJ"),
    ],
)
def test_a_quantity_has_three_digits_and_a_prefix(value: float, unit: str, text: str) -> None:
    assert quantities.quantity(value, unit) == text


@pytest.mark.parametrize(
    ("count", "text"), [(0, "0 B"), (1023, "1,023 B"), (100, "100 B"), (4_980_736, "4.75 MiB"), (2**30, "1 GiB")]
)
def test_bytes_have_binary_prefixes(count: int, text: str) -> None:
    assert quantities.size(count) == text


def test_an_interval_shares_the_unit_of_its_forecast() -> None:
    assert quantities.metric("J", [1.42]).interval(1.42, 1.39, 1.46) == "1.42 J (1.39–1.46)"
    assert quantities.metric("J", [0.042]).interval(0.042, 0.039, 0.46) == "42 mJ (39–460)"


def test_a_column_shares_the_unit_of_its_largest_figure() -> None:
    scale = quantities.metric("J", [0.002, 3.0])
    assert (scale.unit, scale.text(0.002), scale.text(0.02), scale.text(3.0)) == ("J", "<0.01", "0.02", "3")
    assert quantities.metric("J", []).unit == "J"
    assert quantities.metric("J", [0.3]).text(0.3) == "300"


def test_a_forecast_in_words_prefers_joules() -> None:
    assert quantities.joules([0.42, 0.001]).interval(0.42, 0.39, 0.46) == "0.42 J (0.39–0.46)"
    assert quantities.joules([]).unit == "J"


@pytest.mark.parametrize(
    ("share", "text"),
    [(1.0, "100 %"), (0.99999, "> 99.9 %"), (0.5, "50 %"), (0.123, "12.3 %"), (0.0, "0 %"), (0.0001, "< 0.1 %")],
)
def test_a_share_is_only_whole_when_it_is(share: float, text: str) -> None:
    assert quantities.percent(share) == text


def test_a_bar_is_as_long_as_its_share() -> None:
    assert quantities.bar(0.5, width=4) == "██"
    assert quantities.bar(1.5, width=4) == "████"
    assert quantities.bar(0.0) == ""
    assert quantities.bar(0.03125, width=4) == "▏"


def test_digits_group_thousands_and_avoid_exponents() -> None:
    assert quantities.digits(12_345.6) == "12,346"
    assert quantities.digits(0.000_123_4) == "0.000123"
