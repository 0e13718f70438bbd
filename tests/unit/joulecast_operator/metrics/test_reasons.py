"""Reasons of failures as values of a label."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import joulecast.sources
import joulecast_operator
from joulecast import errors
from joulecast_operator.metrics.reasons import REASONS

NO_FAILURES = {
    "AcceleratorNotEstimated", "AnnotationsUndone", "AnotherCalibration", "AsMeasured", "BatchSizeNotEstimated",
    "Better", "ChoiceChanged", "ClockNotEstimated", "ConcurrencyNotEstimated", "Estimated", "Estimating",
    "InputTokensNotEstimated", "InvalidRow", "JobGoing", "NoAccelerator", "NoNode", "NotBetter",
    "OutputTokensNotEstimated", "PhaseNotEstimated", "Planning", "PowerLimitNotEstimated", "PrecisionNotEstimated",
    "ProfileChanged", "Queued", "RuntimeNotEstimated", "Scheduled", "Starting", "Suspended",
    "TensorParallelNotEstimated",
}  # fmt: skip
"""Reasons of what waits, runs, went well, or stands on a Deployment alone."""


def reasons_in(package: str) -> Iterator[str]:
    """Every reason that the code of a package gives in words; those of the kubectl plugin are no metric's."""
    folder = Path(package).parent
    for path in sorted(set(folder.rglob("*.py")) - set((folder / "kubectl").rglob("*.py"))):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.keyword) and node.arg == "reason" and isinstance(node.value, ast.Constant):
                yield str(node.value.value)


def test_every_reason_of_a_failure_is_counted_by_its_name() -> None:
    packages = [str(package.__file__) for package in (joulecast_operator, joulecast.sources)]
    unknown = {reason for package in packages for reason in reasons_in(package)} - REASONS - NO_FAILURES
    assert not unknown, "add them to reasons.py, or here if they are of no failure"
    tree = [kind for kind in vars(errors).values() if isinstance(kind, type) and issubclass(kind, Exception)]
    assert all(kind.default_reason in REASONS for kind in tree)
