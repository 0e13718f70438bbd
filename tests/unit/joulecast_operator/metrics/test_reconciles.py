"""Test the metrics of the operator itself."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

from prometheus_client import CollectorRegistry

import joulecast.sources
import joulecast_operator
from joulecast import errors
from joulecast_operator.metrics.reasons import OTHER, REASONS, counted
from joulecast_operator.metrics.reconciles import Reconciles, show_index, show_queue

NO_FAILURES = {
    "AcceleratorNotEstimated", "AnotherCalibration", "AsMeasured", "BatchSizeNotEstimated", "Better",
    "ConcurrencyNotEstimated", "Estimating", "InputTokensNotEstimated", "InvalidRow", "JobGoing", "NoAccelerator",
    "NoNode", "NotBetter", "OutputTokensNotEstimated", "PhaseNotEstimated", "PrecisionNotEstimated", "ProfileChanged",
    "Queued", "RuntimeNotEstimated", "Scheduled", "Starting", "Suspended", "TensorParallelNotEstimated",
}  # fmt: skip
"""Reasons that are not failures, or that only annotations of a Deployment have."""


def reasons_in(package: str) -> Iterator[str]:
    """Return every reason that is written in the code of a package."""
    for path in Path(package).parent.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.keyword) and node.arg == "reason" and isinstance(node.value, ast.Constant):
                yield str(node.value.value)


def test_every_reason_of_a_failure_is_counted_by_its_name() -> None:
    packages = [str(package.__file__) for package in (joulecast_operator, joulecast.sources)]
    unknown = {reason for package in packages for reason in reasons_in(package)} - REASONS - NO_FAILURES
    assert not unknown, "add them to reasons.py, or here if they are of no failure"
    tree = [kind for kind in vars(errors).values() if isinstance(kind, type) and issubclass(kind, Exception)]
    assert all(kind.default_reason in REASONS for kind in tree)


def test_a_word_that_is_not_ours_is_counted_as_other() -> None:
    registry = CollectorRegistry()
    reconciles = Reconciles(registry)
    for word in ("Made-up", "x" * 10_000, "RegistryUnavailable"):
        reconciles.failed("InferenceEnergyEstimate", word)
    value = lambda reason: registry.get_sample_value(  # noqa: E731
        "joulecast_reconcile_errors_total", {"kind": "InferenceEnergyEstimate", "reason": reason}
    )
    assert (value(OTHER), value("RegistryUnavailable"), value("InternalError")) == (2, 1, 0)
    assert counted("InternalError") == "InternalError"


def test_reconciles_are_timed_by_kind_also_those_that_fail() -> None:
    registry = CollectorRegistry()
    reconciles = Reconciles(registry)
    for error in (None, KeyError("injected")):
        try:
            with reconciles.timed("Deployment"):
                if error:
                    raise error
        except KeyError:
            pass
    count = registry.get_sample_value("joulecast_reconcile_duration_seconds_count", {"kind": "Deployment"})
    assert count == 2


def test_queue_and_index_are_shown_as_they_are_at_the_scrape() -> None:
    registry, now = CollectorRegistry(), [3.0]
    show_queue(registry, lambda: 7, lambda: now[0])
    show_index(registry, lambda: now[0] * 2)
    now[0] = 5.0
    found = [
        registry.get_sample_value(f"joulecast_{name}")
        for name in ("queue_depth", "queue_oldest_seconds", "index_behind_seconds")
    ]
    assert found == [7, 5, 10]
