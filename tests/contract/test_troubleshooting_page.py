"""docs/troubleshooting.md lists every reason that joulecast writes, and no other."""

from __future__ import annotations

import ast
import functools
import re
from collections.abc import Iterator

import pytest

from joulecast_operator.metrics.reasons import REASONS
from tests.harness.environment import ROOT

PAGE = (ROOT / "docs" / "troubleshooting.md").read_text()
OPERATOR = ROOT / "operator" / "joulecast_operator"
LIBRARY = ROOT / "estimator" / "joulecast"
SEVERAL_WORDS = re.compile(r"(?:[A-Z][a-z]+){2,}")
WORDS = re.compile(r"[A-Z][A-Za-z]+")
NO_REASONS = frozenset({
    # kinds and values of Kubernetes' API
    "AdmissionReview", "ClusterQueue", "ConfigMap", "CronJob", "CustomResourceDefinition", "DaemonSet", "DeviceClass",
    "DisruptionTarget", "DoesNotExist", "FailJob", "FallbackToLogsOnError", "InferenceService", "LeaderWorkerSet",
    "LocalQueue", "MutatingWebhookConfiguration", "NoExecute", "NoSchedule", "NotIn", "PersistentVolumes",
    "PodScheduled",
    "PodSecurity", "PreferNoSchedule", "PriorityClass", "RayService", "ResourceClaim", "ResourceClaimTemplate",
    "ResourceFlavor", "ResourceSlice", "RoleBinding", "RuntimeDefault", "SelfSubjectAccessReview",
    "ServiceAccount", "StatefulSet", "SubjectAccessReview", "TokenReview",
    # what the kubelet says and a calibration shows as ImagePullBackOff
    "ErrImagePull", "SignatureValidationFailed",
    # kinds, conditions and parts of names of joulecast
    "AcceleratorEnergyProfile", "EnergyCalibration", "EnergyPlan", "EnergySite", "InferenceEnergyEstimate",
    "ModelResolved", "ModelSecret", "OutputToken", "WorkloadsOfModel",
    # ends of reasons: ProfilerKilled, FetcherTimeout, AnnotationsRefused
    "Killed", "OutOfMemory", "Timeout", "Refused",
})  # fmt: skip
REFUSED_WRITES = {"AnnotationsRefused", "DeletionRefused", "EstimateRefused"}  # made of the word for what was written


@functools.cache
def modules() -> tuple[tuple[bool, ast.Module], ...]:
    """Of each module of operator and library, whether it is the operator's, and its code.

    The words that ``kubectl joulecast`` ends with are in no object, but on its own page.
    """
    return tuple(
        (package == OPERATOR, ast.parse(path.read_text()))
        for package in (OPERATOR, LIBRARY)
        for path in sorted(package.rglob("*.py"))
        if OPERATOR / "kubectl" not in path.parents
    )


def words(node: ast.AST, pattern: re.Pattern[str]) -> Iterator[str]:
    """Yield the string constants within ``node`` that are written in CamelCase."""
    for each in ast.walk(node):
        if isinstance(each, ast.Constant) and isinstance(each.value, str) and pattern.fullmatch(each.value):
            yield each.value


def given_as_reason(code: ast.Module) -> Iterator[str]:
    """Yield each word that is given as ``reason=`` or is a ``default_reason``."""
    for node in ast.walk(code):
        if isinstance(node, ast.keyword) and node.arg == "reason":
            yield from words(node.value, WORDS)
        if isinstance(node, ast.Assign) and any(getattr(each, "id", "") == "default_reason" for each in node.targets):
            yield from words(node.value, WORDS)


def written() -> set[str]:
    found = set(REASONS)
    for of_operator, code in modules():
        found |= set(given_as_reason(code)) | (set(words(code, SEVERAL_WORDS)) if of_operator else set())
    return found - NO_REASONS


def listed() -> set[str]:
    rows = [line.split("|")[1] for line in PAGE.splitlines() if line.startswith("| `")]
    last = PAGE[PAGE.index("In the log and the metric alone") :]
    return {word for text in (*rows, last) for word in re.findall(r"`([A-Z][A-Za-z]+)`", text)}


@pytest.mark.parametrize("reason", sorted(written()))
def test_each_reason_that_is_written_is_listed(reason: str) -> None:
    assert reason in listed()


def test_each_reason_that_is_listed_is_written() -> None:
    in_code = {word for _, code in modules() for word in words(code, WORDS)}
    assert listed() - in_code - REASONS == REFUSED_WRITES


def test_each_row_says_what_to_do() -> None:
    rows = [line for line in PAGE.splitlines() if line.startswith("| `")]
    assert len(rows) > 60
    assert all(cell.strip() for row in rows for cell in row.strip("|").split("|"))
