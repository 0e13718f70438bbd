"""Make the objects of a calibration's run: a Job, and an account whose only right is to write the result."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from joulecast_operator.api.calibrations import CalibrationSpec
from joulecast_operator.api.estimates import seconds_of
from joulecast_operator.api.kinds import (
    CALIBRATIONS,
    CONFIG_MAPS,
    JOBS,
    MANAGED_BY_LABEL,
    MANAGER,
    ROLE_BINDINGS,
    ROLES,
    SERVICE_ACCOUNTS,
    Kind,
)
from joulecast_operator.api.objects import Resource
from joulecast_operator.api.products import GPU, PRODUCT_LABEL
from joulecast_operator.calibrations.nodes import SHARING, SHARING_LABEL, Target

RUN: Final = "run"
SUMMARY: Final = "summary.json"
PROFILE: Final = "profile.json"
AGAINST: Final = "against.json"
"""Keys of the result's ConfigMap: the number of the run, its summary and profile, and the profile to compare with."""

CONTAINER: Final = "calibrate"
QUEUE_LABEL: Final = "kueue.x-k8s.io/queue-name"
JOB_LABEL: Final = "batch.kubernetes.io/job-name"

ROWS_PATH: Final = "/calibration"
INPUT_PATH: Final = "/joulecast/input"
CREDENTIALS_PATH: Final = "/joulecast/credentials"

_BACKOFF_LIMIT: Final = 4  # retries, after pauses of 10 s to 80 s: enough for a driver that crashed once
_USAGE_EXIT_CODE: Final = 2  # a wrong command line, which no retry can correct
_BUDGET: Final = "25m"  # the default of `joulecast calibrate`
_START_SECONDS: Final = 30 * 60  # in addition to the budget: pulling some 10 GB, imports, the fit
_TOKEN_SECONDS: Final = 3600  # the kubelet renews it
_USER: Final = 65532  # as the chart's processes
_REQUESTS: Final = {"cpu": "2", "memory": "8Gi"}  # a slow host would leave gaps between kernels
_GPU_TOLERATION: Final = {"key": GPU, "operator": "Exists", "effect": "NoSchedule"}
"""The toleration that the admission plugin ExtendedResourceToleration, if enabled, adds to pods that request a GPU."""

_WHEN: Final = {"suspend", "schedule"}
_PLACEMENT: Final = {
    "queue_name", "storage", "image_pull_secrets", "runtime_class_name",
    "tolerations", "priority_class_name", "resources",
}  # fmt: skip
"""Fields that say when a run is and how its pod is placed, not what is measured."""


Manifest = dict[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class CalibrationRun:
    """One run of a calibration: all that its objects are made from.

    - ``calibration``: the EnergyCalibration.
    - ``spec``: its spec, validated.
    - ``number``: number of the run, counted from 1.
    - ``target``: the nodes that it may run on.
    - ``image``: the image that measures.
    - ``arguments``: further arguments of `joulecast calibrate`.
    - ``against``: the profile in use as JSON, which the new one is compared with; None if there is none in the cluster.
    """

    calibration: Resource
    spec: CalibrationSpec
    number: int
    target: Target
    image: str
    arguments: tuple[str, ...] = ()
    against: str | None = None

    @property
    def job(self) -> str:
        """Return the name of the run's Job."""
        return job_name(self.calibration, self.number)

    @property
    def result(self) -> str:
        """Return the name of the ConfigMap that takes the result."""
        return result_name(self.calibration)


def job_name(calibration: Resource, number: int) -> str:
    """Return the name of the Job of run ``number``."""
    return f"{calibration['metadata']['name']}-{number}"


def result_name(calibration: Resource) -> str:
    """Return the name of the ConfigMap that takes the result, which is also the name of the account that writes it."""
    return f"{calibration['metadata']['name']}-calibration"


def profile_name(product: str, runtime: str) -> str:
    """Return the name of the AcceleratorEnergyProfile of a product and runtime; calibrations make one for each pair."""
    text = f"calibrated-{product}-{runtime}".lower()
    # dots are replaced too, because a name may not hold "a.-b"
    return "".join(letter if letter.isascii() and letter.isalnum() else "-" for letter in text)


def spec_hash(spec: CalibrationSpec) -> str:
    """Return the hash of the fields that say what is measured. When it changes, a new run begins.

    Fields with default values are left out, so that a version with one more field does not measure every GPU again.
    """
    return _hash(spec.model_dump(mode="json", exclude=_WHEN | _PLACEMENT, exclude_defaults=True))


def placement_hash(spec: CalibrationSpec) -> str:
    """Return the hash of the fields that say how a run's pod is placed. When it changes, the run's Job is replaced."""
    return _hash(spec.model_dump(mode="json", include=_PLACEMENT, exclude_defaults=True))


def _hash(said: Mapping[str, Any]) -> str:
    return hashlib.sha256(json.dumps(said, sort_keys=True).encode()).hexdigest()[:16]


def is_owned_by(found: Resource, calibration: Resource) -> bool:
    """Tell whether ``calibration`` owns the object ``found``."""
    owners = (found.get("metadata") or {}).get("ownerReferences") or ()
    return any(owner.get("uid") == calibration["metadata"]["uid"] for owner in owners)


def account(run: CalibrationRun) -> list[tuple[Kind, Manifest]]:
    """Return the ConfigMap for the result, and a ServiceAccount that may only patch this ConfigMap."""
    name, namespace = run.result, run.calibration["metadata"]["namespace"]
    rule = {"apiGroups": [""], "resources": ["configmaps"], "resourceNames": [name], "verbs": ["patch"]}
    reference = {"apiGroup": ROLES.group, "kind": ROLES.kind, "name": name}
    subject = {"kind": SERVICE_ACCOUNTS.kind, "name": name, "namespace": namespace}
    return [
        (CONFIG_MAPS, _object(CONFIG_MAPS, run, name) | {"data": fresh_result(run)}),
        (SERVICE_ACCOUNTS, _object(SERVICE_ACCOUNTS, run, name) | {"automountServiceAccountToken": False}),
        (ROLES, _object(ROLES, run, name) | {"rules": [rule]}),
        (ROLE_BINDINGS, _object(ROLE_BINDINGS, run, name) | {"roleRef": reference, "subjects": [subject]}),
    ]


def fresh_result(run: CalibrationRun) -> dict[str, str]:
    """Return the ConfigMap's data when a run begins."""
    data = {RUN: str(run.number)}
    return data if run.against is None else data | {AGAINST: run.against}


def job(run: CalibrationRun) -> Manifest:
    """Return the run's Job: one GPU, one pod at a time, which goes on with the stored rows if its node is lost."""
    found = _object(JOBS, run, run.job)
    if run.spec.queue_name:
        found["metadata"]["labels"][QUEUE_LABEL] = run.spec.queue_name
    ignored = {"action": "Ignore", "onPodConditions": [{"type": "DisruptionTarget", "status": "True"}]}
    codes = {"containerName": CONTAINER, "operator": "In", "values": [_USAGE_EXIT_CODE]}
    spec = {
        "suspend": run.spec.queue_name is not None,
        "parallelism": 1,
        "completions": 1,
        "backoffLimit": _BACKOFF_LIMIT,
        "podReplacementPolicy": "Failed",  # so that the next pod starts only when this one has released the GPU
        "podFailurePolicy": {"rules": [ignored, {"action": "FailJob", "onExitCodes": codes}]},
        "template": {"metadata": {"labels": dict(found["metadata"]["labels"])}, "spec": _pod(run)},
    }
    return found | {"spec": spec}


def _object(kind: Kind, run: CalibrationRun, name: str) -> Manifest:
    metadata = run.calibration["metadata"]
    owner = {
        "apiVersion": CALIBRATIONS.api_version,
        "kind": CALIBRATIONS.kind,
        "name": metadata["name"],
        "uid": metadata["uid"],
        "controller": True,
        "blockOwnerDeletion": False,
    }
    labels = {
        MANAGED_BY_LABEL: MANAGER,
        "app.kubernetes.io/component": "calibration",
        "app.kubernetes.io/instance": metadata["name"],
    }
    described = {"name": name, "namespace": metadata["namespace"], "labels": labels, "ownerReferences": [owner]}
    return {"apiVersion": kind.api_version, "kind": kind.kind, "metadata": described}


def _pod(run: CalibrationRun) -> Manifest:
    spec = run.spec
    budget_seconds = int(seconds_of(spec.budget or _BUDGET))
    pod: Manifest = {
        "restartPolicy": "Never",  # required by a podFailurePolicy
        "activeDeadlineSeconds": budget_seconds + _START_SECONDS,  # counted from the start, not while waiting for a GPU
        "serviceAccountName": run.result,
        "automountServiceAccountToken": False,  # the volume `credentials` has the token, for this container only
        "enableServiceLinks": False,
        "nodeSelector": dict(run.target.labels),
        "affinity": {"nodeAffinity": _whole_cards(run.target)},
        "tolerations": [_GPU_TOLERATION, *(_plain(toleration) for toleration in spec.tolerations)],
        "securityContext": {
            "runAsNonRoot": True,
            "runAsUser": _USER,
            "runAsGroup": _USER,
            "fsGroup": _USER,
            "seccompProfile": {"type": "RuntimeDefault"},
        },
        "containers": [_container(run)],
        "volumes": _volumes(run),
    }
    if spec.image_pull_secrets:
        pod["imagePullSecrets"] = [{"name": secret.name} for secret in spec.image_pull_secrets]
    if spec.runtime_class_name:
        pod["runtimeClassName"] = spec.runtime_class_name
    if spec.priority_class_name:
        pod["priorityClassName"] = spec.priority_class_name
    return pod


def _whole_cards(target: Target) -> Manifest:
    """Return the node affinity: nodes of the product whose GPUs are not shared, also nodes that join later."""
    expressions = [
        {"key": PRODUCT_LABEL, "operator": "In", "values": sorted({target.product, *target.spellings})},
        {"key": SHARING_LABEL, "operator": "NotIn", "values": list(SHARING)},
    ]
    terms = {"nodeSelectorTerms": [{"matchExpressions": expressions}]}
    return {"requiredDuringSchedulingIgnoredDuringExecution": terms}


def _container(run: CalibrationRun) -> Manifest:
    return {
        "name": CONTAINER,
        "image": run.image,
        "command": ["python3", "-m", "joulecast_operator.calibrations.pod"],
        "args": [*_reporting(run), "--", *_command(run)],
        "env": [{"name": "HOME", "value": "/tmp"}, {"name": "USER", "value": MANAGER}],  # noqa: S108  # the pod's own volume
        "resources": _resources(run.spec),
        "securityContext": {
            "allowPrivilegeEscalation": False,
            "readOnlyRootFilesystem": True,
            "capabilities": {"drop": ["ALL"]},
        },
        "terminationMessagePolicy": "FallbackToLogsOnError",
        "volumeMounts": [
            {"name": "rows", "mountPath": ROWS_PATH},
            {"name": "credentials", "mountPath": CREDENTIALS_PATH, "readOnly": True},
            {"name": "tmp", "mountPath": "/tmp"},  # noqa: S108
            *([{"name": "input", "mountPath": INPUT_PATH, "readOnly": True}] if run.against is not None else []),
        ],
    }


def _resources(spec: CalibrationSpec) -> Manifest:
    """Return one GPU and the amounts of the spec. A limit without a request is also the request, as in Kubernetes."""
    given = _plain(spec.resources) if spec.resources else {}
    requests, limits = given.get("requests", {}), given.get("limits", {})
    unasked = {name: amount for name, amount in _REQUESTS.items() if name not in limits}
    return {"requests": unasked | requests, "limits": {GPU: "1"} | limits}


def _reporting(run: CalibrationRun) -> list[str]:
    """Return the arguments of `calibrations.pod`: where to write the result, and the profile to compare with."""
    namespace = run.calibration["metadata"]["namespace"]
    known = [f"--against={INPUT_PATH}/{AGAINST}"] if run.against is not None else []
    return [
        f"--config-map={run.result}",
        f"--namespace={namespace}",
        f"--run={run.number}",
        f"--credentials={CREDENTIALS_PATH}",
        f"--folder={_folder(run)}",
        f"--product={run.target.product}",
        f"--runtime={run.spec.runtime}",
        *known,
    ]


def _command(run: CalibrationRun) -> list[str]:
    spec = run.spec
    chosen = [part for name in spec.slices for part in ("--slice", name)]
    return [
        *("joulecast", "calibrate", "--folder", f"{_folder(run)}/rows"),
        *(["--budget", spec.budget] if spec.budget else []),
        *(["--runtime", spec.runtime] if spec.runtime != CalibrationSpec.model_fields["runtime"].default else []),
        *(["--precision", spec.precision] if spec.precision != "default" else []),
        *(["--quick"] if spec.quick else []),
        *chosen,
        *run.arguments,
    ]


def _folder(run: CalibrationRun) -> str:
    """Return the folder of this run, which no other run uses: calibrations may share a volume claim."""
    metadata = run.calibration["metadata"]
    return f"{ROWS_PATH}/{metadata['name']}-{metadata['uid'][:8]}/{run.number}"


def _volumes(run: CalibrationRun) -> list[Manifest]:
    kept = run.spec.storage
    rows = {"persistentVolumeClaim": {"claimName": kept.claim_name}} if kept else {"emptyDir": {"sizeLimit": "1Gi"}}
    token = {"serviceAccountToken": {"path": "token", "expirationSeconds": _TOKEN_SECONDS}}
    authority = {"name": "kube-root-ca.crt", "items": [{"key": "ca.crt", "path": "ca.crt"}]}
    found = [
        {"name": "rows", **rows},
        {"name": "credentials", "projected": {"sources": [token, {"configMap": authority}]}},
        {"name": "tmp", "emptyDir": {"sizeLimit": "10Gi"}},  # weights and compiled kernels
    ]
    if run.against is not None:
        items = [{"key": AGAINST, "path": AGAINST}]
        found.append({"name": "input", "configMap": {"name": run.result, "items": items}})
    return found


def _plain(part: Any) -> Manifest:
    found: Manifest = part.model_dump(by_alias=True, exclude_none=True)
    return found
