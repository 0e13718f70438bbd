"""Test that the controller's token may create only the objects of a calibration, and only in their form."""

from __future__ import annotations

import copy
import json
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import pytest

from joulecast_operator.api.calibrations import CalibrationSpec
from joulecast_operator.api.kinds import CONFIG_MAPS, ESTIMATES, EVENTS, JOBS, PROFILES, ROLE_BINDINGS, ROLES, Kind
from joulecast_operator.api.kinds import SERVICE_ACCOUNTS as ACCOUNTS
from joulecast_operator.calibrations.allowed import Allowed, refusal_of
from joulecast_operator.calibrations.jobs import CalibrationRun, account, job
from joulecast_operator.calibrations.nodes import Target
from tests.cluster.controlled import estimate
from tests.cluster.release import Release
from tests.harness.control_plane import ControlPlane
from tests.waiting import eventually

LAB = "lab"
L40S = "NVIDIA-L40S"
IMAGE = "registry.invalid/joulecast-torch:1"
LABEL = {"app.kubernetes.io/managed-by": "joulecast"}
MAY = {
    "images": ["registry.invalid/team/*", "registry.invalid/other@*"],
    "claims": ["rows", "lab-*"],
    "priorityClasses": ["low"],
    "runtimeClasses": ["nvidia"],
    "queues": ["gpus"],
    "tolerations": ["lab=ml:NoSchedule", "a", "b=x", "c:NoSchedule", "d="],
}
VALUES = (
    f"calibration.namespaces={{{LAB}}}",
    f"calibration.image={IMAGE}",
    *(f"calibration.allowed.{key}={{{','.join(names)}}}" for key, names in MAY.items()),
)
EVERYTHING = {
    "storage": {"claimName": "rows"},
    "queueName": "gpus",
    "priorityClassName": "low",
    "runtimeClassName": "nvidia",
    "tolerations": [{"key": "lab", "operator": "Equal", "value": "ml", "effect": "NoSchedule"}],
    "imagePullSecrets": [{"name": "pull"}],
    "resources": {"requests": {"cpu": "4"}, "limits": {"memory": "16Gi"}},
    "slices": ["layers"],
    "budget": "10m",
}
"""A spec with all that the chart's values above allow."""

Manifest = dict[str, Any]
Change = Callable[[Manifest], object]


def run(**spec: Any) -> CalibrationRun:
    body = {"accelerator": L40S} | spec
    metadata = {"name": "l40s", "namespace": LAB, "uid": "5ab4e4b6-7a56-4fd6-9d30-3ad4f9b0a0f5"}
    return CalibrationRun(
        calibration={"metadata": metadata, "spec": body},
        spec=CalibrationSpec.model_validate(body),
        number=1,
        target=Target(product=L40S, labels={"pool": "whole"}),
        image=spec.get("image", IMAGE),
        against="{}",
    )


@pytest.fixture(scope="module")
def release(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Release]:
    """Install the chart, and wait until the API server enforces its policies."""
    with ControlPlane.start(tmp_path_factory.mktemp("controller-policy"), controller_manager=False) as plane:
        plane.kubectl("create", "namespace", LAB)
        found = Release(plane)
        found.install(*(part for value in VALUES for part in ("--set", value)))
        plane.apply(of_kind(ROLES))  # nobody may bind one that is absent
        for kind, body, policy in unwanted():
            # dry, so that nothing is there when a policy comes into force
            assert eventually(partial(is_denied, found, kind, body, policy)), f"the policy {policy} is not in force"
        yield found


def unwanted() -> Iterator[tuple[Kind, Manifest, str]]:
    """Return an object that each of the policies denies."""
    for kind, body in objects():
        yield kind, body | {"metadata": {**body["metadata"], "ownerReferences": []}}, POLICIES[kind.kind]
    yield PROFILES, profile("calibrated-l40s", labels={}), "joulecast-controller-kinds"


POLICIES = {
    "Job": "joulecast-calibration-jobs",
    "ConfigMap": "joulecast-calibration-results",
    "ServiceAccount": "joulecast-calibration-accounts",
    "Role": "joulecast-calibration-roles",
    "RoleBinding": "joulecast-calibration-bindings",
}


def objects() -> list[tuple[Kind, Manifest]]:
    return [*account(run()), (JOBS, job(run()))]


def of_kind(kind: Kind) -> Manifest:
    return next(copy.deepcopy(body) for each, body in objects() if each == kind)


def is_denied(release: Release, kind: Kind, body: Manifest, policy: str) -> bool:
    return policy in create(release, kind, body)[1]


def create(release: Release, kind: Kind, body: Manifest) -> tuple[int, str]:
    return release.send("controller", "POST", f"{kind.path(body['metadata'].get('namespace'))}?dryRun=All", body)


def profile(name: str, labels: dict[str, str]) -> Manifest:
    kind = {"apiVersion": PROFILES.api_version, "kind": PROFILES.kind}
    return kind | {"metadata": {"name": name, "labels": labels}, "spec": {"product": L40S, "coefficients": "{}"}}


@pytest.mark.parametrize(
    "made",
    [
        run(),
        run(**EVERYTHING),
        run(image="registry.invalid/team/torch:2"),
        run(tolerations=[{"key": "nvidia.com/gpu", "operator": "Exists", "effect": "NoSchedule"}]),
    ],
    ids=["plain", "everything", "prefix", "gpu"],
)
def test_what_the_controller_makes_passes(release: Release, made: CalibrationRun) -> None:
    for kind, body in (*account(made), (JOBS, job(made))):
        status, answer = create(release, kind, body)
        assert status == (409 if kind == ROLES else 201), answer  # the role is there: admission comes before that


def toleration(key: str | None, value: str | None = None, effect: str | None = None) -> Manifest:
    """``value``: None for any value."""
    fields = {"operator": "Exists"} if value is None else {"operator": "Equal", "value": value}
    return fields | ({} if key is None else {"key": key}) | ({} if effect is None else {"effect": effect})


@pytest.mark.parametrize(
    "spec",
    [
        *({"image": name} for name in (IMAGE, IMAGE + "1", "registry.invalid/team/a/b:1", "registry.invalid/teams:1")),
        *({"image": f"registry.invalid/other{end}"} for end in ("@sha256:" + "0" * 64, ":1")),
        *({"storage": {"claimName": name}} for name in ("rows", "rows2", "lab-a", "lab")),
        *({"priorityClassName": name} for name in ("low", "lower", "system-node-critical")),
        *({"runtimeClassName": name} for name in ("nvidia", "nvidia-legacy")),
        *({"queueName": name} for name in ("gpus", "gpus-b")),
        *(
            {"tolerations": [toleration(*fields)]}
            for fields in (
                ("lab", "ml", "NoSchedule"),
                ("lab", "ml", "NoExecute"),
                ("lab", "ml"),
                ("lab", None, "NoSchedule"),
                ("a",),
                ("a", "y", "NoExecute"),
                ("b",),
                ("b", "x"),
                ("b", "y"),
                ("c",),
                ("c", "y", "NoSchedule"),
                ("c", None, "NoSchedule"),
                ("d", ""),
                ("d",),
                ("nvidia.com/gpu",),
                (None,),
                (None, None, "NoSchedule"),
            )
        ),
    ],
    ids=json.dumps,
)
def test_controller_and_policy_allow_the_same(release: Release, spec: dict[str, Any]) -> None:
    asked = run(**spec)
    refused = refusal_of(asked.spec, Allowed.model_validate(MAY), IMAGE)
    status, answer = create(release, JOBS, job(asked))
    assert (status == 201) is (refused is None), (refused, answer)
    assert status == 201 or "calibration.allowed" in answer


def pod(body: Manifest) -> Manifest:
    found: Manifest = body["spec"]["template"]["spec"]
    return found


def container(body: Manifest) -> Manifest:
    found: Manifest = pod(body)["containers"][0]
    return found


def mounted(**volume: Any) -> Change:
    return lambda body: pod(body)["volumes"].append({"name": "other", **volume})


def of_pod(**fields: Any) -> Change:
    return lambda body: pod(body).update(fields)


def of_container(**fields: Any) -> Change:
    return lambda body: container(body).update(fields)


def confined(where: Callable[[Manifest], Manifest], **fields: Any) -> Change:
    return lambda body: where(body)["securityContext"].update(fields)


def told(*arguments: str) -> Change:
    return of_container(args=list(arguments))


OTHERS = {"name": "other", "image": IMAGE, "securityContext": {}}
AUDIENCE = {"sources": [{"serviceAccountToken": {"path": "token", "audience": "vault"}}]}


@pytest.mark.parametrize(
    "change",
    [
        of_pod(hostNetwork=True),
        of_pod(hostPID=True),
        of_pod(hostIPC=True),
        of_pod(nodeName="control-plane"),
        of_pod(serviceAccountName="default"),
        of_pod(serviceAccountName="joulecast-controller"),
        of_pod(automountServiceAccountToken=True),
        of_pod(priorityClassName="system-node-critical"),
        of_pod(runtimeClassName="unconfined"),
        of_pod(tolerations=[{"operator": "Exists"}]),
        of_pod(tolerations=[{"key": "lab", "operator": "Exists"}]),
        of_pod(initContainers=[{**OTHERS, "command": ["sh"]}]),
        of_pod(resourceClaims=[{"name": "gpu", "resourceClaimName": "gpu"}]),
        of_pod(securityContext={}),
        lambda body: pod(body)["containers"].append(OTHERS),
        mounted(hostPath={"path": "/"}),
        mounted(secret={"secretName": "token"}),
        mounted(configMap={"name": "others"}),
        mounted(persistentVolumeClaim={"claimName": "payroll"}),
        mounted(projected=AUDIENCE),
        mounted(projected={"sources": [{"secret": {"name": "token"}}]}),
        mounted(csi={"driver": "secrets-store.csi.k8s.io"}),
        mounted(nfs={"server": "nfs.invalid", "path": "/"}),
        confined(pod, runAsNonRoot=False),
        confined(pod, runAsUser=0),
        confined(pod, seccompProfile={"type": "Unconfined"}),
        confined(pod, sysctls=[{"name": "kernel.shm_rmid_forced", "value": "0"}]),
        confined(container, privileged=True, allowPrivilegeEscalation=True),
        confined(container, allowPrivilegeEscalation=True),
        confined(container, capabilities={"drop": ["ALL"], "add": ["NET_BIND_SERVICE"]}),
        confined(container, capabilities={}),
        confined(container, runAsUser=0),
        confined(container, seccompProfile={"type": "Unconfined"}),
        of_container(securityContext={}),
        of_container(image="evil.invalid/x:1"),
        of_container(image="registry.invalid/teams/x:1"),
        of_container(command=["sh", "-c"]),
        of_container(envFrom=[{"secretRef": {"name": "token"}}]),
        of_container(env=[{"name": "PYTHONPATH", "value": "/calibration"}]),
        of_container(lifecycle={"preStop": {"exec": {"command": ["sh"]}}}),
        of_container(resources={"limits": {"vendor.example/fuse": "1"}}),
        told("--", "sh", "-c", "id"),
        told("sh", "--", "joulecast", "calibrate"),
        told("--", "joulecast"),
        lambda body: body["spec"].update(parallelism=8),
        lambda body: body["spec"]["template"]["metadata"].update(annotations={"inject.example/agent": "true"}),
        lambda body: body["metadata"]["labels"].update({"kueue.x-k8s.io/queue-name": "others"}),
        lambda body: body["metadata"]["labels"].pop("app.kubernetes.io/managed-by"),
        lambda body: body["metadata"].pop("ownerReferences"),
        lambda body: body["metadata"].update(name="payroll-1"),
        lambda body: body["metadata"].update(finalizers=["a.example/b"]),
    ],
)
def test_a_job_of_another_shape_is_denied(release: Release, change: Change) -> None:
    body = of_kind(JOBS)
    change(body)
    status, answer = create(release, JOBS, body)
    assert status == 422, answer
    assert POLICIES["Job"] in answer or "joulecast-controller-kinds" in answer


def bound_to(**subject: Any) -> Change:
    return lambda body: body["subjects"].append(subject)


@pytest.mark.parametrize(
    ("kind", "change"),
    [
        (ROLE_BINDINGS, bound_to(kind="User", apiGroup=ROLES.group, name="eve")),
        (ROLE_BINDINGS, bound_to(kind="ServiceAccount", name="default", namespace=LAB)),
        (ROLE_BINDINGS, lambda body: body["subjects"][0].update(namespace="elsewhere")),
        (ROLE_BINDINGS, lambda body: body["roleRef"].update(name="joulecast-calibration")),
        (ROLE_BINDINGS, lambda body: body["roleRef"].update(kind="ClusterRole", name="joulecast-view")),
        (ROLES, lambda body: body["rules"][0].update(verbs=["patch", "get"])),
        (ROLES, lambda body: body["rules"][0].update(resourceNames=["others"])),
        (ROLES, lambda body: body["rules"][0].pop("resourceNames")),
        (
            ROLES,
            lambda body: body["rules"].append({"apiGroups": ["batch"], "resources": ["jobs"], "verbs": ["create"]}),
        ),
        (ACCOUNTS, lambda body: body.update(automountServiceAccountToken=True)),
        (ACCOUNTS, lambda body: body.update(secrets=[{"name": "token"}])),
        (ACCOUNTS, lambda body: body["metadata"].update(annotations={"eks.amazonaws.com/role-arn": "arn:x"})),
        (ACCOUNTS, lambda body: body["metadata"].update(name="default")),
        (CONFIG_MAPS, lambda body: body["metadata"].update(name="kube-root-ca.crt")),
        (CONFIG_MAPS, lambda body: body["metadata"]["labels"].clear()),
    ],
)
def test_an_account_of_another_shape_is_denied(release: Release, kind: Kind, change: Change) -> None:
    body = of_kind(kind)
    change(body)
    status, answer = create(release, kind, body)
    assert status in (403, 422), answer
    assert status == 403 or "joulecast-c" in answer  # RBAC itself keeps it from giving rights that it does not hold


def test_what_others_made_in_the_namespace_is_left_alone(release: Release) -> None:
    plane = release.plane
    plane.kubectl("create", "configmap", "others", "-n", LAB)
    plane.kubectl("create", "job", "others", "-n", LAB, f"--image={IMAGE}")
    answers = [
        release.send("controller", "PATCH", CONFIG_MAPS.path(LAB, "others"), {"data": {"ca.crt": "x"}}),
        release.send("controller", "PATCH", CONFIG_MAPS.path(LAB, "others"), {"metadata": {"labels": LABEL}}),
        release.send("controller", "DELETE", JOBS.path(LAB, "others"), {}),
    ]
    assert [status for status, _ in answers] == [422] * 3, answers
    for kind, body in objects():
        assert release.send("controller", "POST", kind.path(LAB), body)[0] in (201, 409)
    assert (
        release.send("controller", "PATCH", CONFIG_MAPS.path(LAB, "l40s-calibration"), {"data": {"a": "b"}})[0] == 200
    )
    assert release.send("controller", "DELETE", JOBS.path(LAB, "l40s-1"), {})[0] == 200


def test_only_profiles_and_estimates_of_joulecasts_own_are_written(release: Release) -> None:
    release.plane.apply(estimate("tenants", LAB, "registry.invalid/m:1"), profile("hand-made", {}))
    assert release.send("controller", "DELETE", ESTIMATES.path(LAB, "tenants"), {})[0] == 422
    assert create(release, ESTIMATES, estimate("forged", LAB, "registry.invalid/m:1"))[0] == 422
    patch = {"spec": {"coefficients": "{ }"}}
    assert release.send("controller", "PATCH", PROFILES.path(None, "hand-made"), patch)[0] == 422
    assert create(release, PROFILES, profile("l40s", LABEL))[0] == 422
    assert create(release, PROFILES, profile("calibrated-nvidia-l40s-torch-eager", LABEL))[0] == 201
    status = {"status": {"observedGeneration": 1}}
    assert release.send("controller", "PATCH", ESTIMATES.path(LAB, "tenants", "status"), status)[0] == 200
    assert release.send("controller", "PATCH", PROFILES.path(None, "hand-made", "status"), status)[0] == 200


def test_a_role_that_somebody_binds_to_the_token_gives_it_no_more(release: Release) -> None:
    """Even if it is bound to cluster-admin, it can write neither other kinds nor in other namespaces."""
    plane = release.plane
    binding = ("clusterrolebinding", "by-mistake")
    account_name = "--serviceaccount=joulecast-system:joulecast-controller"
    plane.kubectl("create", *binding, "--clusterrole=cluster-admin", account_name)
    try:
        secret = {"metadata": {"name": "x", "namespace": LAB}}
        assert eventually(
            lambda: release.send("controller", "GET", f"/api/v1/namespaces/{LAB}/secrets", None)[0] == 200
        )
        assert release.send("controller", "POST", f"/api/v1/namespaces/{LAB}/secrets", secret)[0] == 422
        elsewhere = of_kind(JOBS)
        elsewhere["metadata"]["namespace"] = "default"
        assert create(release, JOBS, elsewhere)[0] == 422
        token = "/api/v1/namespaces/joulecast-system/serviceaccounts/joulecast-webhook/token"
        assert release.send("controller", "POST", token, {"metadata": {}, "spec": {}})[0] == 422
        told = {
            "metadata": {"name": "x", "namespace": LAB},
            "involvedObject": {"namespace": LAB},
            "reportingComponent": "kubelet",
        }
        assert create(release, EVENTS, told)[0] == 422
    finally:
        plane.kubectl("delete", *binding)


def test_other_users_are_not_concerned(release: Release) -> None:
    release.plane.kubectl("create", "job", "free", "-n", LAB, "--image=registry.invalid/other:1")
