"""Names of objects as kubectl takes them."""

from __future__ import annotations

import pytest

from joulecast.errors import JoulecastError
from joulecast_operator.api.kinds import DEPLOYMENTS, PLANS
from joulecast_operator.kubectl.names import Named, kind_named, known_kinds, named, named_plan


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        ("deployment", "Deployment"), ("deploy", "Deployment"), ("Deployments", "Deployment"),
        ("deployments.apps", "Deployment"), ("deployment.v1.apps", "Deployment"), ("sts", "StatefulSet"),
        ("ds", "DaemonSet"), ("jobs.batch", "Job"), ("cj", "CronJob"), ("iee", "InferenceEnergyEstimate"),
        ("estimate", "InferenceEnergyEstimate"), ("inferenceenergyestimates.joulecast.dev", "InferenceEnergyEstimate"),
    ],
)  # fmt: skip
def test_a_kind_has_the_names_that_kubectl_takes(text: str, kind: str) -> None:
    assert kind_named(text, known_kinds()).kind == kind


def test_kind_and_name_are_one_word_or_two() -> None:
    assert named(["deploy/web"]) == named(["deployments", "web"])
    assert named(["iee/detector"]).name == "detector"


@pytest.mark.parametrize("words", [["web"], ["deploy/"], ["/web"], ["deploy", "a", "b"], ["deploy/a/b"]])
def test_what_names_no_single_object_is_refused_with_an_example(words: list[str]) -> None:
    with pytest.raises(JoulecastError, match="does not name one object: write KIND/NAME, such as deployment/web"):
        named(words)


@pytest.mark.parametrize("text", ["pod", "deployments.extensions", "\x1b[2J"])
def test_a_kind_without_forecasts_is_refused_with_those_that_have_some(text: str) -> None:
    with pytest.raises(JoulecastError, match="name one of estimate, deployment, statefulset") as raised:
        kind_named(text, known_kinds())
    assert raised.value.reason == "UnknownKind"
    assert str(raised.value).isprintable()


def test_a_plan_is_named_by_its_name_alone_or_by_the_workload_that_it_is_about() -> None:
    assert named_plan([]) is None
    assert named_plan(["web"]) == named_plan(["eplan/web"]) == Named(kind=PLANS, name="web")
    assert named_plan(["deploy", "web"]) == Named(kind=DEPLOYMENTS, name="web")
    with pytest.raises(JoulecastError, match="unknown kind 'iee'; name one of plan, deployment"):
        named_plan(["iee/web"])
