"""A worker's answer as an outcome, and what a failure says."""

from __future__ import annotations

from typing import Any

from joulecast_operator.estimates.outcomes import (
    Failure,
    Forecast,
    holds_no_model,
    model_in_no_image,
    priced_outcome,
    reasons_without_forecast,
)
from joulecast_operator.workers.stored_models import StoredModel
from tests.unit.joulecast_operator.samples.estimates import DIGEST, forecast, row

MODEL = StoredModel(content=DIGEST, path="m.onnx", format="onnx", verification="Full")


def unavailable(*names: str) -> dict[str, Any]:
    return {name: {"reason": f"Of{name}", "message": f"no law for {name}"} for name in names}


def priced(results: tuple[Any, ...] = (), *without: str) -> Forecast | Failure:
    answer = {
        "results": list(results), "top_layers": [], "totals": {}, "unsupported": ["Odd"],
        "notes": ["read as llama"], "unavailable": unavailable(*without),
    }  # fmt: skip
    return priced_outcome("i", DIGEST, MODEL, answer)


def failure(reason: str = "ModelNotFound") -> Failure:
    return Failure(stage="resolve", reason=reason, message="no model in i", transient=False)


def test_one_priced_accelerator_is_a_forecast_that_names_the_others() -> None:
    found = priced((row(),), "a")
    assert isinstance(found, Forecast)
    assert (found.path, found.verification, found.unsupported) == ("m.onnx", "Full", ("Odd",))
    assert found.notes == ("read as llama",)
    assert list(found.unavailable) == ["a"]


def test_where_none_is_priced_it_is_a_failure_with_the_first_reason() -> None:
    one, many = priced((), "a"), priced((), "a", "b")
    assert isinstance(one, Failure) and isinstance(many, Failure)
    assert (one.stage, one.reason, one.message, one.digest) == ("price", "Ofa", "no law for a", DIGEST)
    assert many.message == "a: no law for a; b: no law for b"
    assert not many.transient


def test_no_more_than_three_accelerators_are_named() -> None:
    assert reasons_without_forecast(unavailable("a", "b", "c", "d")).count(";") == 2


def test_the_other_images_that_were_read_are_named() -> None:
    found = model_in_no_image(failure(), ("j", "k"))
    assert isinstance(found, Failure)
    assert found.message == "no model in i; there is none in j, k either"
    assert model_in_no_image(failure(), ()) == failure()
    assert model_in_no_image(forecast(), ("j",)) == forecast()


def test_an_image_without_a_model_is_told_from_one_that_could_not_be_read() -> None:
    assert holds_no_model(failure())
    assert not holds_no_model(failure("RegistryUnavailable"))
    assert not holds_no_model(forecast())
