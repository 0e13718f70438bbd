"""Accelerator profiles of the cluster: a bad one is out with a condition, and the others stay."""

from __future__ import annotations

import asyncio
import json
from typing import Any

from joulecast.accelerators import catalogue
from joulecast_operator import profiler
from joulecast_operator.controller_profiles import Profiles
from joulecast_operator.forecasts import Override
from joulecast_operator.index import Index, Key
from joulecast_operator.kinds import PROFILES
from joulecast_operator.kube import ApiError

H200, B200 = "NVIDIA-H200", "NVIDIA-B200"


class World:
    """Profiles in an index, a writer that keeps what it writes, and the worker's validation in this process."""

    def __init__(self) -> None:
        self.index = Index()
        self.statuses: dict[str, dict[str, Any]] = {}
        self.changes = self.version = 0
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

    def put(self, name: str, product: str, document: str) -> None:
        """Apply the profile ``name`` and have it reconciled; what is raised would be tried for ever."""
        self.apply(name, {"product": product, "coefficients": document})

    def apply(self, name: str, spec: dict[str, Any]) -> None:
        self.version += 1
        metadata = {"name": name, "resourceVersion": str(self.version), "generation": self.version}
        self.index.put(PROFILES, {"metadata": metadata, "spec": spec})
        asyncio.run(self.profiles.reconcile(Key(kind=PROFILES.kind, namespace="", name=name)))

    async def validate(self, override: Override) -> dict[str, Any]:
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
