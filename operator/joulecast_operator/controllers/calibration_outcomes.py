"""Decide at the end of a calibration's run whether the pod wrote a valid profile that is better and may be used."""

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
"""Reasons not to use a profile that somebody may take away without another run."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ProfileVerdict:
    """Whether a profile is put in use, and why."""

    taken: bool
    reason: str
    message: str


class CalibrationOutcomes:
    """Judges the results of runs. ``profiles`` knows which profile is in use."""

    def __init__(self, *, index: Index, cluster: Cluster, forecasts: Forecaster, profiles: Profiles) -> None:
        self._index = index
        self._cluster = cluster
        self._forecasts = forecasts
        self._profiles = profiles

    async def complete(self, calibration: Resource, spec: CalibrationSpec, result: Resource) -> PhaseUpdate:
        """Decide, after the Job completed, whether the new profile is valid and replaces the one in use."""
        summary = results.summary_of(result, status_of(calibration)["run"])
        if summary is None:
            return _end("Failed", "NoResult", "the Job ended and said nothing: look at the log of its pod", {})
        if isinstance(summary, Wrong):
            return _end("Failed", summary.reason, summary.message, {})
        facts = {**facts_of(summary), "quality": quality_of(summary)}
        product = results.reported_profile(result, summary)
        if isinstance(product, Wrong):
            return _end("Failed", product.reason, product.message, facts)
        trouble = await self._invalid(calibration, spec, product)
        if trouble is not None and trouble.reason != _SIMULATED:
            return _end("Failed", trouble.reason, trouble.message, facts)
        verdict = self._judge(calibration, spec, summary, product, trouble)
        name = jobs.profile_name(status_of(calibration)["accelerator"], spec.runtime)
        shown = verdict.reason == _SIMULATED and self._index.resource(_profile_key(name)) is None
        if shown or (verdict.taken and not self._is_in_use(calibration, spec, product)):
            await self._take(calibration, spec, name, product)
        profile = {"name": name, "digest": product.digest, "taken": verdict.taken}
        return _end("Done", verdict.reason, verdict.message, {**facts, "profile": profile})

    def is_open(self, calibration: Resource) -> bool:
        """Tell whether what came of the last run may be judged otherwise by now."""
        said = (condition(status_of(calibration), CALIBRATED) or {}).get("reason")
        return said in _JUDGED_AGAIN or (said == _NOT_IN_USE and self._is_used(calibration))

    def outlived(self, calibration: Resource) -> PhaseUpdate | None:
        """Return the state once the profile is no longer in use: deleted by hand or replaced. It is not restored."""
        status = status_of(calibration)
        profile = status.get("profile") or {}
        if status.get("phase") != "Done" or not profile.get("taken") or self._is_used(calibration):
            return None
        in_use = self._in_use(status)
        now = f"AcceleratorEnergyProfile {in_use[0].name} took its place" if in_use else "it was deleted"
        message = f"its profile was in use until {now}; a new value of the refresh annotation measures again"
        return PhaseUpdate(
            phase="Done", reason=_NOT_IN_USE, message=message, facts={"profile": {**profile, "taken": False}}
        )

    def _is_used(self, calibration: Resource) -> bool:
        status = status_of(calibration)
        in_use = self._in_use(status)
        return in_use is not None and in_use[1].digest == (status.get("profile") or {}).get("digest")

    def _in_use(self, status: Resource) -> tuple[Key, Override] | None:
        """Return the profile in use for the accelerator and runtime that the last run measured."""
        return self._profiles.in_use(status.get("accelerator", ""), status.get("runtime", ""))

    async def _invalid(self, calibration: Resource, spec: CalibrationSpec, product: ReportedProfile) -> Wrong | None:
        """Say why the profile does not fit the accelerator and runtime asked for; a profiler reads it."""
        override = Override(
            product=status_of(calibration)["accelerator"],
            runtime=spec.runtime,
            digest=product.digest,
            document=product.document,
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
        product: ReportedProfile,
        simulated: Wrong | None,
    ) -> ProfileVerdict:
        accelerator = status_of(calibration)["accelerator"]
        name = jobs.profile_name(accelerator, spec.runtime)
        in_use = self._profiles.in_use(accelerator, spec.runtime)
        says = summary.says or "the run gave no details"
        if simulated is not None:
            return ProfileVerdict(taken=False, reason=_SIMULATED, message=simulated.message)
        if self._is_in_use(calibration, spec, product):
            reason = "Better" if results.is_better(summary) else "Same"
            return ProfileVerdict(
                taken=True, reason=reason, message=f"in use as AcceleratorEnergyProfile {name}: {says}"
            )
        others = [key for key in (_profile_key(name), in_use[0] if in_use else None) if key and self._is_others(key)]
        if not results.is_better(summary):
            stays = _stays(in_use, status_of(calibration).get("against"))
            return ProfileVerdict(taken=False, reason="NotBetter", message=f"{stays}: {says}")
        if others:
            message = f"{says}; yet AcceleratorEnergyProfile {others[0].name} was made by somebody else: delete it"
            return ProfileVerdict(taken=False, reason=_OTHERS, message=message)
        if in_use is not None and in_use[1].digest != status_of(calibration).get("against"):
            message = "the profile in use changed during the run, which compared with the one before: run it again"
            return ProfileVerdict(taken=False, reason="ProfileChanged", message=message)
        return ProfileVerdict(taken=True, reason="Better", message=f"in use as AcceleratorEnergyProfile {name}: {says}")

    def _is_in_use(self, calibration: Resource, spec: CalibrationSpec, product: ReportedProfile) -> bool:
        in_use = self._profiles.in_use(status_of(calibration)["accelerator"], spec.runtime)
        return in_use is not None and in_use[1].digest == product.digest

    def _is_others(self, key: Key) -> bool:
        """Tell whether there is such a profile and joulecast did not make it."""
        profile = self._index.resource(key)
        return profile is not None and (profile["metadata"].get("labels") or {}).get(MANAGED_BY_LABEL) != MANAGER

    async def _take(self, calibration: Resource, spec: CalibrationSpec, name: str, product: ReportedProfile) -> None:
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
                "coefficients": product.document,
            },
        }
        self._index.put(PROFILES, await self._cluster.apply(PROFILES.path(None, name), body))
        await self._profiles.reconcile(_profile_key(name))  # in use before another run asks what to compare with

    def failed(self, calibration: Resource, job: Resource, result: Resource, pods: Sequence[Resource]) -> PhaseUpdate:
        """Return the state after the Job failed, with the reason of its pods where the run wrote none."""
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
    """Name the profile that stays in use where the new one is not better."""
    if in_use is not None:
        return f"AcceleratorEnergyProfile {in_use[0].name} stays in use"
    if against is not None:
        return "the profile that it was compared with is gone, yet it was the better one"
    return "the profile that joulecast ships stays in use"


def _end(phase: Phase, reason: str, message: str, facts: Mapping[str, Any]) -> PhaseUpdate:
    ended = {"finishedAt": timestamp(datetime.now(UTC)), "failed": True if phase == "Failed" else None}
    return PhaseUpdate(phase=phase, reason=reason, message=message, facts={**facts, **ended})


def _profile_key(name: str) -> Key:
    return Key(kind=PROFILES.kind, namespace="", name=name)
