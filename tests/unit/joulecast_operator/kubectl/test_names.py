"""Names of objects as kubectl takes them."""

from __future__ import annotations

import pytest

from joulecast.errors import JoulecastError
from joulecast_operator.kubectl.names import kind_named, named


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
    assert kind_named(text).kind == kind


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
        kind_named(text)
    assert raised.value.reason == "UnknownKind"
    assert str(raised.value).isprintable()
