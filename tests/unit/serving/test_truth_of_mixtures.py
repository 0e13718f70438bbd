"""Experts, latent attention and state spaces count as the traced classes do, outside what goes by formula."""

from __future__ import annotations

from collections.abc import Iterable

import pytest

from joulecast.blocks import LanguageModel
from joulecast.layers import LayerProfile
from joulecast.readers.huggingface import read
from joulecast.serving.passes import decode, prefill
from joulecast.serving.rows import rows
from tests.models.served import MIXTURES, quick_or_slow, traced
from tests.models.served.case import Case, Keys
from tests.models.served.depth import kinds, shallow
from tests.models.served.formulas import Rows

SMALL_TOKENS = 12


def named(case: Case) -> str:
    return case.name


def model_of(case: Case, keys: Keys) -> LanguageModel:
    return read({**keys, "architectures": [case.architecture]})


def macs(found: Iterable[LayerProfile], left_out: Iterable[Rows]) -> int:
    return sum(row.macs for row in found if not any(is_one(row) for is_one in left_out))


def check(case: Case, keys: Keys, tokens: int) -> None:
    model, module = model_of(case, keys), traced.built(case, keys)
    found, wanted = rows(model, prefill(1, tokens)), traced.rows(case, module, tokens)
    assert sum(row.params for row in found) == sum(row.params for row in wanted)
    ours, theirs = (
        zip(*((each.engine, each.traced) for each in case.formulas), strict=True) if case.formulas else ((), ())
    )
    assert macs(found, ours) == macs(wanted, theirs)
    if case.decodes:
        formulas = (*case.formulas, *case.step_formulas)
        theirs = tuple(each.traced for each in formulas)
        step = macs(traced.rows(case, module, tokens, step=True), theirs) - macs(wanted, theirs)
        assert macs(rows(model, decode(1, tokens)), [each.engine for each in formulas]) == step


@pytest.mark.parametrize("case", quick_or_slow(MIXTURES))
def test_small_models_count_as_traced(case: Case) -> None:
    check(case, case.small, SMALL_TOKENS)


@pytest.mark.slow
@pytest.mark.parametrize("case", [case for case in MIXTURES if case.published], ids=named)
def test_published_models_count_as_traced(case: Case) -> None:
    run = prefill(1, case.tokens)
    keys = shallow(case.published, lambda keys: kinds(rows(model_of(case, keys), run)))
    check(case, keys, case.tokens)
