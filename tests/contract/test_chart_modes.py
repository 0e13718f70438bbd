"""What the chart renders where joulecast is restricted to namespaces, or writes no annotations."""

from __future__ import annotations

from typing import Any

import pytest
import yaml

from joulecast_operator.api.kinds import CUSTOM, OFFERS
from joulecast_operator.settings import load
from tests.contract.test_chart import (
    CHART,
    OUTSIDE,
    SECRET,
    Object,
    documents,
    environment,
    granted,
    pod_spec,
    render,
    rules,
    template,
    workloads,
)

READS = ("get", "list", "watch")
TWO = ("watchNamespaces={team-a,team-b}",)
STATUS_ONLY = ("statusOnly=true",)
OURS = (
    granted("joulecast.dev", "inferenceenergyestimates", *READS, "create", "delete")
    | granted("joulecast.dev", "energyplans", *READS)
    | granted("joulecast.dev", "inferenceenergyestimates/status", "patch")
    | granted("joulecast.dev", "energyplans/status", "patch")
)
ASKED = granted("joulecast.dev", "inferenceenergyestimates", *READS) | granted("joulecast.dev", "energyplans", *READS)
RUNS = granted("joulecast.dev", "energycalibrations", *READS) | granted(
    "joulecast.dev", "energycalibrations/status", "patch"
)


def bound(*values: str) -> dict[tuple[str, str, str], set[tuple[str, str, str]]]:
    """Return the rules of each bound role by the binding's account, namespace ("" for all) and name."""
    done = template(*SECRET, *values)
    assert done.returncode == 0, done.stderr
    objects = documents(done.stdout)
    roles = {place(each): each for each in objects if each["kind"] in ("Role", "ClusterRole")}
    found = {}
    for each in objects:
        if each["kind"] in ("RoleBinding", "ClusterRoleBinding"):
            _, namespace, name = place(each)
            role = roles[each["roleRef"]["kind"], namespace, each["roleRef"]["name"]]
            (subject,) = each["subjects"]
            found[subject["name"], namespace, name] = rules({(role["kind"], name): role}, role["kind"], name)
    return found


def place(each: Object) -> tuple[str, str, str]:
    return each["kind"], each["metadata"].get("namespace", ""), each["metadata"]["name"]


def rights(account: str, namespace: str, *values: str) -> set[tuple[str, str, str]]:
    """Return all rights of an account in a namespace that bindings of that namespace give; "": of the whole cluster."""
    found = bound(*values).items()
    return {right for (name, where, _), rights in found if (name, where) == (account, namespace) for right in rights}


def test_what_lies_in_namespaces_is_granted_in_those_named_and_nowhere_else() -> None:
    for namespace in ("team-a", "team-b"):
        covered = workloads(*READS, "patch")
        events = granted("", "events", "create")
        test = granted("", "configmaps", "get") if namespace == "team-a" else set()  # that of `helm test` alone
        optional = [kind for kind in (*CUSTOM.values(), *OFFERS.values()) if kind.namespaced]
        covered |= {right for kind in optional for right in granted(kind.group, kind.plural, *READS)}
        assert rights("joulecast-controller", namespace, *TWO) == OURS | RUNS | covered | events | test
        assert rights("joulecast-webhook", namespace, *TWO) == ASKED
        assert rights("joulecast-uninstall", namespace, *TWO) == workloads("list", "patch")
    everywhere = rights("joulecast-controller", "", *TWO)
    assert {resource for _, resource, _ in everywhere} == {
        "acceleratorenergyprofiles",
        "acceleratorenergyprofiles/status",
        "energysites",
        "energysites/status",
        "nodes",
        "namespaces",
        "servicecidrs",
        "deviceclasses",
        "resourceslices",
        "clusterqueues",
        "resourceflavors",
        "tokenreviews",
        "subjectaccessreviews",
    }
    assert {resource for _, resource, _ in rights("joulecast-webhook", "", *TWO)} == {
        "tokenreviews",
        "subjectaccessreviews",
    }
    assert rights("joulecast-uninstall", "", *TWO) == set()
    assert rights("joulecast-webhook", "", *TWO, "metrics.secure=false") == set()


def test_of_namespaces_and_of_its_own_only_those_named_may_be_read() -> None:
    objects = documents(template(*SECRET, *TWO).stdout)
    for each in objects:
        for rule in each.get("rules") or ():
            if rule.get("resources") == ["namespaces"]:
                assert rule["resourceNames"] == ["team-a", "team-b"]
            if rule.get("resources") == ["deployments"] and each["metadata"]["namespace"] == "energy":
                assert set(rule["resourceNames"]) <= {"joulecast-controller", "joulecast-webhook"}


def test_both_processes_and_the_uninstall_job_are_told_the_namespaces() -> None:
    done = template(*SECRET, *TWO)
    for each in documents(done.stdout):
        if each["kind"] in ("Deployment", "Job") and each["metadata"]["name"] != "joulecast-test":
            (container,) = each["spec"]["template"]["spec"]["containers"]
            _, *flags = container["args"]
            assert load(flags, environment(container)).namespaces == ("team-a", "team-b")


@pytest.mark.parametrize(
    ("values", "where"), [(TWO, "team-a"), (("watchNamespaces={team-a,energy}",), "energy"), ((), "energy")]
)
def test_the_test_asks_in_a_namespace_that_the_controller_watches(values: tuple[str, ...], where: str) -> None:
    found = documents(template(*SECRET, *values).stdout)
    test = {each["kind"]: each for each in found if each["metadata"]["name"] == "joulecast-test"}
    there = {kind for kind, each in test.items() if each["metadata"]["namespace"] == where}
    assert there >= {"Role", "RoleBinding", "ConfigMap"}
    assert test["Job"]["metadata"]["namespace"] == test["ServiceAccount"]["metadata"]["namespace"] == "energy"
    (container,) = test["Job"]["spec"]["template"]["spec"]["containers"]
    assert load(container["args"][1:], {}).trial_namespace == where
    read = ("", "configmaps", "get")
    assert read in rights("joulecast-test", where, *values)
    assert read in rights("joulecast-controller", where, *values)


def test_the_webhook_is_asked_about_the_namespaces_named_alone() -> None:
    done = template(*SECRET, *TWO)
    (found,) = [each for each in documents(done.stdout) if each["kind"] == "MutatingWebhookConfiguration"]
    for webhook in found["webhooks"]:
        named = {"key": "kubernetes.io/metadata.name", "operator": "In", "values": ["team-a", "team-b"]}
        assert named in webhook["namespaceSelector"]["matchExpressions"]


def test_status_only_takes_the_right_to_change_deployments_and_of_namespaces() -> None:
    held = rights("joulecast-controller", "", *STATUS_ONLY)
    assert held >= OURS | workloads(*READS)
    assert not workloads("patch") & held
    assert "namespaces" not in {resource for _, resource, _ in held}
    objects = render(*SECRET, *STATUS_ONLY)
    policy = objects["ValidatingAdmissionPolicy", "joulecast-controller-kinds"]["spec"]["validations"][0]["expression"]
    assert "UPDATE apps/" not in policy
    assert "UPDATE batch/" not in policy
    (container,) = pod_spec(objects, "controller")["containers"]
    assert load(container["args"][1:], environment(container)).status_only


def test_status_only_asks_the_webhook_for_warnings_alone() -> None:
    (webhook,) = render(*SECRET, *STATUS_ONLY)["MutatingWebhookConfiguration", "joulecast-webhook"]["webhooks"]
    assert (webhook["name"], webhook["clientConfig"]["service"]["path"]) == ("warn.joulecast.dev", "/warn")
    assert "joulecast.dev/annotations" not in str(webhook["namespaceSelector"])


def test_a_namespace_with_the_label_is_asked_for_warnings_alone() -> None:
    _, webhook = render(*SECRET)["MutatingWebhookConfiguration", "joulecast-webhook"]["webhooks"]
    assert (webhook["name"], webhook["clientConfig"]["service"]["path"]) == ("warn.joulecast.dev", "/warn")
    label = {"key": "joulecast.dev/annotations", "operator": "In", "values": ["none"]}
    assert label in webhook["namespaceSelector"]["matchExpressions"]
    _, outside = render(*OUTSIDE)["MutatingWebhookConfiguration", "joulecast-webhook"]["webhooks"]
    assert outside["clientConfig"]["url"] == "https://127.0.0.1:9443/admit/warn"


def test_status_only_cleans_up_after_an_upgrade_with_rights_that_go_then() -> None:
    objects = render(*SECRET, *STATUS_ONLY)
    parts = [
        objects[kind, "joulecast-uninstall"] for kind in ("Job", "ServiceAccount", "ClusterRole", "ClusterRoleBinding")
    ]
    job, *rest = (each["metadata"]["annotations"] for each in parts)
    assert {each["helm.sh/hook"] for each in (job, *rest)} == {"post-install,post-upgrade"}
    assert all(int(each["helm.sh/hook-weight"]) < int(job.get("helm.sh/hook-weight", 0)) for each in rest)
    assert all("hook-succeeded" in each["helm.sh/hook-delete-policy"] for each in (job, *rest))
    (container,) = parts[0]["spec"]["template"]["spec"]["containers"]
    assert load(container["args"][1:], environment(container)).deployment == "", "nobody has to be asked to stop"


def test_a_second_release_leaves_out_what_a_cluster_has_once() -> None:
    objects = render(*SECRET, "crds.enabled=false", "profiles.writeStatus=false")
    assert "CustomResourceDefinition" not in {kind for kind, _ in objects}
    held = rules(objects, "ClusterRole", "joulecast-controller")
    assert ("joulecast.dev", "acceleratorenergyprofiles/status", "patch") not in held
    assert ("joulecast.dev", "energysites/status", "patch") not in held
    assert ("joulecast.dev", "acceleratorenergyprofiles", "list") in held
    assert ("joulecast.dev", "energysites", "list") in held
    (container,) = pod_spec(objects, "controller")["containers"]
    assert not load(container["args"][1:], environment(container)).profile_status


def test_values_of_an_older_chart_render_as_before() -> None:
    """`helm upgrade --reuse-values` renders a chart without the defaults that are new in it."""
    new = ("watchNamespaces=null", "statusOnly=null", "crds=null", "profiles=null")
    assert set(yaml.safe_load((CHART / "values.yaml").read_text())) >= {each.partition("=")[0] for each in new}

    def shown(*values: str) -> dict[tuple[str, str], Any]:
        return render(*SECRET, *values)

    assert shown(*new) == shown()
