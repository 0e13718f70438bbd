"""Test that an invalid accelerator profile is not used and shows why, and that the others stay in use."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest

from joulecast.accelerators import catalogue
from joulecast_operator.api.kinds import PROFILES
from joulecast_operator.api.objects import Key
from joulecast_operator.cluster.client import ApiError
from joulecast_operator.controllers.profiles import Profiles
from joulecast_operator.index.index import Index
from joulecast_operator.profiles.usable import Override
from joulecast_operator.workers import profiler
from joulecast_operator.workers.pool import WorkerError

H200, B200 = "NVIDIA-H200", "NVIDIA-B200"


class World:
    """An index with profiles, a writer that keeps what it writes, and the worker's validation in this process."""

    def __init__(self) -> None:
        self.index = Index()
        self.statuses: dict[str, dict[str, Any]] = {}
        self.changes = self.version = self.validated = 0
        self.broken = False
        self.profiles = Profiles(
            index=self.index,
            cluster=self,  # type: ignore[arg-type]  # refuses ConfigMaps
            writer=self,  # type: ignore[arg-type]
            forecasts=self,  # type: ignore[arg-type]
            namespace="joulecast",
            on_change=self._changed,
        )

    async def get(self, path: str) -> dict[str, Any]:
        raise ApiError(403, "Forbidden", f"no right to read {path}")

    def _changed(self) -> None:
        self.changes += 1

    def put(self, name: str, product: str, document: str, **metadata: Any) -> None:
        """Apply and reconcile the profile ``name``; an error that is raised would be retried for ever."""
        self.apply(name, {"product": product, "coefficients": document}, **metadata)

    def apply(self, name: str, spec: dict[str, Any], **more: Any) -> None:
        self.version += 1
        metadata = {"name": name, "resourceVersion": str(self.version), "generation": self.version} | more
        self.index.put(PROFILES, {"metadata": metadata, "spec": spec})
        self.settle()

    def delete(self, name: str) -> None:
        key = Key(kind=PROFILES.kind, namespace="", name=name)
        self.index.drop(key)
        asyncio.run(self.profiles.reconcile(key))
        self.settle()

    def settle(self) -> None:
        """Reconcile all profiles, as the controller does after another profile is in use."""
        for key in self.index.keys(PROFILES):
            asyncio.run(self.profiles.reconcile(key))
        for key in self.index.keys(PROFILES):
            asyncio.run(self.profiles.reconcile(key))

    async def validate(self, override: Override) -> dict[str, Any]:
        self.validated += 1
        if self.broken:
            raise WorkerError("the profiler was ended from outside (SIGSEGV)", reason="ProfilerKilled")
        header = {"product": override.product, "runtime": override.runtime, "document": override.document}
        return profiler.work({"operation": "validate"} | header, b"")[0]["profile"]  # type: ignore[no-any-return]

    async def status(self, _: object, resource: dict[str, Any], desired: dict[str, Any]) -> bool:
        self.statuses[resource["metadata"]["name"]] = desired
        return True

    def usable(self, name: str) -> tuple[str, str, str]:
        (found,) = self.statuses[name]["conditions"]
        return found["status"], found["reason"], found["message"]

    @property
    def in_use(self) -> set[str]:
        return {override.product for override in self.profiles.overrides()}


def document(product: str, **law: Any) -> str:
    plain = json.loads(catalogue.installed()[product].to_json())
    return json.dumps(plain | {"law": plain["law"] | law})


def test_a_bad_profile_is_out_and_says_why_and_the_good_one_stays() -> None:
    world = World()
    world.put("good", H200, document(H200))
    for law, said in (
        ({"byte_joules": float("nan")}, "law.byte_joules is NaN: give a finite number from 0 to 1e-06 J"),
        ({"byte_joules": -1}, "law.byte_joules is -1: give a finite number from 0 to 1e-06 J"),
        ({"sharpness": "3"}, 'law.sharpness is "3": give a finite number'),
    ):
        world.put("bad", B200, document(B200, **law))
        status, reason, message = world.usable("bad")
        assert (status, reason) == ("False", "InvalidProfile")
        assert said in message
        assert world.in_use == {H200}
        assert "digest" not in world.statuses["bad"]
    assert world.usable("good")[:2] == ("True", "Valid")


def test_an_odd_origin_is_named() -> None:
    world = World()
    world.put("odd", H200, json.dumps(json.loads(document(H200)) | {"origin": "foo"}))
    assert 'origin is "foo": give one of measured, public, transferred, datasheet' in world.usable("odd")[2]
    assert world.in_use == set()


def test_a_good_profile_that_turns_bad_prices_nothing_more() -> None:
    world = World()
    world.put("b200", B200, document(B200))
    assert world.in_use == {B200}
    world.put("b200", B200, document(B200, gap_watts=-1))
    assert world.in_use == set()
    assert world.changes == 2, "whoever was priced by it is priced anew"


def test_of_two_for_one_accelerator_the_bad_one_hides_no_good_one() -> None:
    world = World()
    world.put("a", H200, document(H200, static_watts=-1))
    world.put("b", H200, document(H200, static_watts=1.0))
    found = world.profiles.in_use(H200, "torch-eager")
    assert found is not None
    assert found[0].name == "b"


def test_a_config_map_that_may_not_be_read_is_a_condition() -> None:
    world = World()
    world.apply("mapped", {"product": H200, "configMapRef": {"name": "h200", "digest": "sha256:" + "0" * 64}})
    status, reason, message = world.usable("mapped")
    assert (status, reason) == ("False", "ConfigMapRefused")
    assert "no right to read" in message


@pytest.mark.parametrize(
    "text",
    [
        "[]",
        "null",
        "1e999",
        "[" * 50_000,
        '{"schema_version": 3}',
        '{"schema_version": 3, "product": 1' + "0" * 5000 + "}",
    ],
    ids=["list", "null", "infinite", "deep", "empty", "huge number"],
)
def test_garbage_is_said_to_be_garbage(text: str) -> None:
    world = World()
    world.put("garbage", H200, text)
    assert world.usable("garbage")[:2] == ("False", "InvalidProfile")
    assert world.in_use == set()


def test_of_two_for_one_accelerator_the_one_calibrated_last_is_used_and_the_other_says_so() -> None:
    world = World()
    world.put("older", H200, document(H200), creationTimestamp="2026-01-01T00:00:00Z")
    world.put("a-newer", "nvidia h200", document(H200), creationTimestamp="2026-01-02T00:00:00Z")
    assert world.usable("a-newer")[:2] == ("True", "Valid")
    status, reason, message = world.usable("older")
    assert (status, reason) == ("False", "Superseded")
    assert "AcceleratorEnergyProfile a-newer, calibrated at 2026-01-02T00:00:00Z, is used for NVIDIA-H200" in message
    notes = {"joulecast.dev/calibrated-at": "2026-01-03T01:00:00+01:00"}
    world.put("older", H200, document(H200), creationTimestamp="2026-01-01T00:00:00Z", annotations=notes)
    assert world.usable("older")[:2] == ("True", "Valid")
    assert world.statuses["older"]["calibratedAt"] == "2026-01-03T00:00:00Z"
    assert world.usable("a-newer")[1] == "Superseded"
    assert len(world.profiles.overrides()) == 1
    world.delete("older")
    assert world.usable("a-newer")[:2] == ("True", "Valid")


def test_of_two_of_one_time_the_first_by_name_is_used() -> None:
    world = World()
    for name in ("b", "a", "c"):
        world.put(name, H200, document(H200), creationTimestamp="2026-01-01T00:00:00Z")
    assert [world.usable(name)[1] for name in ("a", "b", "c")] == ["Valid", "Superseded", "Superseded"]


def test_a_bad_one_supersedes_nothing() -> None:
    world = World()
    world.put("good", H200, document(H200), creationTimestamp="2026-01-01T00:00:00Z")
    world.put("bad", H200, document(H200, gap_watts=-1), creationTimestamp="2026-01-02T00:00:00Z")
    assert (world.usable("good")[1], world.usable("bad")[1]) == ("Valid", "InvalidProfile")


def test_a_profile_that_cannot_be_checked_prices_nothing_and_says_so() -> None:
    world = World()
    world.put("b200", B200, document(B200))
    world.broken = True
    with pytest.raises(WorkerError):
        world.put("b200", B200, document(B200, static_watts=9.0))
    status, reason, message = world.usable("b200")
    assert (status, reason) == ("Unknown", "ProfilerKilled")
    assert "tried again" in message
    assert world.in_use == set(), "what the object holds no more"


def test_a_profile_is_read_once_however_often_it_is_looked_at() -> None:
    world = World()
    world.put("b200", B200, document(B200))
    world.broken = True
    world.settle()
    assert world.validated == 1
    assert world.usable("b200")[:2] == ("True", "Valid")


def test_a_good_profile_takes_the_place_of_another_content_at_once() -> None:
    world = World()
    world.put("b200", B200, document(B200))
    world.put("b200", B200, document(B200, static_watts=9.0))
    assert world.changes == 2, "nothing is priced by the shipped one in between"
