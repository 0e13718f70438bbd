"""Test the messages about a pod that does not start, with texts that Kubernetes writes."""

from __future__ import annotations

from typing import Any

import pytest

from joulecast_operator.calibrations.diagnosis import Diagnosis, creating, end_of, of_creation, of_events, of_pods


def pod(
    name: str = "p", phase: str = "Pending", *, created: str = "2026-01-01T00:00:00Z", **status: Any
) -> dict[str, Any]:
    return {"metadata": {"name": name, "creationTimestamp": created}, "status": {"phase": phase} | status}


def unscheduled(message: str) -> dict[str, Any]:
    condition = {"type": "PodScheduled", "status": "False", "reason": "Unschedulable", "message": message}
    return pod(conditions=[condition])


def waiting(reason: str, message: str = "") -> dict[str, Any]:
    scheduled = {"type": "PodScheduled", "status": "True"}
    state = {"waiting": {"reason": reason, "message": message}}
    return pod(conditions=[scheduled], containerStatuses=[{"name": "calibrate", "state": state}])


def said(found: Diagnosis | None) -> tuple[str, str]:
    assert found is not None
    return found.reason, found.message


@pytest.mark.parametrize(
    ("message", "advice"),
    [
        (
            "0/3 nodes are available: 1 Insufficient nvidia.com/gpu, 2 node(s) had untolerated taint {lab: yes}.",
            "add a toleration to spec.tolerations to use tainted nodes; it starts when a GPU is free",
        ),
        ("0/1 nodes are available: 1 Insufficient cpu, 1 Insufficient memory.", "request less in spec.resources"),
        ('0/1 nodes are available: persistentvolumeclaim "rows" not found.', "check the claim of spec.storage"),
        ("0/1 nodes are available: 1 node(s) were unschedulable.", "it starts when a node fits"),
    ],
)
def test_what_the_scheduler_says_has_a_way_out(message: str, advice: str) -> None:
    reason, found = said(of_pods([unscheduled(message)]))
    assert reason == "Unschedulable"
    assert found == f"pod p waits: {message}; {advice}"


@pytest.mark.parametrize("reason", ["ErrImagePull", "ImagePullBackOff"])
def test_an_image_that_cannot_be_pulled_has_one_reason_however_the_kubelet_pauses(reason: str) -> None:
    found = said(of_pods([waiting(reason, "not found: manifest unknown")]))
    assert found[0] == "ImagePullBackOff"
    assert "manifest unknown; correct spec.image, or name the registry's Secret in spec.imagePullSecrets" in found[1]


def test_a_container_that_is_being_created_is_no_trouble_unless_an_event_warns() -> None:
    found = waiting("ContainerCreating")
    assert of_pods([found]) is None
    assert creating([found]) == found
    assert creating([unscheduled("x"), pod(phase="Running")]) is None
    assert of_events(found, []) is None
    events = [
        {"reason": "FailedScheduling", "message": "old", "eventTime": "2026-01-01T00:00:00.123456Z"},
        {"reason": "FailedMount", "message": 'configmap "a" not found', "lastTimestamp": "2026-01-01T00:00:09Z"},
    ]
    assert said(of_events(found, events)) == (
        "FailedMount",
        'pod p is not started by its node: configmap "a" not found',
    )


@pytest.mark.parametrize(
    ("message", "advice"),
    [
        ('pods "a" is forbidden: exceeded quota: gpus, requested: requests.nvidia.com/gpu=1', "raise the quota"),
        (
            'pods "a" is forbidden: failed quota: q: must specify limits.cpu for: calibrate',
            "give these in spec.resources",
        ),
        ('pods "a" is forbidden: maximum memory usage per Container is 4Gi.', "LimitRange allows less"),
        ("must be less than or equal to memory limit of 512Mi", "give limits in spec.resources"),
        ('pods "a" is forbidden: violates PodSecurity "x"', "the standard `restricted`"),
        ('pods "a" is forbidden: no PriorityClass with name low was found', "correct spec.priorityClassName"),
        ('admission webhook "x" denied the request', "ask the namespace's admin"),
    ],
)
def test_a_pod_that_may_not_be_made_says_who_forbids_it(message: str, advice: str) -> None:
    event = {"reason": "FailedCreate", "message": f"Error creating: {message}", "lastTimestamp": "2026-01-01T00:00:05Z"}
    reason, found = said(of_creation([event], []))
    assert reason == "FailedCreate"
    assert message in found
    assert advice in found


def test_a_refusal_of_long_ago_is_over() -> None:
    event = {"reason": "FailedCreate", "message": "no", "lastTimestamp": "2026-01-01T00:00:05Z"}
    later = pod(phase="Failed", created="2026-01-01T00:00:06Z")
    assert of_creation([event], [later]) is None
    assert of_creation([event], [pod(phase="Running")]) is None
    assert of_creation([{"reason": "BackoffLimitExceeded"}], []) is None
    assert of_creation([event], [pod(phase="Failed")]) is not None


def test_how_a_pod_ended() -> None:
    killed = {"state": {"terminated": {"reason": "OOMKilled", "exitCode": 137, "message": ""}}}
    failed = pod("late", "Failed", created="2026-01-01T00:01:00Z", containerStatuses=[killed])
    assert said(of_pods([failed, pod("early", "Failed")])) == (
        "Retrying",
        "pod late failed: OOMKilled with exit code 137 (give more memory in spec.resources); the Job tries again",
    )
    late = pod("slow", "Failed", reason="DeadlineExceeded", message="Pod was active too long")
    assert end_of([late]) == "pod slow failed: DeadlineExceeded, Pod was active too long"
    assert end_of([pod(phase="Running")]) == ""
    assert of_pods([failed, pod("again", "Running")]) is None
