"""Test what a calibration may name, and the message for what it may not name."""

from __future__ import annotations

import json
from typing import Any

import pytest
from pydantic import ValidationError

from joulecast_operator.api.calibrations import CalibrationSpec
from joulecast_operator.calibrations.allowed import Allowed, refusal_of
from joulecast_operator.settings import Settings, load
from tests.unit.joulecast_operator.samples.calibrations import L40S

OURS = "registry.example/joulecast-torch:1"
LAB = {"key": "lab", "operator": "Equal", "value": "ml", "effect": "NoSchedule"}


def refusal(allowed: dict[str, Any], **spec: Any) -> str | None:
    asked = CalibrationSpec.model_validate({"accelerator": L40S} | spec)
    return refusal_of(asked, Allowed.model_validate(allowed), OURS)


@pytest.mark.parametrize(
    "spec",
    [
        {},
        {"image": OURS},
        {"runtimeClassName": "nvidia"},
        {"queueName": "gpus"},
        {"tolerations": [{"key": "nvidia.com/gpu", "operator": "Exists"}]},
        {"imagePullSecrets": [{"name": "pull"}], "resources": {"limits": {"memory": "4Gi"}}},
    ],
)
def test_what_every_calibration_needs_is_allowed_unasked(spec: dict[str, Any]) -> None:
    assert refusal({}, **spec) is None


@pytest.mark.parametrize(
    ("spec", "named", "value"),
    [
        ({"image": "evil.example/x:1"}, "spec.image 'evil.example/x:1'", "images"),
        ({"image": OURS + "0"}, "spec.image", "images"),
        ({"storage": {"claimName": "payroll"}}, "spec.storage.claimName 'payroll'", "claims"),
        ({"priorityClassName": "system-node-critical"}, "'system-node-critical'", "priorityClasses"),
        ({"runtimeClassName": "unconfined"}, "spec.runtimeClassName 'unconfined'", "runtimeClasses"),
        ({"tolerations": [{"operator": "Exists"}]}, "spec.tolerations '*'", "tolerations"),
        ({"tolerations": [LAB]}, "spec.tolerations 'lab=ml:NoSchedule'", "tolerations"),
    ],
)
def test_what_else_is_named_with_the_value_of_the_chart(spec: dict[str, Any], named: str, value: str) -> None:
    message = refusal({}, **spec)
    assert message is not None
    assert named in message
    assert f"calibration.allowed.{value}" in message


def test_a_queue_can_be_refused() -> None:
    assert "calibration.allowed.queues" in str(refusal({"queues": ["lab-*"]}, queueName="gpus"))
    assert refusal({"queues": ["lab-*"]}, queueName="lab-gpus") is None


@pytest.mark.parametrize(
    ("pattern", "image", "is_allowed"),
    [
        ("registry.example/team/*", "registry.example/team/torch:2", True),
        ("registry.example/team/*", "registry.example/teams/torch:2", False),
        ("registry.example/torch:*", "registry.example/torch:2", True),
        ("registry.example/torch:*", "registry.example/torch-evil:2", False),
        ("registry.example/torch:2", "registry.example/torch:2", True),
        ("registry.example/torch:2", "registry.example/torch:21", False),
    ],
)
def test_an_image_is_allowed_by_name_or_by_the_parts_it_begins_with(pattern: str, image: str, is_allowed: bool) -> None:
    assert (refusal({"images": [pattern]}, image=image) is None) is is_allowed


@pytest.mark.parametrize(
    ("pattern", "toleration", "is_allowed"),
    [
        ("lab", LAB, True),
        ("lab=ml", LAB, True),
        ("lab=ml:NoSchedule", LAB, True),
        ("lab:NoSchedule", LAB, True),
        ("*", {"operator": "Exists"}, True),
        ("lab=web", LAB, False),
        ("lab:NoExecute", LAB, False),
        ("la", LAB, False),
        ("lab=ml", {"key": "lab", "operator": "Exists"}, False),
        ("lab:NoSchedule", {"key": "lab", "operator": "Exists"}, False),
        ("lab", {"operator": "Exists"}, False),
    ],
)
def test_a_toleration_may_not_be_wider_than_what_is_allowed(
    pattern: str, toleration: dict[str, Any], is_allowed: bool
) -> None:
    assert (refusal({"tolerations": [pattern]}, tolerations=[toleration]) is None) is is_allowed


@pytest.mark.parametrize(
    "wrong", [{"images": ["registry.example*"]}, {"images": ["*"]}, {"tolerations": ["a b"]}, {"secrets": ["x"]}]
)
def test_a_value_that_would_allow_more_than_it_says_is_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        Allowed.model_validate(wrong)


def test_the_setting_is_json_in_the_charts_words() -> None:
    given = {"images": ["a.example/*"], "priorityClasses": ["low"], "runtimeClasses": []}
    allowed = load([f"--calibration-allowed={json.dumps(given)}"], {}).calibration_allowed
    assert (allowed.images, allowed.priority_classes, allowed.runtime_classes) == (("a.example/*",), ("low",), ())
    assert allowed.tolerations == Settings().calibration_allowed.tolerations == ("nvidia.com/gpu",)


def test_a_setting_that_is_no_json_is_one_sentence(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        load(["--calibration-allowed=images"], {})
    assert "--calibration-allowed 'images'" in capsys.readouterr().err
