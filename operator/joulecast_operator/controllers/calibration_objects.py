"""Create, read and delete the objects of a calibration's run in the cluster."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from joulecast_operator.api.kinds import CONFIG_MAPS, EVENTS, JOBS, PODS, Kind
from joulecast_operator.api.objects import Resource
from joulecast_operator.calibrations import diagnosis, jobs
from joulecast_operator.calibrations.diagnosis import Diagnosis
from joulecast_operator.calibrations.jobs import CalibrationRun
from joulecast_operator.cluster.client import ApiError, Cluster


class NameTakenError(Exception):
    """An object of another owner has the name that an object of the run needs."""


class RunObjects:
    """Creates, reads and deletes the objects of runs through ``cluster``."""

    def __init__(self, cluster: Cluster) -> None:
        self._cluster = cluster

    async def account(self, run: CalibrationRun) -> Resource:
        """Create or update the run's ConfigMap and the account that may write it; return the ConfigMap."""
        result: Resource = {}
        for kind, body in jobs.account(run):
            found = await self.made(kind, run, body)
            if kind == CONFIG_MAPS:
                result = found
        data = result.get("data") or {}
        if data.get(jobs.RUN) == str(run.number):
            return result
        fresh = dict.fromkeys(data) | jobs.fresh_result(run)
        path = CONFIG_MAPS.path(run.calibration["metadata"]["namespace"], run.result)
        return await self._cluster.merge_patch(path, {"data": fresh})

    async def made(self, kind: Kind, run: CalibrationRun, body: Mapping[str, Any]) -> Resource:
        """Create the object that ``body`` describes unless it exists, and return it.

        Raises NameTakenError if an object of that name belongs to something else.
        """
        namespace, name = body["metadata"]["namespace"], body["metadata"]["name"]
        try:
            return await self._cluster.create(kind.path(namespace), body)
        except ApiError as error:
            if error.status != 409:
                raise
        found = await self._cluster.get(kind.path(namespace, name))
        if not jobs.is_owned_by(found, run.calibration):
            raise NameTakenError(
                f"{kind.kind} {name!r} of namespace {namespace!r} does not belong to this calibration: delete it, or"
                " give the calibration another name"
            )
        return found

    async def trouble(self, job: Resource) -> Diagnosis | None:
        """Return why the Job has no running container; None if it has one, or if the reason is not known."""
        pods = await self.pods(job)
        if not any((pod.get("status") or {}).get("phase") in ("Pending", "Running") for pod in pods):
            refused = diagnosis.of_creation(await self._warnings(job), pods)
            return refused or diagnosis.of_pods(pods)
        pod = diagnosis.creating(pods)
        found = diagnosis.of_pods(pods)
        if found is None and pod is not None:
            found = diagnosis.of_events(pod, await self._warnings(pod))
        return found

    async def pods(self, job: Resource) -> list[Resource]:
        """Return the Job's pods except those that are being deleted."""
        metadata = job["metadata"]
        selector = {"labelSelector": f"{jobs.JOB_LABEL}={metadata['name']}"}
        found = await self._cluster.request("GET", PODS.path(metadata["namespace"]), parameters=selector)
        return [pod for pod in found.get("items") or () if not pod["metadata"].get("deletionTimestamp")]

    async def _warnings(self, about: Resource) -> list[Resource]:
        """Return warning events on an object."""
        metadata = about["metadata"]
        selector = {"fieldSelector": f"involvedObject.uid={metadata['uid']},type=Warning"}
        found = await self._cluster.request("GET", EVENTS.path(metadata["namespace"]), parameters=selector)
        events: list[Resource] = found.get("items") or []
        return events

    async def result(self, calibration: Resource) -> Resource:
        """Return the ConfigMap with the result; {} if there is none of this calibration."""
        found = await self.found(CONFIG_MAPS, calibration, jobs.result_name(calibration))
        return found if found is not None and jobs.is_owned_by(found, calibration) else {}

    async def found(self, kind: Kind, calibration: Resource, name: str) -> Resource | None:
        """Return an object of the calibration's namespace; None if there is none of that name."""
        try:
            return await self._cluster.get(kind.path(calibration["metadata"]["namespace"], name))
        except ApiError as error:
            if error.status != 404:
                raise
            return None

    async def is_going(self, calibration: Resource, number: int) -> bool:
        """Tell whether a run's Job was deleted but it or its pod still exists."""
        found = await self.found(JOBS, calibration, jobs.job_name(calibration, number))
        return found is not None and bool(found["metadata"].get("deletionTimestamp"))

    async def delete_job(self, calibration: Resource, number: int) -> None:
        """Delete a run's pod and then its Job, so that no other pod begins in the folder before this one is gone."""
        name = jobs.job_name(calibration, number)
        found = await self.found(JOBS, calibration, name) if number else None
        if found is None or not jobs.is_owned_by(found, calibration):
            return
        path = JOBS.path(calibration["metadata"]["namespace"], name)
        body = {"propagationPolicy": "Foreground", "preconditions": {"uid": found["metadata"]["uid"]}}
        try:
            await self._cluster.request("DELETE", path, body=body)
        except ApiError as error:
            if error.status not in (404, 409):
                raise
