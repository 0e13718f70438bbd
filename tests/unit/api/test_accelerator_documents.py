from __future__ import annotations

from joulecast.accelerators.catalogue import find, installed
from joulecast.api.accelerator_documents import accelerator_fields, accelerators_document
from tests.unit.api.test_documents import validate


def test_every_accelerator_is_told_once_and_fulfils_the_schema() -> None:
    document = accelerators_document()
    validate(document)
    names = [entry["accelerator"] for entry in document["accelerators"]]
    assert names == sorted(installed())


def test_what_cannot_be_priced_says_what_it_lacks() -> None:
    unavailable = accelerators_document()["unavailable"]
    assert unavailable
    for entry in unavailable:
        assert entry["accelerator"] not in installed()
        assert entry["accelerator"] in entry["message"]
        assert entry["reason"] in {"NotCalibrated", "AmbiguousAccelerator"}


def test_the_interval_is_told_as_shares_of_the_forecast() -> None:
    fields = accelerator_fields(find("NVIDIA-H200"))
    assert 0 < fields["interval_below"] < 1
    assert abs((1 - fields["interval_below"]) * (1 + fields["interval_above"]) - 1) < 1e-4
    assert fields["power_limit_watts"] == 700
