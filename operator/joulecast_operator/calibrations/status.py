"""Compute the status of an EnergyCalibration; pure functions over resources as plain dicts."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Final

from joulecast_operator.api import bounds
from joulecast_operator.api.annotations import REFRESH, annotations_of, significant
from joulecast_operator.api.calibrations import CalibrationSpec, Phase
from joulecast_operator.api.conditions import ConditionRow, Status, Truth, condition, conditions_of
from joulecast_operator.api.objects import Resource
from joulecast_operator.calibrations.jobs import placement_hash, spec_hash
from joulecast_operator.calibrations.results import RunSummary
from joulecast_operator.calibrations.schedule import parse

ACCEPTED: Final = "Accepted"
CALIBRATED: Final = "Calibrated"

HOLDING: Final = frozenset({"Queued", "Starting", "Measuring", "Fitting"})
"""Phases of a run that has a Job. Its accelerator and runtime are then closed to other calibrations."""

ENDED: Final = frozenset({"Done", "Failed"})
"""Phases of a run that has ended."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PhaseUpdate:
    """What to write into a calibration's status next.

    - ``phase``: the phase.
    - ``reason``, ``message``: those of the condition Calibrated.
    - ``facts``: fields of the status that change, by name; None removes the field.
    - ``again_seconds``: in how many seconds to reconcile the calibration again; None for not before a change.
    - ``warning``: whether the event is a Warning, because somebody should act.
    """

    phase: Phase
    reason: str
    message: str
    facts: Mapping[str, Any] = field(default_factory=dict)
    again_seconds: float | None = None
    warning: bool = False


def status_of(calibration: Resource) -> Resource:
    """Return the status of a calibration; {} if it has none yet."""
    return calibration.get("status") or {}


def holds_accelerator(calibration: Resource) -> bool:
    """Tell whether the calibration's run has a Job, and with it an accelerator."""
    return status_of(calibration).get("phase") in HOLDING


def is_open(calibration: Resource, spec: CalibrationSpec) -> bool:
    """Tell whether the last run has not ended and still measures what the spec says."""
    status = status_of(calibration)
    return bool(status.get("run")) and not status.get("finishedAt") and status.get("specHash") == spec_hash(spec)


def refresh_of(calibration: Resource) -> str:
    """Return the value of the annotation joulecast.dev/refresh; "" if there is none."""
    return bounds.text(annotations_of(calibration).get(REFRESH, ""))


def next_run(calibration: Resource, spec: CalibrationSpec, now: datetime) -> datetime | None:
    """Return when the next run is due; a time up to ``now`` means at once, None means never.

    Raises ValueError for an invalid schedule.
    """
    status, refresh = status_of(calibration), refresh_of(calibration)
    schedule = parse(spec.schedule) if spec.schedule is not None else None
    if refresh and refresh != status.get("refresh"):
        return now
    if status.get("failed") and status.get("placementHash") != placement_hash(spec):
        return now  # it may have failed for lack of memory or of a Secret, which the new placement may have
    if schedule is None:
        return None if status.get("specHash") == spec_hash(spec) else now
    if status and status.get("schedule") != _shown(spec.schedule):
        return schedule.next(now)  # times of a new schedule that have passed are not made up for
    if "nextRunAt" in status:
        return datetime.fromisoformat(status["nextRunAt"])
    since = status.get("startedAt") or calibration["metadata"]["creationTimestamp"]
    return schedule.next(datetime.fromisoformat(since))


def desired_status(calibration: Resource, state: PhaseUpdate, *, now: datetime) -> Status:
    """Return the complete status of a calibration after the update ``state``."""
    current = status_of(calibration)
    generation = calibration["metadata"].get("generation")
    kept = {name: value for name, value in current.items() if name != "waitingSince"}  # each update that waits sets it
    status: Status = {**kept, **state.facts, "observedGeneration": generation, "phase": state.phase}
    status["schedule"] = _shown((calibration.get("spec") or {}).get("schedule"))
    status = {name: value for name, value in status.items() if value is not None}
    status["summary"] = _columns(status)
    status["conditions"] = conditions_of(calibration, _conditions(current, state), now=now)
    return status


def facts_of(summary: RunSummary) -> Status:
    """Return the fields of the status that say what a run has measured."""
    return {
        "progress": round(summary.progress, 2),  # in whole percents, because each change is a write
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


def _conditions(current: Resource, state: PhaseUpdate) -> tuple[ConditionRow, ...]:
    accepted: ConditionRow = (ACCEPTED, "True", "Accepted", "the spec can be carried out")
    if state.phase == "Refused":
        accepted = (ACCEPTED, "False", state.reason, state.message)
    return accepted, (CALIBRATED, _truth(current, state.phase), state.reason, state.message)


def _truth(current: Resource, phase: Phase) -> Truth:
    """Return the status of the condition Calibrated; a run under way leaves it as the run before left it."""
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
    """Return the text of the column Better: "yes, in use", or the two errors if the new profile is not better."""
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
    """Round to six significant digits, like every number of a status."""
    return None if value is None else float(f"{value:.6g}")


def _present(**fields: Any) -> Status:
    return {name: value for name, value in fields.items() if value is not None}
