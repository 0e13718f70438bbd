"""Tables and targets of cards that were left out."""

from __future__ import annotations

from dataclasses import replace

import pytest

from joulecast_calibration.evaluate.cardscores import CardScore, CardsEvaluation, RankingScore, SettingScore
from joulecast_calibration.evaluate.contenders import PHYSICAL
from joulecast_calibration.evaluate.report.cards import (
    card_lines,
    card_listings,
    card_targets,
    ranking_listing,
    setting_listing,
)
from joulecast_calibration.evaluate.report.targets import AccuracyTarget

OWN = CardScore(
    set="energaizer_h100", card="NVIDIA-H100-80GB-HBM3", fitted_on="energaizer_a100", system=PHYSICAL,
    quantity="joules", part="all", n=56, median_ape=7.0, mean_ape=11.0, max_ape=40.0, bias=-2.0,
    interval_coverage=0.9, interval_half_width=30.0,
)  # fmt: skip
OTHER = replace(OWN, system="getzner", median_ape=9.0, mean_ape=10.0)
RULE = replace(OWN, system="TDP × our seconds", median_ape=8.0, interval_coverage=None, interval_half_width=None)
SECONDS = replace(OWN, quantity="seconds", median_ape=1.0)
PART = replace(OWN, part="gpt2model", median_ape=1.0)
FOUND = CardsEvaluation(scores=(OWN, PART, SECONDS, OTHER, RULE))


def targets(found: CardsEvaluation) -> dict[str, AccuracyTarget]:
    return {each.name: each for _, each in card_targets(found)}


def test_joules_of_a_card_are_held_against_its_limits_and_against_the_best_of_the_others() -> None:
    said = targets(FOUND)
    assert said["card left out, median error"].verdict == "met by 1.0 points"
    assert said["card left out, mean error"].verdict == "**missed** by 1.0 points"
    ahead = "card left out: lower {} error than every other system and rule"
    assert said[ahead.format("median")].wanted == "< 8.0 % (TDP × our seconds)"
    assert said[ahead.format("median")].met
    assert said[ahead.format("mean")].wanted == "< 10.0 % (getzner)"
    assert said[ahead.format("mean")].verdict == "**missed** by 1.0 points"
    assert len(said) == 4


def test_a_set_without_limits_is_held_against_the_others_alone() -> None:
    scores = tuple(replace(each, set="a_set") for each in FOUND.scores)
    assert [name.partition(":")[0] for name in targets(CardsEvaluation(scores=scores))] == ["card left out"] * 2
    assert targets(CardsEvaluation(scores=scores[:1])) == {}


def test_every_system_stands_in_the_table_of_the_set_and_parts_in_another_one() -> None:
    listings = {each.title: each for each in card_listings(FOUND)}
    whole = listings["energaizer_h100 left out"]
    assert whole.note == "NVIDIA-H100-80GB-HBM3, by rows of energaizer_a100."
    assert [row[:3] for row in whole.rows] == [
        ("joules", PHYSICAL, "56"), ("joules", "getzner *", "56"), ("joules", "TDP × our seconds", "56"),
        ("seconds", PHYSICAL, "56"),
    ]  # fmt: skip
    assert whole.rows[2][-2:] == ("–", "–")
    assert [row[:2] for row in listings["energaizer_h100 left out: parts, by physical"].rows] == [
        ("joules", "gpt2model")
    ]
    assert len(card_lines(FOUND)) == 1 + 4
    assert card_lines(CardsEvaluation()) == []


def test_rankings_say_share_and_regret() -> None:
    pair = RankingScore(
        cards="one, other", by="law", n=8, right=0.875, mean_regret=1.25, total_regret=0.5, regret_joules=0.0625
    )
    (row,) = ranking_listing(CardsEvaluation(rankings=(pair,))).rows
    assert row == ("one, other", "law", "8", "87.5 %", "1.2 %", "0.5 %", "0.0625")


def test_rankings_of_settings_say_how_many_pairs_are_told_apart() -> None:
    told = SettingScore(
        set="one", setting="clock", by="law", n=8, right=0.75, mean_regret=1.25, told_apart=0.5, told_apart_right=1.0
    )
    plain = replace(told, by="rule", told_apart=None, told_apart_right=None)
    first, second = setting_listing(CardsEvaluation(settings=(told, plain))).rows
    assert first == ("one", "clock", "law", "8", "75.0 %", "1.2 %", "50.0 %", "100.0 %")
    assert second[-2:] == ("–", "–")


@pytest.mark.parametrize("figure", ["median_ape", "mean_ape"])
def test_as_good_is_not_better(figure: str) -> None:
    same = replace(OTHER, **{figure: getattr(OWN, figure)})
    name = {"median_ape": "median", "mean_ape": "mean"}[figure]
    said = targets(CardsEvaluation(scores=(OWN, same)))
    assert not said[f"card left out: lower {name} error than every other system and rule"].met
