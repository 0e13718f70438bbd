"""docs/models.md says what the table of cases says, and what it calls refused is."""

from __future__ import annotations

from pathlib import Path

import pytest

from joulecast.errors import JoulecastError
from joulecast.readers.huggingface import read
from joulecast.readers.huggingface.architectures import ARCHITECTURES
from tests.models.served import CASES, MIXTURES
from tests.models.served.page import page
from tests.models.served.refused import REFUSED, Refused

PAGE = Path(__file__).parents[2] / "docs" / "models.md"


def test_the_page_is_what_the_table_says() -> None:
    assert PAGE.read_text(encoding="utf-8") == page(), "run: python -m tests.models.served.page > docs/models.md"


def test_every_architecture_has_a_case() -> None:
    assert {case.small["model_type"] for case in (*CASES, *MIXTURES)} == ARCHITECTURES.keys()


def test_what_differs_from_the_traced_class_says_why() -> None:
    assert [case.name for case in CASES if bool(case.within) != bool(case.why)] == []


@pytest.mark.parametrize("case", REFUSED, ids=lambda case: case.what[:40])
def test_what_the_page_calls_refused_is_refused(case: Refused) -> None:
    with pytest.raises(JoulecastError) as caught:
        read(case.keys)
    assert caught.value.reason == case.reason
