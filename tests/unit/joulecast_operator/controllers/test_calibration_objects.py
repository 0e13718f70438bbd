"""The objects of a run: created once, never taken from others, deleted with care."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from joulecast_operator.api.calibrations import CalibrationSpec
from joulecast_operator.api.kinds import CONFIG_MAPS, JOBS
from joulecast_operator.calibrations import jobs
from joulecast_operator.calibrations.jobs import Run
from joulecast_operator.calibrations.nodes import Target
from joulecast_operator.cluster.client import ApiError
from joulecast_operator.controllers.calibration_objects import NameTakenError, RunObjects
from tests.unit.joulecast_operator.controllers.test_calibrations import Cluster
from tests.unit.joulecast_operator.samples.calibrations import L40S, calibration

RESULT = CONFIG_MAPS.path("lab", "l40s-calibration")
JOB = JOBS.path("lab", "l40s-1")
OWNED = {"ownerReferences": [{"uid": "uid-of-l40s"}]}


class Deleting(Cluster):
    """A cluster that remembers what it was asked to delete, and may refuse it."""

    def __init__(self, status: int = 200) -> None:
        super().__init__()
        self.deleted: list[tuple[str, Any]] = []
        self.status = status

    async def request(self, method: str, path: str, **options: Any) -> dict[str, Any]:
        if method == "DELETE":
            self.deleted.append((path, options["body"]))
            if self.status >= 400:
                raise ApiError(self.status, "Refused", path)
        return await super().request(method, path, **options)


def run(number: int = 1, *, against: str | None = None) -> Run:
    return Run(
        calibration=calibration(),
        spec=CalibrationSpec(accelerator=L40S),
        number=number,
        target=Target(product=L40S, labels={}),
        image="registry.example/torch:1",
        against=against,
    )


def objects(cluster: Cluster) -> RunObjects:
    return RunObjects(cluster)  # type: ignore[arg-type]


def job(**metadata: Any) -> dict[str, Any]:
    return {"metadata": {"name": "l40s-1", "namespace": "lab", "uid": "of-job"} | OWNED | metadata}


def test_a_run_has_a_result_and_an_account_which_are_made_once() -> None:
    cluster = Cluster()
    made = asyncio.run(objects(cluster).account(run()))
    assert made["data"] == {"run": "1"}
    before = set(cluster.objects)
    assert len(before) == len(jobs.account(run()))
    assert asyncio.run(objects(cluster).account(run())) == made
    assert set(cluster.objects) == before


def test_the_next_run_begins_with_an_empty_result() -> None:
    cluster = Cluster()
    asyncio.run(objects(cluster).account(run()))
    cluster.objects[RESULT]["data"] |= {"summary.json": "{}", "profile.json": "old"}
    found = asyncio.run(objects(cluster).account(run(2, against="{}")))
    assert found["data"] == {"run": "2", "against.json": "{}"}


def test_what_the_pod_wrote_stays_while_its_run_goes_on() -> None:
    cluster = Cluster()
    asyncio.run(objects(cluster).account(run()))
    cluster.objects[RESULT]["data"]["summary.json"] = "{}"
    assert asyncio.run(objects(cluster).account(run()))["data"]["summary.json"] == "{}"


def test_an_object_of_somebody_else_is_not_taken_over() -> None:
    cluster = Cluster()
    cluster._put(RESULT, {"metadata": {"name": "l40s-calibration", "namespace": "lab"}, "data": {"own": "1"}})
    with pytest.raises(NameTakenError, match="ConfigMap 'l40s-calibration' of namespace 'lab' is not this calibration"):
        asyncio.run(objects(cluster).account(run()))
    assert cluster.objects[RESULT]["data"] == {"own": "1"}


def test_a_right_that_is_missing_is_not_taken_for_a_name() -> None:
    cluster = Cluster()
    cluster.forbidden = "roles"
    with pytest.raises(ApiError, match="403"):
        asyncio.run(objects(cluster).account(run()))


def test_a_result_of_somebody_else_is_not_read() -> None:
    cluster = Cluster()
    assert asyncio.run(objects(cluster).result(calibration())) == {}
    cluster._put(RESULT, {"metadata": {"name": "l40s-calibration"}, "data": {"run": "1"}})
    assert asyncio.run(objects(cluster).result(calibration())) == {}
    cluster._put(RESULT, {"metadata": {"name": "l40s-calibration"} | OWNED, "data": {"run": "1"}})
    assert asyncio.run(objects(cluster).result(calibration()))["data"] == {"run": "1"}


def test_pods_that_are_being_deleted_are_not_the_jobs_any_more() -> None:
    cluster = Cluster()
    going = {"metadata": {"name": "a", "deletionTimestamp": "2026-01-01T00:00:00Z"}}
    cluster.listed["pods"] = [going, {"metadata": {"name": "b"}}]
    assert [pod["metadata"]["name"] for pod in asyncio.run(objects(cluster).pods(job()))] == ["b"]


def test_a_job_is_going_while_its_pods_are_taken_away() -> None:
    cluster = Cluster()
    assert not asyncio.run(objects(cluster).is_going(calibration(), 1))
    cluster._put(JOB, job())
    assert not asyncio.run(objects(cluster).is_going(calibration(), 1))
    cluster._put(JOB, job(deletionTimestamp="2026-01-01T00:00:00Z"))
    assert asyncio.run(objects(cluster).is_going(calibration(), 1))


def test_a_job_is_deleted_after_its_pod_and_only_the_one_that_was_seen() -> None:
    cluster = Deleting()
    cluster._put(JOB, job())
    asyncio.run(objects(cluster).delete_job(calibration(), 1))
    body = {"propagationPolicy": "Foreground", "preconditions": {"uid": "of-job"}}
    assert cluster.deleted == [(JOB, body)]


def test_no_job_of_somebody_else_is_deleted() -> None:
    cluster = Deleting()
    cluster._put(JOB, job(ownerReferences=[{"uid": "another"}]))
    for number in (0, 1, 2):
        asyncio.run(objects(cluster).delete_job(calibration(), number))
    assert cluster.deleted == []


@pytest.mark.parametrize("status", [404, 409])
def test_a_job_that_went_meanwhile_is_no_error(status: int) -> None:
    cluster = Deleting(status)
    cluster._put(JOB, job())
    asyncio.run(objects(cluster).delete_job(calibration(), 1))
    assert len(cluster.deleted) == 1


def test_a_deletion_that_is_refused_is_an_error() -> None:
    cluster = Deleting(403)
    cluster._put(JOB, job())
    with pytest.raises(ApiError, match="403"):
        asyncio.run(objects(cluster).delete_job(calibration(), 1))
