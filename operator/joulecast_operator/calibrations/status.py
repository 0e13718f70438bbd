"""What a calibration's status should be; pure functions over resources as plain dicts."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Final

from joulecast_operator.api import bounds
from joulecast_operator.api.annotations import REFRESH, annotations_of, significant
from joulecast_operator.api.calibrations import CalibrationSpec, Phase
from joulecast_operator.api.conditions import Status, Truth, condition, condition_of
from joulecast_operator.api.objects import Resource
from joulecast_operator.calibrations.jobs import placement_hash, spec_hash
from joulecast_operator.calibrations.results import RunSummary
from joulecast_operator.calibrations.schedule import parse

ACCEPTED: Final = "Accepted"
CALIBRATED: Final = "Calibrated"

HOLDING: Final = frozenset({"Queued", "Starting", "Measuring", "Fitting"})
"""Phases of a run that has a Job, and with it an accelerator that no other calibration may have."""

ENDED: Final = frozenset({"Done", "Failed"})


@dataclass(frozen=True, slots=True, kw_only=True)
class PhaseUpdate:
    """Where a calibration stands. ``facts``: fields of the status that change; None takes one away. ``again_seconds``:
    when to look again. ``warning``: somebody should see to it."""

    phase: Phase
    reason: str
    message: str
    facts: Mapping[str, Any] = field(default_factory=dict)
    again_seconds: float | None = None
    warning: bool = False


def status_of(calibration: Resource) -> Resource:
    return calibration.get("status") or {}


def holds_accelerator(calibration: Resource) -> bool:
    """Tell whether it has an accelerator."""
    return status_of(calibration).get("phase") in HOLDING


def is_open(calibration: Resource, spec: CalibrationSpec) -> bool:
    """Tell whether its last run has not ended and is still what is asked for."""
    status = status_of(calibration)
    return bool(status.get("run")) and not status.get("finishedAt") and status.get("specHash") == spec_hash(spec)


def refresh_of(calibration: Resource) -> str:
    return bounds.text(annotations_of(calibration).get(REFRESH, ""))


def next_run(calibration: Resource, spec: CalibrationSpec, now: datetime) -> datetime | None:
    """Return when the next run is due: ``now`` or earlier for at once, None for never.

    Raises ValueError for a malformed schedule.
    """
    status, refresh = status_of(calibration), refresh_of(calibration)
    schedule = parse(spec.schedule) if spec.schedule is not None else None
    if refresh and refresh != status.get("refresh"):
        return now
    if status.get("failed") and status.get("placementHash") != placement_hash(spec):
        return now  # it may have failed for want of memory or a Secret
    if schedule is None:
        return None if status.get("specHash") == spec_hash(spec) else now
    if status and status.get("schedule") != _shown(spec.schedule):
        return schedule.next(now)  # a new schedule has missed nothing
    if "nextRunAt" in status:
        return datetime.fromisoformat(status["nextRunAt"])
    since = status.get("startedAt") or calibration["metadata"]["creationTimestamp"]
    return schedule.next(datetime.fromisoformat(since))


def desired_status(calibration: Resource, state: PhaseUpdate, *, now: datetime) -> Status:
    """Return the complete status for ``state``."""
    current = status_of(calibration)
    generation = calibration["metadata"].get("generation")
    kept = {name: value for name, value in current.items() if name != "waitingSince"}  # said again while it waits
    status: Status = {**kept, **state.facts, "observedGeneration": generation, "phase": state.phase}
    status["schedule"] = _shown((calibration.get("spec") or {}).get("schedule"))
    status = {name: value for name, value in status.items() if value is not None}
    status["summary"] = _columns(status)
    status["conditions"] = [
        condition_of(current, kind, truth, reason, message, generation, now)
        for kind, truth, reason, message in _conditions(current, state)
    ]
    return status


def facts_of(summary: RunSummary) -> Status:
    """Return the fields of the status that describe a run under way or at its end."""
    return {
        "progress": round(summary.progress, 2),  # whole percents: each change is a write
        "rows": summary.rows,
        "networks": summary.networks,
        "layers": summary.layers,
    }


def quality_of(summary: RunSummary) -> Status:
    """Return the field ``quality`` of the status."""
    held = summary.held_out
    errors = None if held is None else _present(
        medianError=_rounded(held.median_ape),
        meanError=_rounded(held.mean_ape),
        maxError=_rounded(held.max_ape),
        intervalCoverage=_rounded(held.interval_coverage),
        rows=None if held.rows is None else int(held.rows),
    )  # fmt: skip
    return _present(
        heldOut=errors,
        againstMedianError=_rounded(summary.against.median_ape if summary.against else None),
        better=summary.better,
        simulated=summary.simulated,
        verdict=[check.model_dump() for check in summary.verdict] or None,
    )


def _conditions(current: Resource, state: PhaseUpdate) -> tuple[tuple[str, Truth, str, str], ...]:
    accepted: tuple[str, Truth, str, str] = (ACCEPTED, "True", "Accepted", "it can be measured")
    if state.phase == "Refused":
        accepted = (ACCEPTED, "False", state.reason, state.message)
    return accepted, (CALIBRATED, _truth(current, state.phase), state.reason, state.message)


def _truth(current: Resource, phase: Phase) -> Truth:
    """Return the truth of Calibrated; while a run is under way it stays as the run before left it."""
    if phase == "Done":
        return "True"
    if phase in ("Failed", "Refused"):
        return "False"
    before = condition(current, CALIBRATED)
    return "True" if before is not None and before.get("status") == "True" else "Unknown"


def _columns(status: Resource) -> dict[str, str]:
    quality: Resource = status.get("quality") or {}
    error = (quality.get("heldOut") or {}).get("medianError")
    progress = status.get("progress")
    return {
        "accelerator": str(status.get("accelerator") or ""),
        "progress": "" if progress is None else f"{100 * progress:.0f} %",
        "rows": str(status.get("rows", "")),
        "error": "" if error is None else _percent(error),
        "better": _better(status, quality),
    }


def _better(status: Resource, quality: Resource) -> str:
    """Return "yes, in use", or the figures by which it is not better."""
    if quality.get("better") is None:
        return ""
    if quality["better"]:
        taken = (status.get("profile") or {}).get("taken")
        return "yes, in use" if taken else "yes, not in use"
    old, new = quality.get("againstMedianError"), (quality.get("heldOut") or {}).get("medianError")
    return "no" if old is None or new is None else f"no, {_percent(new)} against {_percent(old)}"


def _percent(share: float) -> str:
    return f"{significant(100 * share)} %"


def _shown(schedule: str | None) -> str | None:
    return None if schedule is None else bounds.text(schedule)


def _rounded(value: float | None) -> float | None:
    """Round to six significant digits, as every number of a status."""
    return None if value is None else float(f"{value:.6g}")


def _present(**fields: Any) -> Status:
    return {name: value for name, value in fields.items() if value is not None}
