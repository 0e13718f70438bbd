"""Decide at the end of a calibration's run whether the pod's profile is valid, better than the one in use, and used."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final

from joulecast.errors import JoulecastError
from joulecast_operator.api.annotations import PREFIX
from joulecast_operator.api.calibrations import CalibrationSpec, Phase
from joulecast_operator.api.conditions import Wrong, condition, timestamp
from joulecast_operator.api.kinds import MANAGED_BY_LABEL, MANAGER, PROFILES
from joulecast_operator.api.objects import Key, Resource
from joulecast_operator.calibrations import diagnosis, jobs, results
from joulecast_operator.calibrations.results import ReportedProfile, RunSummary
from joulecast_operator.calibrations.status import CALIBRATED, PhaseUpdate, facts_of, quality_of, status_of
from joulecast_operator.cluster.client import Cluster
from joulecast_operator.controllers.profiles import Profiles
from joulecast_operator.estimates.forecasts import Forecaster
from joulecast_operator.index.index import Index
from joulecast_operator.profiles.usable import CALIBRATED_AT, Override

_OTHERS: Final = "ProfileOfOthers"
_SIMULATED: Final = "SimulatedProfile"
_NOT_IN_USE: Final = "NotInUse"
_JUDGED_AGAIN: Final = (_OTHERS, _SIMULATED)
"""Reasons not to use a profile that somebody can remove without another run, so that they are checked again."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ProfileVerdict:
    """Whether a new profile is used.

    - ``taken``: whether forecasts are made with it.
    - ``reason``, ``message``: why, for the condition Calibrated.
    """

    taken: bool
    reason: str
    message: str


class CalibrationOutcomes:
    """Judges the results of runs and puts better profiles in use. ``profiles`` tells which profile is in use now."""

    def __init__(self, *, index: Index, cluster: Cluster, forecasts: Forecaster, profiles: Profiles) -> None:
        self._index = index
        self._cluster = cluster
        self._forecasts = forecasts
        self._profiles = profiles

    async def complete(self, calibration: Resource, spec: CalibrationSpec, result: Resource) -> PhaseUpdate:
        """Decide after the Job has completed whether the new profile is valid and replaces the one in use."""
        summary = results.summary_of(result, status_of(calibration)["run"])
        if summary is None:
            return _end("Failed", "NoResult", "the Job ended without a result: see the log of its pod", {})
        if isinstance(summary, Wrong):
            return _end("Failed", summary.reason, summary.message, {})
        facts = {**facts_of(summary), "quality": quality_of(summary)}
        reported = results.reported_profile(result, summary)
        if isinstance(reported, Wrong):
            return _end("Failed", reported.reason, reported.message, facts)
        trouble = await self._invalid(calibration, spec, reported)
        if trouble is not None and trouble.reason != _SIMULATED:
            return _end("Failed", trouble.reason, trouble.message, facts)
        verdict = self._judge(calibration, spec, summary, reported, trouble)
        name = jobs.profile_name(status_of(calibration)["accelerator"], spec.runtime)
        shown = verdict.reason == _SIMULATED and self._index.resource(_profile_key(name)) is None
        if shown or (verdict.taken and not self._is_in_use(calibration, spec, reported)):
            await self._take(calibration, spec, name, reported)
        profile = {"name": name, "digest": reported.digest, "taken": verdict.taken}
        return _end("Done", verdict.reason, verdict.message, {**facts, "profile": profile})

    def is_open(self, calibration: Resource) -> bool:
        """Tell whether to decide again about the last run's profile, because the reasons may no longer hold."""
        said = (condition(status_of(calibration), CALIBRATED) or {}).get("reason")
        return said in _JUDGED_AGAIN or (said == _NOT_IN_USE and self._is_used(calibration))

    def outlived(self, calibration: Resource) -> PhaseUpdate | None:
        """Return the update for a calibration whose profile is no longer in use; None if it still is.

        Somebody deleted or replaced the profile; it is not restored.
        """
        status = status_of(calibration)
        profile = status.get("profile") or {}
        if status.get("phase") != "Done" or not profile.get("taken") or self._is_used(calibration):
            return None
        in_use = self._in_use(status)
        end = f"AcceleratorEnergyProfile {in_use[0].name} replaced it" if in_use else "it was deleted"
        message = f"the profile was in use until {end}; a new value of the refresh annotation measures again"
        return PhaseUpdate(
            phase="Done", reason=_NOT_IN_USE, message=message, facts={"profile": {**profile, "taken": False}}
        )

    def _is_used(self, calibration: Resource) -> bool:
        status = status_of(calibration)
        in_use = self._in_use(status)
        return in_use is not None and in_use[1].digest == (status.get("profile") or {}).get("digest")

    def _in_use(self, status: Resource) -> tuple[Key, Override] | None:
        """Return the profile in use for the last run's accelerator and runtime; None if the shipped one is used."""
        return self._profiles.in_use(status.get("accelerator", ""), status.get("runtime", ""))

    async def _invalid(self, calibration: Resource, spec: CalibrationSpec, reported: ReportedProfile) -> Wrong | None:
        """Return why a profiler refuses the profile for the calibration's accelerator and runtime, else None."""
        override = Override(
            product=status_of(calibration)["accelerator"],
            runtime=spec.runtime,
            digest=reported.digest,
            document=reported.document,
        )
        try:
            await self._forecasts.validate(override)
        except JoulecastError as error:
            if error.transient:
                raise
            return Wrong(reason=error.reason, message=str(error))
        return None

    def _judge(
        self,
        calibration: Resource,
        spec: CalibrationSpec,
        summary: RunSummary,
        reported: ReportedProfile,
        simulated: Wrong | None,
    ) -> ProfileVerdict:
        accelerator = status_of(calibration)["accelerator"]
        name = jobs.profile_name(accelerator, spec.runtime)
        in_use = self._profiles.in_use(accelerator, spec.runtime)
        says = summary.says or "the run reported no details"
        if simulated is not None:
            return ProfileVerdict(taken=False, reason=_SIMULATED, message=simulated.message)
        if self._is_in_use(calibration, spec, reported):
            reason = "Better" if results.is_better(summary) else "Same"
            return ProfileVerdict(
                taken=True, reason=reason, message=f"in use as AcceleratorEnergyProfile {name}: {says}"
            )
        others = [key for key in (_profile_key(name), in_use[0] if in_use else None) if key and self._is_others(key)]
        if not results.is_better(summary):
            stays = _stays(in_use, status_of(calibration).get("against"))
            return ProfileVerdict(taken=False, reason="NotBetter", message=f"{stays}: {says}")
        if others:
            message = (
                f"{says}; but AcceleratorEnergyProfile {others[0].name}, which joulecast did not create, stays in use:"
                " delete it to use the new one"
            )
            return ProfileVerdict(taken=False, reason=_OTHERS, message=message)
        if in_use is not None and in_use[1].digest != status_of(calibration).get("against"):
            message = (
                "the profile in use changed during the run, which was compared with the one before: run the calibration"
                " again"
            )
            return ProfileVerdict(taken=False, reason="ProfileChanged", message=message)
        return ProfileVerdict(taken=True, reason="Better", message=f"in use as AcceleratorEnergyProfile {name}: {says}")

    def _is_in_use(self, calibration: Resource, spec: CalibrationSpec, reported: ReportedProfile) -> bool:
        in_use = self._profiles.in_use(status_of(calibration)["accelerator"], spec.runtime)
        return in_use is not None and in_use[1].digest == reported.digest

    def _is_others(self, key: Key) -> bool:
        """Tell whether this profile exists and was not created by joulecast."""
        profile = self._index.resource(key)
        return profile is not None and (profile["metadata"].get("labels") or {}).get(MANAGED_BY_LABEL) != MANAGER

    async def _take(self, calibration: Resource, spec: CalibrationSpec, name: str, reported: ReportedProfile) -> None:
        metadata = calibration["metadata"]
        body = {
            "apiVersion": PROFILES.api_version,
            "kind": PROFILES.kind,
            "metadata": {
                "name": name,
                "labels": {MANAGED_BY_LABEL: MANAGER},
                "annotations": {
                    f"{PREFIX}calibration": f"{metadata['namespace']}/{metadata['name']}",
                    CALIBRATED_AT: timestamp(datetime.now(UTC)),
                },
            },
            "spec": {
                "product": status_of(calibration)["accelerator"],
                "runtime": spec.runtime,
                "coefficients": reported.document,
            },
        }
        self._index.put(PROFILES, await self._cluster.apply(PROFILES.path(None, name), body))
        await self._profiles.reconcile(_profile_key(name))  # puts it in use before another run is compared with it

    def failed(self, calibration: Resource, job: Resource, result: Resource, pods: Sequence[Resource]) -> PhaseUpdate:
        """Return the update after the Job failed, with the run's own message, or else with how its pod ended."""
        summary = results.summary_of(result, status_of(calibration)["run"])
        conditions = (job.get("status") or {}).get("conditions") or ()
        why = next((each.get("message", "") for each in conditions if each["type"] == "Failed"), "")
        if isinstance(summary, RunSummary) and summary.phase == "failed" and summary.message:
            why = summary.message
        elif end := diagnosis.end_of(pods):
            why = f"{end}: {why}"
        facts = facts_of(summary) if isinstance(summary, RunSummary) else {}
        return _end("Failed", "RunFailed", f"{why}; a new value of the refresh annotation runs it again", facts)


def _stays(in_use: tuple[Key, Override] | None, against: str | None) -> str:
    """Return which profile stays in use if the new one is not better."""
    if in_use is not None:
        return f"AcceleratorEnergyProfile {in_use[0].name} stays in use"
    if against is not None:
        return "the new profile is not used, although the better one that it was compared with is gone"
    return "the profile that joulecast ships stays in use"


def _end(phase: Phase, reason: str, message: str, facts: Mapping[str, Any]) -> PhaseUpdate:
    ended = {"finishedAt": timestamp(datetime.now(UTC)), "failed": True if phase == "Failed" else None}
    return PhaseUpdate(phase=phase, reason=reason, message=message, facts={**facts, **ended})


def _profile_key(name: str) -> Key:
    return Key(kind=PROFILES.kind, namespace="", name=name)
