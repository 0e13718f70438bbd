"""The table that ships: what a fit writes can be read, says where it is from and how far off it was."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from joulecast import schema
from joulecast.accelerators.catalogue import find
from joulecast.energy.engines.coefficients import KERNELS, Engine, engines
from joulecast_calibration.fit.engines.__main__ import main
from joulecast_calibration.fit.engines.document import die_of
from joulecast_calibration.fit.engines.kinds import CARDS, KINDS
from tests.unit.joulecast_calibration.fit.engines.made import H100, H200, folder_of


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = Path(tmp_path_factory.mktemp("tables"))
    out = folder / "coefficients.json"
    assert main(["--data", str(folder_of(folder)), "--out", str(out)]) == 0
    return out


def test_what_was_written_is_read_with_a_card_for_every_table(written: Path) -> None:
    document = json.loads(written.read_text("utf-8"))
    engine = schema.read(Engine, document["engines"]["vllm"])
    assert set(engine.cards) == {H100, H200} and set(engine.generations) == {"Hopper"}
    assert engine.cards[H100].held_out["product.median_ape"] < 0.02
    assert engine.cards[H100].held_out["product.transferred_median_ape"] < 0.02
    assert [source.licence for source in engine.fitted_from] == ["Apache-2.0"]


def test_a_die_is_told_by_its_measured_cards_alone() -> None:
    h100, h200, b200 = (find(name) for name in (H100, H200, "NVIDIA-B200"))
    transferred = replace(h100, origin="transferred")
    found = die_of([transferred, h200])
    assert found is not None and (found.name, found.cards) == ("GH100", (H200,))
    assert found.byte_joules == h200.law.byte_joules
    assert die_of([transferred]) is None
    both = die_of([h100, h200])
    assert both is not None and both.cards == (H100, H200)
    assert both.byte_joules == pytest.approx((h100.law.byte_joules + h200.law.byte_joules) / 2)
    several = die_of([b200, h200])
    assert several is not None and several.cards == ("NVIDIA-B200",)


def test_equal_tables_give_equal_text(written: Path, tmp_path: Path) -> None:
    again = tmp_path / "again.json"
    main(["--data", str(written.parent), "--out", str(again)])
    assert again.read_bytes() == written.read_bytes()


def test_errors_are_printed_a_card_and_a_kind(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    main(["--data", str(folder_of(tmp_path)), "--out", str(tmp_path / "c.json")])
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[:2] for line in lines[1:]] == [[H100, "product"], [H200, "product"]]


def test_the_shipped_step_and_interval_of_vllm_are_fitted_on_served_models() -> None:
    shipped = engines()["vllm"]
    assert shipped.interval is not None and "times between tokens" in shipped.interval.origin
    assert shipped.step.origin.startswith("fitted on")


@pytest.mark.parametrize("name", ["vllm", "sglang"])
def test_the_shipped_table_has_every_kind_and_its_errors(name: str) -> None:
    engine = engines()[name]
    assert set(engine.cards) == set(CARDS)
    assert set(engine.generations) == {"Ampere", "Ada", "Hopper", "Blackwell", "Blackwell GB20x"}
    for card in (*engine.cards.values(), *engine.generations.values(), engine.other):
        assert set(card.kernels) == set(KERNELS)
    for card in engine.cards.values():
        assert {f"{kind}.median_ape" for kind in ("product", "decode_attention", "experts")} <= set(card.held_out)
    assert len(engine.fitted_from) > len(KINDS) - 1
