"""Patches that change an object as kubectl apply does; tests/cluster compares them with kubectl itself."""

from __future__ import annotations

import json
from typing import Any

from joulecast_operator.kubectl.patches import CLIENT_SIDE, patch_for

APPLIED = "kubectl.kubernetes.io/last-applied-configuration"


def web(*containers: dict[str, Any], **annotations: str) -> dict[str, Any]:
    template = {"spec": {"containers": list(containers), "nodeSelector": {"pool": "a"}}}
    return {"metadata": {"name": "web", "annotations": annotations}, "spec": {"template": template}}


def applied(manifest: dict[str, Any]) -> dict[str, Any]:
    return {"metadata": {"name": "web", "annotations": {APPLIED: json.dumps(manifest)}}}


def test_what_was_never_applied_on_the_clients_side_is_applied_on_the_servers() -> None:
    for live in (None, web(), {"metadata": {"annotations": {APPLIED: "no JSON"}}}):
        patch = patch_for(web(), live, is_built_in=True, manager=None)
        assert (patch.content, patch.manager, patch.body) == ("apply-patch+yaml", "kubectl", web())


def test_a_named_manager_applies_on_the_servers_side() -> None:
    patch = patch_for(web(), applied(web()), is_built_in=True, manager="kustomize-controller")
    assert (patch.content, patch.manager) == ("apply-patch+yaml", "kustomize-controller")


def test_what_was_applied_before_and_is_gone_is_removed() -> None:
    before = web({"name": "a", "image": "i:1", "env": [{"name": "X", "value": "1"}]}, {"name": "b"}, note="1", old="2")
    after = web({"name": "a", "image": "i:2", "env": []}, note="1")
    del after["spec"]["template"]["spec"]["nodeSelector"]
    patch = patch_for(after, applied(before), is_built_in=True, manager=None)
    assert (patch.content, patch.manager) == ("strategic-merge-patch+json", CLIENT_SIDE)
    assert patch.body["metadata"]["annotations"] == {"note": "1", "old": None}
    assert patch.body["spec"]["template"]["spec"] == {
        "containers": [
            {"name": "a", "image": "i:2", "env": [{"$patch": "delete", "name": "X"}]},
            {"$patch": "delete", "name": "b"},
        ],
        "nodeSelector": None,
    }


def test_a_volume_of_another_type_loses_the_old_one() -> None:
    volumes = lambda **type_: {"spec": {"volumes": [{"name": "m", **type_}]}}  # noqa: E731
    live = applied(volumes(emptyDir={}))
    patch = patch_for(volumes(image={"reference": "i"}), live, is_built_in=True, manager=None)
    assert patch.body["spec"]["volumes"] == [{"name": "m", "image": {"reference": "i"}, "emptyDir": None}]


def test_lists_that_are_not_merged_by_name_are_replaced() -> None:
    lists = lambda *names: {"spec": {"args": list(names), "tolerations": [{"key": name} for name in names]}}  # noqa: E731
    patch = patch_for(lists("b"), applied(lists("a")), is_built_in=True, manager=None)
    assert patch.body == lists("b")


def test_the_server_cannot_merge_the_lists_of_a_custom_kind() -> None:
    before, after = web({"name": "a"}, {"name": "b"}), web({"name": "a"})
    patch = patch_for(after, applied(before), is_built_in=False, manager=None)
    assert (patch.content, patch.body) == ("merge-patch+json", after)
