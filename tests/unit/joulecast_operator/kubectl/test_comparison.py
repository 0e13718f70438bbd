"""Forecasts before and after an apply."""

from __future__ import annotations

from typing import Any

import pytest

from joulecast_operator.kubectl.comparison import Change, Note, compared, comparison_document, site_note
from joulecast_operator.kubectl.standing import Standing
from tests.unit.joulecast_operator.samples.sites import site
from tests.unit.joulecast_operator.samples.workloads import A100, H200, generation, row


def standing(found: dict[str, Any] | None, *, pods: int = 2, kind: str = "Deployment") -> Standing:
    state = "Pending" if found is None else "Ready"
    counted: dict[str, Any] = {"pods": pods, "replicas": pods}
    return Standing(kind=kind, namespace="shop", name="web", state=state, sentence="why", row=found, **counted)


def change(before: Standing | None, after: Standing | None, kind: str = "Deployment", **more: str) -> Change:
    return Change(kind=kind, namespace="shop", name="web", before=before, after=after, **more)


@pytest.mark.parametrize(
    ("before", "after", "outcome"),
    [
        (standing(row()), standing(row()), "same"),
        (standing(row()), standing(row(joules=0.4213)), "same"),
        (standing(row()), standing(row(joules=0.5)), "changed"),
        (standing(row()), standing(row(), pods=3), "changed"),
        (standing(row()), standing(row(A100)), "changed"),
        (standing(row()), standing(generation()), "changed"),
        (None, standing(row()), "new"),
        (standing(None), standing(row()), "new"),
        (standing(row()), standing(None), "unknown"),
        (standing(row()), None, "refused"),
    ],
)
def test_what_an_apply_does_to_a_forecast(before: Standing | None, after: Standing | None, outcome: str) -> None:
    assert change(before, after).outcome == outcome


def test_only_joules_of_the_same_unit_have_a_ratio() -> None:
    assert change(standing(row(joules=0.4)), standing(row(joules=0.5))).ratio == pytest.approx(1.25)
    assert change(standing(row()), standing(generation())).ratio is None
    assert change(None, standing(row())).ratio is None


def test_the_power_of_pods_is_added_up_of_workloads_that_are_known_at_both_times() -> None:
    found = compared(
        [
            change(standing(row(), pods=1), standing(row(), pods=3)),
            change(None, standing(row(H200), pods=1)),
            change(standing(row()), standing(None)),
            change(standing(row()), None, refusal="no"),
            change(standing(row()), standing(row()), kind="InferenceEnergyEstimate"),
        ],
        ["Service", "ConfigMap", "Service"],
    )
    assert found.busy_watts == (341.2, pytest.approx(4 * 341.2))
    assert [each.outcome for each in found.unknown] == ["unknown", "refused"]
    assert found.others == {"Service": 2, "ConfigMap": 1}


def test_the_document_says_what_is_refused_and_why() -> None:
    found = comparison_document(compared([change(standing(row()), None, refusal="it is invalid")], []))
    (only,) = found["changes"]
    assert (only["outcome"], only["refusal"], only["before"]["state"]) == ("refused", "it is invalid", "Ready")
    assert "after" not in only
    assert found["busyWatts"] == {"before": 0, "after": 0}


def test_what_the_server_did_not_try_and_what_has_no_forecast_is_in_the_document() -> None:
    note = Note(kind="EnergySite", namespace="", name="hall", outcome="same", sentence="a site changes no joules")
    found = comparison_document(compared([change(None, standing(None), untried="new")], ["Namespace"], [note]))
    (only,) = found["changes"]
    assert (only["outcome"], only["untried"], "refusal" in only) == ("unknown", "new", False)
    assert found["notes"] == [
        {"kind": "EnergySite", "namespace": "", "name": "hall", "outcome": "same", "sentence": note.sentence}
    ]


@pytest.mark.parametrize(
    ("live", "said"),
    [
        (None, "after the apply it prices the estimates and plans that name it in spec.siteName"),
        ({"status": {}}, "after the apply everything that it prices is priced anew"),
        (
            {"status": {"estimates": 7, "plans": 2}},
            "after the apply everything that it prices is priced anew, 7 estimates and 2 plans now",
        ),
    ],
)
def test_a_site_says_which_estimates_it_prices(live: dict[str, Any] | None, said: str) -> None:
    assert site_note(live, site(), is_same=False) == f"a site changes no joules: {said}"
    assert site_note(live, site(), is_same=True) == "a site changes no joules: its figures stay as they are"
