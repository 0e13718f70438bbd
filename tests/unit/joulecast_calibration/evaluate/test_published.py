"""What a fit may see: the nesting of fits, on a system that only remembers what it was given."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import pytest

from joulecast_calibration.evaluate import published
from joulecast_calibration.evaluate.contenders import PHYSICAL, Contender, Trial
from joulecast_calibration.evaluate.evaluation import FAMILY
from joulecast_calibration.evaluate.published import vision_trained, zero_shot
from joulecast_calibration.fit.crossvalidation import Forecast, Refits, each_left_out, interval_width, nested
from tests.unit.energy import data

NAMES = ("resnet101", "mobilevitmodel", "vitmodel", "bertmodel", "gpt2model", "optmodel")
ROWS = tuple(data.row(name, "", 32 if position > 2 else None, 1, 900.0) for position, name in enumerate(NAMES * 2))
GROUPS = np.array([row.architecture for row in ROWS])
TRUTH = np.arange(1.0, 13.0)
EVERYTHING = np.arange(12)


@dataclass
class Memory:
    """A system that forecasts the mean of what it was fitted on."""

    fits: list[frozenset[int]] = field(default_factory=list)

    def fit(self, kept: np.ndarray) -> Forecast:
        self.fits.append(frozenset(kept.tolist()))
        return lambda asked: np.full(asked.size, TRUTH[kept].mean())

    def contender(self, name: str = "mac-linear") -> Contender:
        return Contender(name, Refits(self.fit), np.ones(12, dtype=bool))


def seen(memory: Memory) -> list[set[str]]:
    """The architectures of each fit."""
    return [set(GROUPS[sorted(kept)].tolist()) for kept in memory.fits]


def test_every_pair_of_groups_is_left_out_once() -> None:
    memory = Memory()
    joules, width = each_left_out(memory.contender().refits, GROUPS, TRUTH, EVERYTHING)
    absent = [frozenset(set(NAMES) - kept) for kept in seen(memory)]
    assert len(absent) == len(set(absent)) == 6 + 15
    assert {len(names) for names in absent} == {1, 2}
    own = GROUPS == "gpt2model"
    assert joules[own] == pytest.approx(TRUTH[~own].mean())
    inner = {
        name: np.log(TRUTH[~own & (name != GROUPS)].mean() / TRUTH[name == GROUPS])
        for name in set(NAMES) - {"gpt2model"}
    }
    assert width[own] == pytest.approx(interval_width(inner))


def test_joules_of_what_is_held_out_change_neither_forecast_nor_width() -> None:
    train, test = np.flatnonzero(GROUPS != "gpt2model"), np.flatnonzero(GROUPS == "gpt2model")
    changed = np.where(GROUPS == "gpt2model", np.nan, TRUTH)
    before, width = nested(Memory().contender().refits, GROUPS, TRUTH, train, test)
    after, same = nested(Memory().contender().refits, GROUPS, changed, train, test)
    assert (before.tolist(), width) == (after.tolist(), same)


def trial(memory: Memory, name: str = "mac-linear") -> Trial:
    return Trial("a_set", ROWS, TRUTH, np.ones(12, dtype=bool), (memory.contender(name),))


def test_language_models_are_forecast_by_fits_that_saw_none() -> None:
    memory = Memory()
    (found,) = zero_shot(trial(memory), GROUPS)
    assert {row.architecture for row in found.rows} == {"gpt2model", "optmodel"}
    assert all(not kept & {"gpt2model", "optmodel"} for kept in seen(memory))
    assert (found.split, found.study) == (FAMILY, "zero-shot")


def test_fits_on_vision_see_nothing_else_and_never_what_they_forecast() -> None:
    memory = Memory()
    (found,) = vision_trained(trial(memory))
    assert sorted(row.architecture for row in found.rows) == sorted(GROUPS.tolist())
    assert all(kept <= set(NAMES[:3]) for kept in seen(memory))
    for row, joules in zip(found.rows, found.joules, strict=True):
        trained = np.isin(GROUPS, NAMES[:3]) & (row.architecture != GROUPS)
        assert joules == pytest.approx(TRUTH[trained].mean())


def test_families_that_stand_together_are_left_out_together() -> None:
    memory = Memory()
    kin = np.where(np.isin(GROUPS, ("gpt2model", "optmodel")), "GPT-2 + OPT", GROUPS)
    (found, absent) = published.by_family(trial(memory, PHYSICAL), kin, [])
    own = [row.architecture == "gpt2model" for row in found.rows]
    assert found.joules[own] == pytest.approx(TRUTH[kin != "GPT-2 + OPT"].mean())
    assert all(len(kept & {"gpt2model", "optmodel"}) != 1 for kept in seen(memory))
    assert absent.split == FAMILY
