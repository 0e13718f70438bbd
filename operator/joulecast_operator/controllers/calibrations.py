"""Reconcile EnergyCalibrations: run a Job on one GPU for each, and use the profile that it makes if it is better.

Jobs are read every few seconds and not watched, because a watch of Jobs needs rights in all namespaces, and a run lasts
for minutes.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any, Final

from pydantic import ValidationError

from joulecast_operator.api.calibrations import CalibrationSpec, EnergyCalibration, Phase
from joulecast_operator.api.conditions import Waiting, Wrong, condition, invalid_spec, timestamp
from joulecast_operator.api.kinds import CALIBRATIONS, JOBS
from joulecast_operator.api.objects import Key, Resource
from joulecast_operator.calibrations import jobs, results
from joulecast_operator.calibrations import queue as run_queue
from joulecast_operator.calibrations.allowed import REASON, refusal_of
from joulecast_operator.calibrations.diagnosis import RETRYING
from joulecast_operator.calibrations.jobs import CalibrationRun
from joulecast_operator.calibrations.nodes import Target, target_of
from joulecast_operator.calibrations.queue import ProductRuntime, product_runtime_of, waits_in_queue
from joulecast_operator.calibrations.status import (
    CALIBRATED,
    ENDED,
    PhaseUpdate,
    desired_status,
    facts_of,
    holds_accelerator,
    is_open,
    next_run,
    refresh_of,
    status_of,
)
from joulecast_operator.cluster.client import ApiError, Cluster
from joulecast_operator.cluster.workqueue import WorkQueue
from joulecast_operator.cluster.writer import Writer
from joulecast_operator.controllers.calibration_objects import NameTakenError, RunObjects
from joulecast_operator.controllers.calibration_outcomes import CalibrationOutcomes
from joulecast_operator.controllers.outcome_log import UNCOUNTED, OutcomeLog
from joulecast_operator.controllers.profiles import Profiles
from joulecast_operator.estimates.forecasts import Forecaster
from joulecast_operator.index.index import Index
from joulecast_operator.settings import Settings

_LOOK_AGAIN_SECONDS: Final = 3600.0  # longest wait for a time of the schedule, because a clock may be set
_FORBIDDEN_SECONDS: Final = 60.0  # until a calibration without rights, or whose name is taken, is tried again


class Calibrations:
    """Reconciles calibrations. ``profiles`` tells which profile is in use."""

    def __init__(
        self,
        *,
        index: Index,
        cluster: Cluster,
        writer: Writer,
        forecasts: Forecaster,
        queue: WorkQueue[Key],
        profiles: Profiles,
        settings: Settings,
        outcome_log: OutcomeLog = UNCOUNTED,
    ) -> None:
        self._outcome_log = outcome_log
        self._index = index
        self._objects = RunObjects(cluster)
        self._outcomes = CalibrationOutcomes(index=index, cluster=cluster, forecasts=forecasts, profiles=profiles)
        self._writer = writer
        self._queue = queue
        self._profiles = profiles
        self._settings = settings
        self._claiming = asyncio.Lock()

    async def reconcile(self, key: Key) -> None:
        """Take the next step of the calibration of ``key``, and write its status."""
        calibration = self._index.resource(key)
        if calibration is None or calibration["metadata"].get("deletionTimestamp"):
            return
        state = await self._state(calibration)
        if state is None:
            return
        current = self._index.resource(key) or calibration
        await self._put(current, state)
        stood = {_standing(each) for each in (calibration, current, self._index.resource(key) or current)}
        if len(stood) > 1:
            self.queue_all()  # other calibrations may wait for this one
        if state.again_seconds is not None:
            self._queue.add_later(key, state.again_seconds)

    def queue_all(self) -> None:
        """Queue every calibration, because nodes, profiles or another calibration have changed."""
        for key in self._index.keys(CALIBRATIONS):
            self._queue.add(key)

    # -- the next step

    async def _state(self, calibration: Resource) -> PhaseUpdate | None:
        spec = self._checked(calibration)
        try:
            if isinstance(spec, Wrong):
                return await self._stopped(calibration, spec)
            return await self._step(calibration, spec)
        except NameTakenError as error:
            return _refused(Wrong(reason="NameTaken", message=str(error)), again_seconds=_FORBIDDEN_SECONDS)
        except ApiError as error:
            if not error.lasting:
                raise
            if error.of_going_namespace:
                return None  # the calibration is deleted with its namespace
            if error.status != 403:
                return _refused(Wrong(reason="RequestRefused", message=f"the API server refuses its objects: {error}"))
            message = f"{error}: the chart grants this in the namespaces of calibration.namespaces"
            return _refused(Wrong(reason="Forbidden", message=message), again_seconds=_FORBIDDEN_SECONDS)

    async def _stopped(self, calibration: Resource, wrong: Wrong) -> PhaseUpdate:
        """Refuse the calibration and delete its Job, because the result of an invalid spec would not be used."""
        if holds_accelerator(calibration) and self._is_allowed(calibration):
            await self._objects.delete_job(calibration, status_of(calibration)["run"])
        return replace(_refused(wrong), facts={"nextRunAt": None})

    def _is_allowed(self, calibration: Resource) -> bool:
        return calibration["metadata"]["namespace"] in self._namespaces()

    def _namespaces(self) -> tuple[str, ...]:
        return self._settings.calibration_namespaces or (self._settings.namespace,)

    def _checked(self, calibration: Resource) -> CalibrationSpec | Wrong:
        if not self._is_allowed(calibration):
            namespace, allowed = calibration["metadata"]["namespace"], " or ".join(self._namespaces())
            return Wrong(
                reason="NamespaceNotAllowed",
                message=f"calibrations may not run in namespace {namespace!r}: apply it in {allowed}, or add the"
                " namespace to the chart's calibration.namespaces",
            )
        try:
            spec = EnergyCalibration.model_validate(calibration).spec
            next_run(calibration, spec, datetime.now(UTC))
        except ValidationError as error:
            return invalid_spec(error, "correct it and apply it again")
        except ValueError as error:
            return Wrong(reason="InvalidSchedule", message=f"spec.schedule {spec.schedule!r}: {error}")
        settings = self._settings
        refused = refusal_of(spec, settings.calibration_allowed, settings.calibration_image)
        return spec if refused is None else Wrong(reason=REASON, message=refused)

    async def _step(self, calibration: Resource, spec: CalibrationSpec) -> PhaseUpdate | None:
        under_way = is_open(calibration, spec)
        if holds_accelerator(calibration) and (spec.suspend or not under_way):
            await self._objects.delete_job(calibration, status_of(calibration)["run"])
        if spec.suspend:
            return self._suspended(calibration)
        if under_way and holds_accelerator(calibration):
            return await self._watched(calibration, spec)
        if under_way:
            return await self._begun(calibration, spec, status_of(calibration)["run"])
        now = datetime.now(UTC)
        due = next_run(calibration, spec, now)
        if due is not None and due <= now:
            return await self._begun(calibration, spec, status_of(calibration).get("run", 0) + 1)
        return await self._resting(calibration, spec, due)

    def _suspended(self, calibration: Resource) -> PhaseUpdate:
        status = status_of(calibration)
        if status.get("phase") in ENDED:
            return _same(calibration, {"nextRunAt": None})
        return PhaseUpdate(
            phase="Suspended",
            reason="Suspended",
            message="nothing is measured while spec.suspend is true",
            facts={"nextRunAt": None},
        )

    async def _resting(self, calibration: Resource, spec: CalibrationSpec, due: datetime | None) -> PhaseUpdate | None:
        """Return the update for a calibration between two runs, or after its only run."""
        status, again = status_of(calibration), _seconds_to(due)
        facts = {"nextRunAt": None if due is None else timestamp(due)}
        if status.get("phase") == "Done" and self._outcomes.is_open(calibration):
            state = await self._outcomes.complete(calibration, spec, await self._objects.result(calibration))
            return replace(state, facts={**state.facts, **facts, "finishedAt": status.get("finishedAt")})
        if status.get("phase") in ENDED:
            state = self._outcomes.outlived(calibration) or _same(calibration, {})
            return replace(state, facts={**state.facts, **facts}, again_seconds=again)
        if due is None:  # the spec is again the one of the last run
            message = "the last run has measured what the spec says"
            return PhaseUpdate(phase="Done", reason="AsMeasured", message=message, facts=facts)
        message = f"the next run begins at {timestamp(due)}"
        return PhaseUpdate(phase="Scheduled", reason="Scheduled", message=message, facts=facts, again_seconds=again)

    # -- begin

    async def _begun(self, calibration: Resource, spec: CalibrationSpec, number: int) -> PhaseUpdate | None:
        target, image = target_of(spec, self._index.nodes()), spec.image or self._settings.calibration_image
        if isinstance(target, Wrong):
            return _refused(target)
        if isinstance(target, Waiting):
            return PhaseUpdate(phase="Waiting", reason=target.reason, message=target.message)
        if not image:
            return _refused(_NO_IMAGE)
        if await self._objects.is_going(calibration, number):
            return replace(_GOING, phase="Waiting", again_seconds=self._settings.calibration_poll_seconds)
        place = ProductRuntime(product=target.product, runtime=spec.runtime)
        async with self._claiming:
            others = self._index.calibrations()
            waiting = run_queue.waiting_state(calibration, place, others, datetime.now(UTC))
            if waiting is not None:
                return waiting
            claimed = await self._claim(calibration, spec, number, target)
        if claimed is None:
            return None
        run = CalibrationRun(
            calibration=claimed,
            spec=spec,
            number=number,
            target=target,
            image=image,
            arguments=self._settings.calibration_arguments,
            against=self._document(target.product, spec.runtime),
        )
        return await self._started(run)

    async def _claim(
        self, calibration: Resource, spec: CalibrationSpec, number: int, target: Target
    ) -> Resource | None:
        """Write the new run into the status before its Job is created, and return the calibration; None if it is gone.

        After a restart between the two, the status then tells that the Job must be created.
        """
        status, now = status_of(calibration), timestamp(datetime.now(UTC))
        again = status.get("run") == number
        in_use = self._profiles.in_use(target.product, spec.runtime)
        fresh = {
            "startedAt": now,
            "against": in_use[1].digest if in_use else None,
            "progress": 0.0,
            **dict.fromkeys(("finishedAt", "failed", "rows", "networks", "layers", "nextRunAt")),
        }
        facts = {
            "run": number,
            "starts": status.get("starts", 0) + 1 if again else 1,
            "specHash": jobs.spec_hash(spec),
            "placementHash": jobs.placement_hash(spec),
            "refresh": refresh_of(calibration) or None,
            "job": jobs.job_name(calibration, number),
            "accelerator": target.product,
            "runtime": spec.runtime,
            **({} if again else fresh),
        }
        how = _how(spec, again=again)
        await self._put(calibration, PhaseUpdate(phase="Starting", reason=how[0], message=how[1], facts=facts))
        found = self._index.resource(_key(calibration))
        return found if found is not None and holds_accelerator(found) else None

    async def _started(self, run: CalibrationRun) -> PhaseUpdate:
        """Create those objects of the run that do not exist yet."""
        result = await self._objects.account(run)
        await self._objects.delete_job(run.calibration, run.number - 1)
        run = replace(run, against=(result.get("data") or {}).get(jobs.AGAINST))
        found = await self._objects.made(JOBS, run, jobs.job(run))
        said = condition(status_of(run.calibration), CALIBRATED) or {}
        return PhaseUpdate(
            phase="Queued" if (found.get("spec") or {}).get("suspend") else "Starting",
            reason=said.get("reason", "Starting"),
            message=said.get("message", ""),
            again_seconds=self._settings.calibration_poll_seconds,
        )

    # -- watch

    async def _watched(self, calibration: Resource, spec: CalibrationSpec) -> PhaseUpdate | None:
        status = status_of(calibration)
        job = await self._objects.found(JOBS, calibration, status["job"])
        if job is None or not jobs.is_owned_by(job, calibration):
            return await self._begun(calibration, spec, status["run"])
        again = self._settings.calibration_poll_seconds
        if job["metadata"].get("deletionTimestamp"):
            return replace(_GOING, again_seconds=again)
        result = await self._objects.result(calibration)
        ended = {each["type"] for each in (job.get("status") or {}).get("conditions") or () if each["status"] == "True"}
        if "Complete" in ended:
            return await self._outcomes.complete(calibration, spec, result)
        if "Failed" in ended:
            return self._outcomes.failed(calibration, job, result, await self._objects.pods(job))
        if status.get("placementHash") != jobs.placement_hash(spec):
            await self._objects.delete_job(calibration, status["run"])
            return replace(_GOING, again_seconds=again)
        return replace(await self._running(calibration, spec, job, result), again_seconds=again)

    async def _running(
        self, calibration: Resource, spec: CalibrationSpec, job: Resource, result: Resource
    ) -> PhaseUpdate:
        if job["spec"].get("suspend"):
            return PhaseUpdate(phase="Queued", reason="Queued", message=_queued(spec, job))
        summary = results.summary_of(result, status_of(calibration)["run"])
        trouble = await self._objects.trouble(job)
        if isinstance(summary, Wrong):
            return PhaseUpdate(phase="Starting", reason=summary.reason, message=summary.message, warning=True)
        if trouble is not None and not (trouble.reason == RETRYING and summary and summary.phase == "failed"):
            return PhaseUpdate(phase="Starting", reason=trouble.reason, message=trouble.message, warning=True)
        if summary is None:
            return _starting(calibration, job)
        if summary.phase == "failed":
            message = f"{summary.message}; the Job tries again"
            return PhaseUpdate(
                phase="Measuring", reason=RETRYING, message=message, facts=facts_of(summary), warning=True
            )
        phase: Phase = "Measuring" if summary.phase == "measuring" else "Fitting"
        return PhaseUpdate(phase=phase, reason=phase, message=summary.message, facts=facts_of(summary))

    # -- the cluster

    def _document(self, product: str, runtime: str) -> str | None:
        in_use = self._profiles.in_use(product, runtime)
        return in_use[1].document if in_use else None

    async def _put(self, calibration: Resource, state: PhaseUpdate) -> None:
        status = desired_status(calibration, state, now=datetime.now(UTC))
        written = await self._writer.status(CALIBRATIONS, calibration, status, warning=state.warning)
        self._outcome_log.calibration(calibration, state, written=written)


_NO_IMAGE: Final = Wrong(
    reason="NoImage",
    message="there is no image to measure with: build one with `docker build --target calibration`, and name it in the"
    " chart's calibration.image, or in spec.image if the chart's calibration.allowed.images allows it",
)
_AGAIN: Final = ("Resuming", "FromTheStart")
_GOING: Final = PhaseUpdate(
    phase="Starting",
    reason="JobGoing",
    message="waits until the deleted Job and its pod are gone, because two pods would write into one folder",
)


def _how(spec: CalibrationSpec, *, again: bool) -> tuple[str, str]:
    """Return the reason and message of a run that begins, or begins ``again`` because its Job is gone."""
    if not again:
        return "Starting", "the Job is being created"
    if spec.storage is not None:
        claim = spec.storage.claim_name
        return "Resuming", f"the Job was deleted: the run goes on in a new one with the rows in claim {claim!r}"
    return (
        "FromTheStart",
        "the Job was deleted, and its rows with it: the run begins again; set spec.storage to keep rows",
    )


def _starting(calibration: Resource, job: Resource) -> PhaseUpdate:
    """Return the update for a run that starts; if it resumes or restarts, it keeps that reason until it measures."""
    named, said = job["metadata"]["name"], condition(status_of(calibration), CALIBRATED) or {}
    if said.get("reason") in _AGAIN:
        return PhaseUpdate(phase="Starting", reason=said["reason"], message=said["message"])
    message = f"Job {named} is starting; if this lasts, `kubectl describe job {named}` tells why"
    return PhaseUpdate(phase="Starting", reason="Starting", message=message)


def _queued(spec: CalibrationSpec, job: Resource) -> str:
    metadata = job["metadata"]
    if spec.queue_name is None:
        return f"Job {metadata['name']} was suspended by something else: set its spec.suspend to false to go on"
    return (
        f"Kueue has not admitted Job {metadata['name']} to queue {spec.queue_name!r}: `kubectl describe workloads -n"
        f" {metadata['namespace']}` tells why; if the cluster has no Kueue, remove spec.queueName"
    )


def _standing(calibration: Resource) -> tuple[bool, bool, ProductRuntime]:
    """Return what waiting calibrations depend on: whether it holds an accelerator, whether it waits, for which one."""
    return holds_accelerator(calibration), waits_in_queue(calibration), product_runtime_of(calibration)


def _refused(wrong: Wrong, *, again_seconds: float | None = None) -> PhaseUpdate:
    return PhaseUpdate(phase="Refused", reason=wrong.reason, message=wrong.message, again_seconds=again_seconds)


def _same(calibration: Resource, facts: Mapping[str, Any]) -> PhaseUpdate:
    """Return an update that changes only ``facts``."""
    status = status_of(calibration)
    said = condition(status, CALIBRATED) or {}
    return PhaseUpdate(phase=status["phase"], reason=said["reason"], message=said["message"], facts=facts)


def _seconds_to(due: datetime | None) -> float | None:
    if due is None:
        return None
    return min(max(1.0, (due - datetime.now(UTC)).total_seconds()), _LOOK_AGAIN_SECONDS)


def _key(calibration: Resource) -> Key:
    metadata = calibration["metadata"]
    return Key(kind=CALIBRATIONS.kind, namespace=metadata["namespace"], name=metadata["name"])
