"""Forecasts in the form of a status."""

from __future__ import annotations

import math
from functools import partial
from typing import NamedTuple

import pytest

from joulecast.accelerators import catalogue
from joulecast.errors import NotCalibratedError
from joulecast.layers import Totals
from joulecast.workloads import DEFAULT_RUNTIME
from joulecast_operator.workers.priced import (
    accelerator_of,
    answer,
    finite,
    priced_by_product,
    six_digits,
    with_idle_power,
)

H200, L40S = "NVIDIA-H200", "NVIDIA-L40S"


class Priced(NamedTuple):
    """A forecast of a batch."""

    accelerator: str
    batch_size: int
    joules: float

    @property
    def reasons(self) -> tuple[str, ...]:
        return (f"\x1b[2Jwide on {self.accelerator}",)


def test_an_accelerator_that_cannot_be_priced_has_a_reason_and_the_others_a_forecast() -> None:
    def price(product: str) -> list[str]:
        if product == L40S:
            raise NotCalibratedError("there is no profile", reason="NoProfile")
        return [f"of {product}"]

    found, unavailable = priced_by_product([L40S, H200], price)
    assert found == [f"of {H200}"]
    assert unavailable == {L40S: {"reason": "NoProfile", "message": "there is no profile"}}


def test_a_profile_of_the_cluster_takes_the_place_of_the_shipped_one() -> None:
    shipped = catalogue.find(L40S, DEFAULT_RUNTIME)
    override = {"product": L40S, "runtime": DEFAULT_RUNTIME, "document": shipped.to_json()}
    assert accelerator_of(H200, DEFAULT_RUNTIME, [override]) == catalogue.find(H200, DEFAULT_RUNTIME)
    own = {**override, "product": "nvidia h200"}
    assert accelerator_of(H200, DEFAULT_RUNTIME, [own]).law == shipped.law
    assert accelerator_of(H200, DEFAULT_RUNTIME, [own]).product == H200


def test_the_dearest_accelerator_comes_first_where_that_is_asked_for() -> None:
    rows = [Priced(*each) for each in [(H200, 1, 0.5), (H200, 8, 9.0), (L40S, 1, 2.0), (L40S, 8, 3.0), (H200, 1, 7.0)]]
    as_row = lambda each: {"accelerator": each[0], "batchSize": each[1], "joulesPerBatch": each[2]}  # noqa: E731
    totals = Totals(macs=1, params=1, activations=1, input_numel=1, bytes_moved=1, mac_rows=1, kernels={})
    without = {"power_limit_watts": None, "clock_mhz": None}
    layers = lambda each: [{"name": f"{each[0]} {number}", "opType": "Conv", "share": 0.2} for number in range(5)]  # noqa: E731
    ask = partial(answer, estimates=rows, unavailable={}, counted=totals, result=as_row, layers=layers)
    assert [(row["accelerator"], row["batchSize"]) for row in ask(without)["results"]] == [
        (H200, 1), (H200, 8), (L40S, 1), (L40S, 8),
    ]  # fmt: skip
    dearest = ask(without | {"dearest_first": True})
    assert [(row["accelerator"], row["batchSize"]) for row in dearest["results"]] == [
        (L40S, 1), (L40S, 8), (H200, 1), (H200, 8),
    ]  # fmt: skip
    assert [each["name"] for each in dearest["top_layers"]] == [f"{L40S} {number}" for number in range(5)]
    for row in dearest["results"]:
        product = row["accelerator"]
        assert row["topLayers"] == [{"name": f"{product} {number}", "share": 0.2} for number in range(3)]
        assert row["intervalReasons"] == [f"\\x1b[2Jwide on {product}"], "its own reasons, escaped"


def test_each_result_has_the_power_of_its_waiting_accelerators() -> None:
    rows = [
        {"accelerator": H200, "runtime": DEFAULT_RUNTIME},
        {"accelerator": H200, "runtime": "vllm", "parallel": 4},
        {"accelerator": L40S, "runtime": DEFAULT_RUNTIME},
    ]
    found = with_idle_power({"results": rows}, {"overrides": [], "clock_mhz": None})["results"]
    one, four, other = (row["idlePowerWatts"] for row in found)
    law = catalogue.find(H200, DEFAULT_RUNTIME).law
    assert law.gap_watts <= one < catalogue.find(H200, DEFAULT_RUNTIME).power_limit_watts
    assert four == pytest.approx(4 * one, rel=1e-5)
    assert other != one
    locked = with_idle_power({"results": rows[:1]}, {"overrides": [], "clock_mhz": 1000.0})["results"]
    assert locked[0]["idlePowerWatts"] <= one


@pytest.mark.parametrize("wrong", [math.inf, math.nan, -1.0])
def test_a_number_that_no_status_may_hold_is_refused_by_name(wrong: float) -> None:
    finite({"joules_per_request": 1.0}, H200)
    with pytest.raises(NotCalibratedError, match=f"profile of {H200} gives a joules per request") as raised:
        finite({"joules_per_request": wrong}, H200)
    assert raised.value.reason == "NotFinite"


def test_numbers_are_as_a_status_has_them() -> None:
    assert six_digits(0.123456789) == 0.123457
