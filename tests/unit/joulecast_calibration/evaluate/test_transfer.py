"""Power of a card's products, forecast from others."""

from __future__ import annotations

import gzip
from pathlib import Path

import pytest

from joulecast_calibration.evaluate.evaluation import PowerScore
from joulecast_calibration.evaluate.transfer import third_card_power, transferred
from joulecast_calibration.fit.across.sets import published_sets
from tests.unit.energy import data

CARDS = {"h200_sxm": 700.0, "b200_sxm": 1000.0, "gb200": 1200.0}
COLUMNS = "system,backend,gemm_dtype,m,n,k,latency_ms,power_w,power_limit"


def tables(folder: Path, shares: dict[str, float]) -> Path:
    """Products on each card that draw a share of its limit at rest, and more as they are larger."""
    lines = [COLUMNS]
    for card, share in shares.items():
        for size in (2048, 4096, 8192, 16384):
            watts = CARDS[card] * share
            lines += [
                f"{card},v,bfloat16,{size},{size},{size + step},0.5,{watts:.1f},{CARDS[card]}" for step in range(20)
            ]
    path = folder / "aiconfigurator_ops" / "gemm_power.csv.gz"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(gzip.compress("\n".join(lines).encode()))
    return folder


def scored(folder: Path) -> dict[tuple[str, str], PowerScore]:
    return {(each.card, each.fitted_on): each for each in third_card_power(folder)}


def test_each_card_is_forecast_from_the_other_two(tmp_path: Path) -> None:
    found = scored(tables(tmp_path, {"h200_sxm": 0.9, "b200_sxm": 0.9, "gb200": 0.9}))
    assert dict(found.keys()) == {
        "NVIDIA-H200": "NVIDIA-B200, NVIDIA-GB200",
        "NVIDIA-B200": "NVIDIA-H200, NVIDIA-GB200",
        "NVIDIA-GB200": "NVIDIA-H200, NVIDIA-B200",
    }
    assert all(each.n >= 4 for each in found.values())


def test_no_watt_of_the_card_itself_is_seen(tmp_path: Path) -> None:
    """Halving a card's watts halves what its forecast is held against, and changes no forecast of it."""
    alike = scored(tables(tmp_path / "one", {"h200_sxm": 0.9, "b200_sxm": 0.9, "gb200": 0.9}))
    odd = scored(tables(tmp_path / "two", {"h200_sxm": 0.45, "b200_sxm": 0.9, "gb200": 0.9}))
    key = ("NVIDIA-H200", "NVIDIA-B200, NVIDIA-GB200")
    assert 1 + odd[key].bias / 100 == pytest.approx(2 * (1 + alike[key].bias / 100), rel=1e-3)
    assert odd[key].median_ape > 50


@pytest.mark.slow
def test_networks_of_another_card_are_one_card_more(tmp_path: Path) -> None:
    folder = data.write(tables(tmp_path, {"h200_sxm": 0.9, "b200_sxm": 0.9, "gb200": 0.9}))
    found = scored(folder)
    assert len(found) == 6
    assert ("NVIDIA-GB200", "a_set, NVIDIA-H200, NVIDIA-B200") in found


@pytest.mark.parametrize("cards", [{}, {"h200_sxm": 0.9, "b200_sxm": 0.9}])
def test_fewer_than_three_metered_cards_tell_nothing(cards: dict[str, float], tmp_path: Path) -> None:
    assert scored(tables(tmp_path, cards)) == {}
    assert list(third_card_power(tmp_path / "nowhere")) == []


@pytest.mark.parametrize(("product", "studies"), [("NVIDIA-A100-PCIE-40GB", []), ("NVIDIA-L40S", [""])])
def test_without_tables_a_shipped_profile_serves_where_it_rests_on_no_joule_of_the_card(
    product: str, studies: list[str], tmp_path: Path
) -> None:
    (found,) = published_sets(data.write(tmp_path / "sets"))
    moved = list(transferred(tmp_path, product, found.table))
    assert [study for study, _, _ in moved] == studies
    assert all(joules.size == found.table.size for _, joules, _ in moved)
