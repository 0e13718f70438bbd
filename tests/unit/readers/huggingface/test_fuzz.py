"""Whatever a configuration holds, it gives a model or one clear error."""

from __future__ import annotations

from collections import Counter

from tests.unit.readers.huggingface.fuzz import documents, outcome

MOST_REASONS = {"model", "InvalidModelFormat", "UnknownArchitecture", "UnsupportedQuantisation"}


def test_every_configuration_gives_a_model_or_one_error() -> None:
    found = Counter(outcome(document) for document in documents(3000))
    assert set(found) <= MOST_REASONS
    assert found["model"] > 300
    assert found["InvalidModelFormat"] > 300
