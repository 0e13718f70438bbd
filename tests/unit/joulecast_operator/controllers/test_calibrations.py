"""Test calibrations in a cluster of plain dicts: when a run begins, which profile is used, and why none is."""

from __future__ import annotations

import asyncio
import hashlib
import json
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from joulecast.accelerators.catalogue import installed
from joulecast.errors import NotCalibratedError
from joulecast_operator.api.conditions import condition, timestamp
from joulecast_operator.api.kinds import CALIBRATIONS, JOBS, NODES, PROFILES, Kind
from joulecast_operator.api.objects import Key, key_of
from joulecast_operator.cluster.client import ApiError
from joulecast_operator.cluster.workqueue import WorkQueue
from joulecast_operator.cluster.writer import Writer
from joulecast_operator.controllers.calibrations import Calibrations
from joulecast_operator.index.index import Index
from joulecast_operator.profiles.usable import Override
from joulecast_operator.settings import Settings
from joulecast_operator.workers import profiler
from tests.unit.joulecast_operator.samples.calibrations import L40S, PROFILE_TEXT, calibration, config_map, node

NAME = "calibrated-nvidia-l40s-torch-eager"
OURS = {"app.kubernetes.io/managed-by": "joulecast"}


class Cluster:
    """Holds objects by path, with the few verbs that the controller uses."""

    def __init__(self) -> None:
        self.objects: dict[str, dict[str, Any]] = {}
        self.listed: dict[str, list[dict[str, Any]]] = {}
        self.events: list[dict[str, Any]] = []
        self.forbidden = ""
        self.invalid = ""
        self._version = 100

    def _put(self, path: str, body: dict[str, Any]) -> dict[str, Any]:
        self._version += 1
        metadata = {"uid": path} | body.get("metadata", {}) | {"resourceVersion": str(self._version)}
        self.objects[path] = json.loads(json.dumps(body | {"metadata": metadata}))
        return self.objects[path]

    async def create(self, path: str, body: Mapping[str, Any]) -> dict[str, Any]:
        if self.forbidden and self.forbidden in path:
            raise ApiError(403, "Forbidden", f"may not create {path}")
        if self.invalid and self.invalid in path:
            raise ApiError(422, "Invalid", f"a policy denies {path}")
        if path.endswith("/events"):
            self.events.append(dict(body))
            return {}
        name = f"{path}/{body['metadata']['name']}"
        if name in self.objects:
            raise ApiError(409, "AlreadyExists", name)
        return self._put(name, dict(body))

    async def get(self, path: str) -> dict[str, Any]:
        if path not in self.objects:
            raise ApiError(404, "NotFound", path)
        return self.objects[path]

    async def merge_patch(self, path: str, body: Mapping[str, Any]) -> dict[str, Any]:
        found = await self.get(path.removesuffix("/status"))
        merged = {name: _merged(found.get(name), part) for name, part in body.items() if name != "metadata"}
        return self._put(path.removesuffix("/status"), found | merged)

    async def apply(self, path: str, body: Mapping[str, Any]) -> dict[str, Any]:
        return self._put(path, dict(body))

    async def request(self, method: str, path: str, **_: Any) -> dict[str, Any]:
        if method == "DELETE":
            del self.objects[path]
        return {"items": self.listed.get(path.rpartition("/")[2], [])}


def _merged(before: Any, patch: Any) -> Any:
    if not isinstance(patch, dict) or not isinstance(before, dict):
        return patch
    whole = before | {name: _merged(before.get(name), part) for name, part in patch.items()}
    return {name: part for name, part in whole.items() if part is not None}


class Profiles:
    """Knows which profile is in use."""

    def __init__(self) -> None:
        self.found: tuple[Key, Override] | None = None

    def use(self, document: str = "{}", digest: str = "sha256:old", name: str = NAME) -> None:
        key = Key(kind=PROFILES.kind, namespace="", name=name)
        self.found = key, Override(product=L40S, runtime="torch-eager", digest=digest, document=document)

    def in_use(self, product: str, runtime: str) -> tuple[Key, Override] | None:
        return self.found

    async def reconcile(self, key: Key) -> None:
        self.use(digest="sha256:" + hashlib.sha256(PROFILE_TEXT.encode()).hexdigest())


class Forecaster:
    """Accepts profiles unless ``wrong`` is set; if ``reads`` is set, it reads them like the worker."""

    wrong: NotCalibratedError | None = None
    reads = False

    async def validate(self, override: Override) -> dict[str, Any]:
        if self.wrong is not None:
            raise self.wrong
        header = {"product": override.product, "runtime": override.runtime, "document": override.document}
        return profiler.work({"operation": "validate"} | header, b"")[0]["profile"] if self.reads else {}


IMAGE = "registry.example/torch:1"
ALLOWED = {"claims": ["rows"], "tolerations": ["lab"]}


class World:
    """A cluster that has one node with one L40S."""

    def __init__(self, *, cluster: Cluster | None = None, **settings: Any) -> None:
        self.index, self.cluster, self.profiles, self.forecasts = (
            Index(),
            cluster or Cluster(),
            Profiles(),
            Forecaster(),
        )
        chosen = {"namespace": "lab", "calibration_image": IMAGE, "calibration_allowed": ALLOWED} | settings
        self.queue: WorkQueue[Key] = WorkQueue(first_pause_seconds=1)
        self.calibrations = Calibrations(
            index=self.index,
            cluster=self.cluster,  # type: ignore[arg-type]
            writer=Writer(self.cluster, self.index),  # type: ignore[arg-type]
            forecasts=self.forecasts,  # type: ignore[arg-type]
            queue=self.queue,
            profiles=self.profiles,  # type: ignore[arg-type]
            settings=Settings(**chosen),
        )
        self.index.put(NODES, node())

    def apply(self, body: dict[str, Any], kind: Kind = CALIBRATIONS) -> Key:
        key = key_of(kind, body)
        path = kind.path(key.namespace or None, key.name)
        self.index.put(kind, self.cluster._put(path, body))
        return key

    def step(self, key: Key) -> dict[str, Any]:
        asyncio.run(self.calibrations.reconcile(key))
        return self.status(key)

    def status(self, key: Key) -> dict[str, Any]:
        found = self.index.resource(key)
        assert found is not None
        status: dict[str, Any] = found["status"]
        return status

    def job(self, name: str) -> dict[str, Any] | None:
        return self.cluster.objects.get(JOBS.path("lab", name))

    def end(self, name: str, result: dict[str, Any], kind: str = "Complete") -> None:
        """End the Job of that name, after its pod wrote this."""
        job = self.job(name)
        assert job is not None
        job["status"] = {"conditions": [{"type": kind, "status": "True", "message": "backoff limit"}]}
        path = f"/api/v1/namespaces/lab/configmaps/{name.rpartition('-')[0]}-calibration"
        self.cluster.objects[path]["data"] |= result["data"]


def reason(status: dict[str, Any]) -> str:
    found = condition(status, "Calibrated")
    assert found is not None
    return str(found["reason"])


def message(status: dict[str, Any]) -> str:
    found = condition(status, "Calibrated")
    assert found is not None
    return str(found["message"])


def test_a_profile_that_is_better_is_put_in_use() -> None:
    world = World()
    key = world.apply(calibration())
    assert world.step(key)["phase"] == "Starting"
    assert world.job("l40s-1") is not None
    world.end("l40s-1", config_map(against=None))
    status = world.step(key)
    assert (status["phase"], reason(status), status["profile"]["taken"]) == ("Done", "Better", True)
    assert status["quality"]["heldOut"] == {
        "medianError": 0.041, "meanError": 0.06, "maxError": 0.3, "intervalCoverage": 0.9, "rows": 120,
    }  # fmt: skip
    assert status["summary"]["better"] == "yes, in use"
    made = world.cluster.objects[PROFILES.path(None, NAME)]
    assert made["spec"] == {"product": L40S, "runtime": "torch-eager", "coefficients": PROFILE_TEXT}
    assert made["metadata"]["labels"] == OURS
    before = json.dumps(status)
    assert json.dumps(world.step(key)) == before, "nothing more to do"


def test_one_that_is_not_better_leaves_the_old_one_and_says_by_which_figures() -> None:
    world = World()
    world.profiles.use()
    key = world.apply(calibration())
    assert world.step(key)["against"] == "sha256:old"
    data = world.cluster.objects["/api/v1/namespaces/lab/configmaps/l40s-calibration"]["data"]
    assert data["against.json"] == "{}", "the pod compares with the profile in use"
    world.end("l40s-1", config_map(better=False, against={"median_ape": 0.04}, says="no better"))
    status = world.step(key)
    assert (reason(status), status["profile"]["taken"]) == ("NotBetter", False)
    assert status["summary"]["better"] == "no, 4.1 % against 4 %"
    assert message(status) == f"AcceleratorEnergyProfile {NAME} stays in use: no better"
    assert PROFILES.path(None, NAME) not in world.cluster.objects


def test_a_profile_of_somebody_else_is_left_alone_until_it_goes() -> None:
    world = World()
    theirs = {"metadata": {"name": "theirs"}, "spec": {"product": L40S, "coefficients": "{}"}}
    other = world.apply(theirs, PROFILES)
    world.profiles.use(name="theirs")
    key = world.apply(calibration())
    world.step(key)
    world.end("l40s-1", config_map())
    status = world.step(key)
    assert reason(status) == "ProfileOfOthers"
    assert "theirs" in message(status)
    ended = status["finishedAt"]
    world.index.drop(other)
    world.profiles.found = None
    status = world.step(key)
    assert (reason(status), status["profile"]["taken"], status["finishedAt"]) == ("Better", True, ended)


def test_a_profile_in_use_that_changed_meanwhile_was_not_compared_with() -> None:
    world = World()
    world.profiles.use()
    key = world.apply(calibration())
    world.step(key)
    world.profiles.use(digest="sha256:newer")
    world.end("l40s-1", config_map())
    assert reason(world.step(key)) == "ProfileChanged"


def test_a_simulated_profile_is_shown_and_not_used() -> None:
    world = World()
    world.forecasts.wrong = NotCalibratedError("fitted on a simulated device", reason="SimulatedProfile")
    key = world.apply(calibration())
    world.step(key)
    world.end("l40s-1", config_map(simulated=True))
    status = world.step(key)
    assert (reason(status), status["profile"]["taken"]) == ("SimulatedProfile", False)
    assert PROFILES.path(None, NAME) in world.cluster.objects, "its condition says why it prices nothing"

    world = World()
    world.forecasts.wrong = NotCalibratedError("fitted on a simulated device", reason="SimulatedProfile")
    world.apply(
        {"metadata": {"name": NAME, "labels": OURS}, "spec": {"product": L40S, "coefficients": "old"}}, PROFILES
    )
    key = world.apply(calibration())
    world.step(key)
    world.end("l40s-1", config_map(simulated=True))
    world.step(key)
    assert world.cluster.objects[PROFILES.path(None, NAME)]["spec"]["coefficients"] == "old"


def test_a_profile_that_is_deleted_or_replaced_is_not_said_to_be_in_use_and_not_made_again() -> None:
    world = World()
    key = world.apply(calibration())
    world.step(key)
    world.end("l40s-1", config_map(against=None))
    status = world.step(key)
    digest, finished = status["profile"]["digest"], status["finishedAt"]
    world.profiles.use(digest=digest)
    assert reason(world.step(key)) == "Better"

    del world.cluster.objects[PROFILES.path(None, NAME)]
    world.profiles.found = None
    status = world.step(key)
    assert (status["phase"], reason(status), status["summary"]["better"]) == ("Done", "NotInUse", "yes, not in use")
    assert "it was deleted" in message(status)
    world.step(key)
    assert PROFILES.path(None, NAME) not in world.cluster.objects
    world.profiles.use(name="theirs")
    assert "deleted" in message(world.step(key)), "what was said once stays, until it is in use again"
    world.profiles.use(digest=digest)
    status = world.step(key)
    assert (reason(status), status["profile"]["taken"], status["finishedAt"]) == ("Better", True, finished)
    world.profiles.use(name="theirs")
    assert "theirs replaced it" in message(world.step(key))


def test_the_very_profile_that_is_in_use_stays_in_use() -> None:
    world = World()
    key = world.apply(calibration())
    world.step(key)
    result = config_map(better=False)
    world.profiles.use(digest=f"sha256:{json.loads(result['data']['summary.json'])['profile_digest']}")
    world.end("l40s-1", result)
    status = world.step(key)
    assert (reason(status), status["profile"]["taken"]) == ("Same", True)
    assert PROFILES.path(None, NAME) not in world.cluster.objects, "nothing is written"


def test_a_profile_of_another_accelerator_fails_the_run() -> None:
    world = World()
    world.forecasts.wrong = NotCalibratedError("the profile is of NVIDIA-H200", reason="ProductMismatch")
    key = world.apply(calibration())
    world.step(key)
    world.end("l40s-1", config_map())
    status = world.step(key)
    assert (status["phase"], reason(status)) == ("Failed", "ProductMismatch")


@pytest.mark.parametrize(
    ("change", "said"),
    [({"byte_joules": -1}, "law.byte_joules is -1: give"), ({"gap_watts": float("nan")}, "law.gap_watts is NaN: give")],
)
def test_a_profile_with_a_number_out_of_bounds_fails_the_run(change: dict[str, Any], said: str) -> None:
    plain = json.loads(installed()[L40S].to_json())
    text = json.dumps(plain | {"law": plain["law"] | change})
    world = World()
    world.forecasts.reads = True
    key = world.apply(calibration())
    world.step(key)
    world.end("l40s-1", config_map(profile=text, profile_digest=hashlib.sha256(text.encode()).hexdigest()))
    status = world.step(key)
    assert (status["phase"], reason(status)) == ("Failed", "InvalidProfile")
    assert said in message(status)
    assert PROFILES.path(None, NAME) not in world.cluster.objects, "nothing is written"


def test_a_job_that_fails_says_what_its_pod_said() -> None:
    world = World()
    key = world.apply(calibration())
    world.step(key)
    world.end("l40s-1", config_map(phase="failed", message="the GPU is in use by process 7"), "Failed")
    status = world.step(key)
    assert status["phase"] == "Failed"
    assert "the GPU is in use by process 7" in message(status)
    assert world.step(key)["run"] == 1, "it is not tried for ever"
    world.apply(calibration(status=world.status(key), notes={"joulecast.dev/refresh": "now"}))
    assert world.step(key)["run"] == 2
    assert world.job("l40s-1") is None
    assert world.job("l40s-2") is not None
    data = world.cluster.objects["/api/v1/namespaces/lab/configmaps/l40s-calibration"]["data"]
    assert data == {"run": "2"}, "nothing of the run before is read as this one's"


def test_what_waits_begins_when_the_other_has_ended_or_is_gone() -> None:
    world = World()
    first, second = world.apply(calibration("first")), world.apply(calibration("second"))
    world.step(first)
    assert message(world.step(second)) == f"waits for lab/first, which measures {L40S} under torch-eager"
    assert "job" not in world.status(second)
    assert world.status(second)["accelerator"] == L40S
    world.index.drop(first)
    assert world.step(second)["phase"] == "Starting"


def test_who_waited_longest_is_next_after_a_restart_as_well() -> None:
    world = World()
    holder = world.apply(calibration("holder"))
    world.step(holder)
    late, early = (world.apply(calibration(name)) for name in ("a-late", "z-early"))
    world.step(early)
    world.step(late)
    assert "1 more is before it, the first is lab/z-early" in message(world.status(late))

    world = restarted(world)
    world.end("holder-1", config_map(against=None))
    world.step(holder)
    newest = world.apply(calibration("0-newest"))
    assert world.step(newest)["phase"] == "Waiting", "whoever comes while nobody measures stands at the end"
    assert message(world.step(late)).startswith("waits for lab/z-early, which has waited longer")
    assert world.step(early)["phase"] == "Starting"
    assert "waitingSince" not in world.status(early)
    world.index.drop(early)
    assert world.step(newest)["phase"] == "Waiting"
    assert world.step(late)["phase"] == "Starting"


def restarted(world: World) -> World:
    """Return the same cluster with a restarted controller, which knows only what the cluster's objects tell."""
    again = World(cluster=world.cluster)
    for path, found in world.cluster.objects.items():
        if "/energycalibrations/" in path:
            again.index.put(CALIBRATIONS, found)
    return again


@pytest.mark.parametrize(
    "change",
    [
        {"accelerator": L40S, "suspend": True},
        {"accelerator": "NVIDIA-H200"},
        {"accelerator": "NVIDIA-L40S-SHARED"},
        {"accelerator": L40S, "runtime": "torch-cudagraph"},
    ],
)
def test_who_leaves_the_line_keeps_nobody_waiting(change: dict[str, Any]) -> None:
    world = World()
    keys = [world.apply(calibration(name)) for name in ("first", "second", "third")]
    for key in keys:
        world.step(key)
    first, second, third = keys
    world.index.drop(first)
    assert message(world.step(third)).startswith("waits for lab/second, which has waited longer")
    world.apply(calibration("second", status=world.status(second), **change))
    assert "waitingSince" not in world.step(second)
    assert asyncio.run(world.queue._next()) in keys, "the others are told"
    assert world.step(third)["phase"] == "Starting"


def test_another_runtime_is_another_profile_and_another_gpu() -> None:
    world = World()
    eager, graph = (
        world.apply(calibration()),
        world.apply(calibration("graph", accelerator=L40S, runtime="torch-cudagraph")),
    )
    assert [world.step(key)["phase"] for key in (eager, graph)] == ["Starting", "Starting"]
    for name in ("l40s-1", "graph-1"):
        job = world.job(name)
        assert job is not None
        (container,) = job["spec"]["template"]["spec"]["containers"]
        assert container["resources"]["limits"]["nvidia.com/gpu"] == "1", "the device plugin gives it to nobody else"


def test_who_is_refused_after_its_turn_had_come_wakes_the_others() -> None:
    world = World()
    world.cluster.forbidden = "/jobs"
    first, second = world.apply(calibration("first")), world.apply(calibration("second"))
    assert world.step(first)["phase"] == "Refused"
    assert len(world.queue) == 2
    world.cluster.forbidden = ""
    assert world.step(second)["phase"] == "Starting"


def test_two_that_begin_at_once_are_still_one() -> None:
    world = World()
    keys = [world.apply(calibration(name)) for name in ("a", "b", "c", "d")]

    async def play() -> None:
        await asyncio.gather(*(world.calibrations.reconcile(key) for key in keys))

    asyncio.run(play())
    assert sorted(world.status(key)["phase"] for key in keys) == ["Starting", "Waiting", "Waiting", "Waiting"]
    assert sum(path.startswith(JOBS.path("lab")) for path in world.cluster.objects) == 1


def test_a_job_that_went_is_made_again_in_the_same_run() -> None:
    for spec, said in (({"storage": {"claimName": "rows"}}, "Resuming"), ({}, "FromTheStart")):
        world = World()
        key = world.apply(calibration(accelerator=L40S, **spec))
        world.step(key)
        del world.cluster.objects[JOBS.path("lab", "l40s-1")]
        status = world.step(key)
        assert (status["run"], status["starts"], reason(status)) == (1, 2, said)
        assert world.job("l40s-1") is not None
        why = message(status)
        assert message(world.step(key)) == why, "for as long as it starts"


def test_a_schedule_is_waited_for_and_comes_again() -> None:
    world = World()
    now = datetime.now(UTC)
    body = calibration(accelerator=L40S, schedule="0 3 * * *")
    body["metadata"]["creationTimestamp"] = timestamp(now)
    key = world.apply(body)
    status = world.step(key)
    assert status["phase"] == "Scheduled"
    assert datetime.fromisoformat(status["nextRunAt"]) > now
    assert world.job("l40s-1") is None

    body["metadata"]["creationTimestamp"] = timestamp(now - timedelta(days=3))
    key = world.apply(body)
    assert world.step(key)["run"] == 1, "what was missed is made up for, once"
    world.end("l40s-1", config_map(against=None))
    status = world.step(key)
    assert status["phase"] == "Done"
    status = world.step(key)
    assert datetime.fromisoformat(status["nextRunAt"]) > now
    assert status["run"] == 1


def test_a_schedule_that_is_given_later_has_missed_nothing() -> None:
    world = World()
    key = world.apply(calibration())
    world.step(key)
    world.end("l40s-1", config_map(against=None))
    ended = world.step(key) | {"startedAt": "2026-01-01T00:00:00Z"}
    body = {"accelerator": L40S, "schedule": "0 3 * * *"}
    world.apply(calibration(status=ended, **body))
    status = world.step(key)
    assert (status["phase"], status["run"]) == ("Done", 1)
    assert datetime.fromisoformat(status["nextRunAt"]) > datetime.now(UTC)
    world.apply(calibration(status=world.status(key), **body | {"schedule": "0 4 * * *"}))
    assert world.step(key)["run"] == 1
    assert world.step(key)["run"] == 1, "nor by the next look"
    world.apply(
        calibration(
            status=world.status(key) | {"nextRunAt": "2026-01-02T04:00:00Z"}, **body | {"schedule": "0 4 * * *"}
        )
    )
    assert world.step(key)["run"] == 2, "what passed unseen is made up for"


def test_a_schedule_that_is_none_is_refused_however_often_it_is_looked_at() -> None:
    world = World()
    key = world.apply(calibration(accelerator=L40S, schedule="0 3 29 2 *", status={"schedule": "0 3 29 2 *"}))
    assert "nextRunAt" in world.step(key)
    world.apply(calibration(accelerator=L40S, schedule="0 0 31 2 *", status=world.status(key)))
    for _ in range(2):
        assert reason(world.step(key)) == "InvalidSchedule"
        assert "nextRunAt" not in world.status(key)


def test_suspended_takes_the_job_away_and_goes_on_later() -> None:
    world = World()
    key = world.apply(calibration())
    world.step(key)
    world.apply(calibration(accelerator=L40S, suspend=True, status=world.status(key)))
    assert world.step(key)["phase"] == "Suspended"
    assert world.job("l40s-1") is None
    world.apply(calibration(accelerator=L40S, status=world.status(key)))
    assert (world.step(key)["run"], world.status(key)["phase"]) == (1, "Starting")


@pytest.mark.parametrize(
    ("settings", "body", "expected"),
    [
        ({"calibration_namespaces": ("other",)}, calibration(), "NamespaceNotAllowed"),
        ({"calibration_image": ""}, calibration(), "NoImage"),
        ({}, calibration(accelerator=L40S, image="evil.example/x:1"), "NotAllowed"),
        ({}, calibration(accelerator=L40S, schedule="99 * * * *"), "InvalidSchedule"),
        ({}, calibration(budget="25m"), "InvalidSpec"),
        ({}, calibration(accelerator="NVIDIA-H200"), "NoNode"),
        ({}, calibration(accelerator="NVIDIA-L40S-SHARED"), "SharedAccelerator"),
        ({}, calibration(accelerator=L40S, runtime="onnxruntime-cuda"), "InvalidSpec"),
    ],
)
def test_what_cannot_be_measured_says_why(settings: dict[str, Any], body: dict[str, Any], expected: str) -> None:
    world = World(**settings)
    status = world.step(world.apply(body))
    assert reason(status) == expected
    assert [path for path in world.cluster.objects if "energycalibrations" not in path] == []


def test_a_job_goes_that_names_what_is_not_allowed_any_more() -> None:
    world = World()
    key = world.apply(calibration())
    world.step(key)
    world.apply(calibration(accelerator=L40S, priorityClassName="high", status=world.status(key)))
    status = world.step(key)
    assert (status["phase"], reason(status)) == ("Refused", "NotAllowed")
    assert "calibration.allowed.priorityClasses" in message(status)
    assert world.job("l40s-1") is None


def test_rights_that_lack_and_names_that_are_taken_are_said() -> None:
    world = World()
    world.cluster.forbidden = "/jobs"
    status = world.step(world.apply(calibration()))
    assert (status["phase"], reason(status)) == ("Refused", "Forbidden")
    assert "calibration.namespaces" in message(status)
    world = World()
    world.cluster._put(JOBS.path("lab", "l40s-1"), {"metadata": {"name": "l40s-1"}})
    status = world.step(world.apply(calibration()))
    assert (status["phase"], reason(status)) == ("Refused", "NameTaken")
    assert "Job 'l40s-1'" in message(status)


def test_an_object_that_is_refused_for_good_is_said_and_not_asked_for_in_a_loop() -> None:
    world = World()
    world.cluster.invalid = "/jobs"
    status = world.step(world.apply(calibration()))
    assert (status["phase"], reason(status)) == ("Refused", "RequestRefused")
    assert "a policy denies" in message(status)


def test_why_there_is_no_pod_is_said_and_an_event_warns_of_it() -> None:
    world = World()
    key = world.apply(calibration())
    world.step(key)
    refused = {"reason": "FailedCreate", "message": "exceeded quota: gpus", "lastTimestamp": "2026-01-01T00:00:00Z"}
    world.cluster.listed["events"] = [refused]
    status = world.step(key)
    assert (status["phase"], reason(status)) == ("Starting", "FailedCreate")
    assert "exceeded quota: gpus" in message(status)
    assert [event["type"] for event in world.cluster.events if event["reason"] == "FailedCreate"] == ["Warning"]
    pod = {"metadata": {"name": "p", "uid": "p"}, "status": {"phase": "Running"}}
    world.cluster.listed = {"pods": [pod]}
    assert reason(world.step(key)) == "Starting"


def test_a_job_that_is_suspended_says_who_starts_it() -> None:
    for spec, said in (({"queueName": "gpus"}, "queue 'gpus'"), ({}, "suspended by something else")):
        world = World()
        key = world.apply(calibration(accelerator=L40S, **spec))
        world.step(key)
        job = world.job("l40s-1")
        assert job is not None
        job["spec"]["suspend"] = True
        status = world.step(key)
        assert (status["phase"], reason(status)) == ("Queued", "Queued")
        assert said in message(status)


def test_how_the_last_pod_ended_is_said_where_the_run_could_not() -> None:
    world = World()
    key = world.apply(calibration())
    world.step(key)
    ended = {
        "exitCode": 1,
        "reason": "Error",
        "message": "Traceback\nModuleNotFoundError: No module named 'joulecast'\n",
    }
    pod = {
        "metadata": {"name": "p"},
        "status": {"phase": "Failed", "containerStatuses": [{"state": {"terminated": ended}}]},
    }
    world.cluster.listed["pods"] = [pod]
    status = world.step(key)
    assert reason(status) == "Retrying"
    assert "No module named 'joulecast'; the Job tries again" in message(status)
    world.end("l40s-1", {"data": {}}, "Failed")
    status = world.step(key)
    assert reason(status) == "RunFailed"
    assert "No module named 'joulecast': backoff limit" in message(status)


def test_another_placement_is_another_job_of_the_same_run_and_nothing_once_it_is_done() -> None:
    world = World()
    key = world.apply(calibration())
    world.step(key)
    lab = {"accelerator": L40S, "tolerations": [{"key": "lab", "operator": "Exists"}], "storage": {"claimName": "rows"}}
    world.apply(calibration(status=world.status(key), **lab))
    assert reason(world.step(key)) == "JobGoing"
    assert world.job("l40s-1") is None
    status = world.step(key)
    assert (status["run"], status["starts"], reason(status)) == (1, 2, "Resuming")
    world.end("l40s-1", config_map(against=None))
    assert world.step(key)["phase"] == "Done"
    world.apply(calibration(status=world.status(key)))
    assert (world.step(key)["phase"], world.status(key)["run"]) == ("Done", 1), "nothing is measured anew"


def test_a_run_that_failed_where_it_was_is_tried_elsewhere() -> None:
    world = World()
    key = world.apply(calibration())
    world.step(key)
    world.end("l40s-1", {"data": {}}, "Failed")
    assert world.step(key)["phase"] == "Failed"
    more = {"accelerator": L40S, "resources": {"limits": {"memory": "32Gi"}}}
    other = world.apply(calibration("other"))
    world.step(other)
    world.apply(calibration(status=world.status(key), **more))
    assert [world.step(key)["phase"] for _ in range(2)] == ["Waiting", "Waiting"], "for its turn"
    world.index.drop(other)
    assert (world.step(key)["phase"], world.status(key)["run"]) == ("Starting", 2)
    world.end("l40s-2", {"data": {}}, "Failed")
    assert (world.step(key)["phase"], world.step(key)["run"]) == ("Failed", 2), "once"


def test_a_spec_that_makes_no_sense_any_more_leaves_no_job_that_nobody_reads() -> None:
    for wrong, said in (({"accelerator": L40S, "schedule": "0 0 31 2 *"}, "InvalidSchedule"), ({}, "InvalidSpec")):
        world = World()
        key = world.apply(calibration())
        world.step(key)
        world.apply(calibration(status=world.status(key), **(wrong or {"budget": "25m"})))
        assert reason(world.step(key)) == said
        assert world.job("l40s-1") is None
        world.apply(calibration(status=world.status(key)))
        assert world.step(key)["run"] == 1, "corrected, it goes on"


def test_a_job_that_is_going_is_waited_for_until_its_pod_is_gone() -> None:
    world = World()
    key = world.apply(calibration())
    world.step(key)
    job = world.job("l40s-1")
    assert job is not None
    job["metadata"]["deletionTimestamp"] = "2026-01-01T00:00:00Z"
    status = world.step(key)
    assert (status["phase"], reason(status), status["starts"]) == ("Starting", "JobGoing", 1)
    world.apply(calibration(accelerator=L40S, suspend=True, status=world.status(key)))
    world.cluster.objects[JOBS.path("lab", "l40s-1")] = job
    world.apply(calibration(status={**world.status(key), "phase": "Suspended"}))
    status = world.step(key)
    assert (status["phase"], reason(status), status["starts"]) == ("Waiting", "JobGoing", 1)
    del world.cluster.objects[JOBS.path("lab", "l40s-1")]
    assert world.step(key)["starts"] == 2


def test_a_namespace_that_goes_is_no_lack_of_rights() -> None:
    world = World()
    key = world.apply(calibration())

    async def refuse(path: str, body: Mapping[str, Any]) -> dict[str, Any]:
        raise ApiError(
            403, "Forbidden", f"{path}: unable to create new content in namespace lab because it is being terminated"
        )

    world.cluster.create = refuse  # type: ignore[assignment]
    assert world.step(key)["phase"] == "Starting", "it goes, and nothing more is said of it"


def test_a_better_profile_that_was_deleted_meanwhile_is_not_said_to_stay() -> None:
    world = World()
    world.profiles.use()
    key = world.apply(calibration())
    world.step(key)
    world.profiles.found = None
    world.end("l40s-1", config_map(better=False, against={"median_ape": 0.04}))
    status = world.step(key)
    assert reason(status) == "NotBetter"
    assert "is gone" in message(status)
    world = World()
    key = world.apply(calibration())
    world.step(key)
    world.end("l40s-1", config_map(better=False))
    assert "joulecast ships stays in use" in message(world.step(key))
