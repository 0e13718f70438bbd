"""A worker's answer as an outcome, and what a failure says."""

from __future__ import annotations

from typing import Any

from joulecast_operator.estimates.outcomes import (
    Failure,
    Forecast,
    holds_no_model,
    nowhere,
    priced_outcome,
    why_none,
)
from joulecast_operator.workers.stored_models import StoredModel
from tests.unit.joulecast_operator.samples.estimates import DIGEST, forecast, row

MODEL = StoredModel(content=DIGEST, path="m.onnx", format="onnx", verification="Full")


def unavailable(*names: str) -> dict[str, Any]:
    return {name: {"reason": f"Of{name}", "message": f"no law for {name}"} for name in names}


def priced(results: tuple[Any, ...] = (), *without: str) -> Forecast | Failure:
    answer = {
        "results": list(results), "top_layers": [], "totals": {}, "unsupported": ["Odd"],
        "unavailable": unavailable(*without),
    }  # fmt: skip
    return priced_outcome("i", DIGEST, MODEL, answer)


def failure(reason: str = "ModelNotFound") -> Failure:
    return Failure(stage="resolve", reason=reason, message="no model in i", transient=False)


def test_one_priced_accelerator_is_a_forecast_that_names_the_others() -> None:
    found = priced((row(),), "a")
    assert isinstance(found, Forecast)
    assert (found.path, found.verification, found.unsupported) == ("m.onnx", "Full", ("Odd",))
    assert list(found.unavailable) == ["a"]


def test_where_none_is_priced_it_is_a_failure_with_the_first_reason() -> None:
    one, many = priced((), "a"), priced((), "a", "b")
    assert isinstance(one, Failure) and isinstance(many, Failure)
    assert (one.stage, one.reason, one.message, one.digest) == ("price", "Ofa", "no law for a", DIGEST)
    assert many.message == "a: no law for a; b: no law for b"
    assert not many.transient


def test_no_more_than_three_accelerators_are_named() -> None:
    assert why_none(unavailable("a", "b", "c", "d")).count(";") == 2


def test_the_other_images_that_were_read_are_named() -> None:
    found = nowhere(failure(), ("j", "k"))
    assert isinstance(found, Failure)
    assert found.message == "no model in i; nor is there one in j, k"
    assert nowhere(failure(), ()) == failure()
    assert nowhere(forecast(), ("j",)) == forecast()


def test_an_image_without_a_model_is_told_from_one_that_could_not_be_read() -> None:
    assert holds_no_model(failure())
    assert not holds_no_model(failure("RegistryUnavailable"))
    assert not holds_no_model(forecast())
