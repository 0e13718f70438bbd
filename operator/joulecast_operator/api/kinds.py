"""The Kubernetes kinds that joulecast reads and writes, and their API paths."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

GROUP: Final = "joulecast.dev"
VERSION: Final = "v1alpha1"
API_VERSION: Final = f"{GROUP}/{VERSION}"

MANAGED_BY_LABEL: Final = "app.kubernetes.io/managed-by"
MANAGER: Final = "joulecast"
"""The label that marks every object that joulecast creates, and its value."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Kind:
    """A kind of object of the Kubernetes API, and where the API serves it.

    - ``group``: the API group; "" for the core group.
    - ``version``: the API version within the group.
    - ``plural``: the name of the collection in URLs.
    - ``kind``: the name in manifests.
    - ``namespaced``: whether its objects belong to namespaces.
    - ``optional``: whether joulecast works where it may not read the kind, or where the cluster does not serve it.
    """

    group: str
    version: str
    plural: str
    kind: str
    namespaced: bool = True
    optional: bool = False

    @property
    def api_version(self) -> str:
        """Return the value of the field apiVersion."""
        return f"{self.group}/{self.version}" if self.group else self.version

    def path(self, namespace: str | None = None, name: str | None = None, subresource: str | None = None) -> str:
        """Return the URL path of the collection, of one object or of its subresource."""
        parts = ["apis", self.group, self.version] if self.group else ["api", self.version]
        if self.namespaced and namespace is not None:
            parts += ["namespaces", namespace]
        parts += [part for part in (self.plural, name, subresource) if part is not None]
        return "/" + "/".join(parts)


ESTIMATES: Final = Kind(group=GROUP, version=VERSION, plural="inferenceenergyestimates", kind="InferenceEnergyEstimate")
PROFILES: Final = Kind(
    group=GROUP, version=VERSION, plural="acceleratorenergyprofiles", kind="AcceleratorEnergyProfile", namespaced=False
)
SITES: Final = Kind(
    group=GROUP, version=VERSION, plural="energysites", kind="EnergySite", namespaced=False, optional=True
)
CALIBRATIONS: Final = Kind(group=GROUP, version=VERSION, plural="energycalibrations", kind="EnergyCalibration")
PLANS: Final = Kind(group=GROUP, version=VERSION, plural="energyplans", kind="EnergyPlan", optional=True)
DEPLOYMENTS: Final = Kind(group="apps", version="v1", plural="deployments", kind="Deployment")
STATEFUL_SETS: Final = Kind(group="apps", version="v1", plural="statefulsets", kind="StatefulSet", optional=True)
DAEMON_SETS: Final = Kind(group="apps", version="v1", plural="daemonsets", kind="DaemonSet", optional=True)
JOBS: Final = Kind(group="batch", version="v1", plural="jobs", kind="Job", optional=True)
CRON_JOBS: Final = Kind(group="batch", version="v1", plural="cronjobs", kind="CronJob", optional=True)
INFERENCE_SERVICES: Final = Kind(
    group="serving.kserve.io", version="v1beta1", plural="inferenceservices", kind="InferenceService", optional=True
)
LLM_INFERENCE_SERVICES: Final = Kind(
    group="serving.kserve.io",
    version="v1alpha1",
    plural="llminferenceservices",
    kind="LLMInferenceService",
    optional=True,
)
RAY_SERVICES: Final = Kind(group="ray.io", version="v1", plural="rayservices", kind="RayService", optional=True)
LEADER_WORKER_SETS: Final = Kind(
    group="leaderworkerset.x-k8s.io", version="v1", plural="leaderworkersets", kind="LeaderWorkerSet", optional=True
)
NIM_SERVICES: Final = Kind(
    group="apps.nvidia.com", version="v1alpha1", plural="nimservices", kind="NIMService", optional=True
)
CLAIMS: Final = Kind(
    group="resource.k8s.io", version="v1", plural="resourceclaims", kind="ResourceClaim", optional=True
)
CLAIM_TEMPLATES: Final = Kind(
    group="resource.k8s.io", version="v1", plural="resourceclaimtemplates", kind="ResourceClaimTemplate", optional=True
)
DEVICE_CLASSES: Final = Kind(
    group="resource.k8s.io", version="v1", plural="deviceclasses", kind="DeviceClass", namespaced=False, optional=True
)
RESOURCE_SLICES: Final = Kind(
    group="resource.k8s.io", version="v1", plural="resourceslices", kind="ResourceSlice", namespaced=False,
    optional=True,
)  # fmt: skip
LOCAL_QUEUES: Final = Kind(
    group="kueue.x-k8s.io", version="v1beta1", plural="localqueues", kind="LocalQueue", optional=True
)
CLUSTER_QUEUES: Final = Kind(
    group="kueue.x-k8s.io", version="v1beta1", plural="clusterqueues", kind="ClusterQueue", namespaced=False,
    optional=True,
)  # fmt: skip
RESOURCE_FLAVORS: Final = Kind(
    group="kueue.x-k8s.io", version="v1beta1", plural="resourceflavors", kind="ResourceFlavor", namespaced=False,
    optional=True,
)  # fmt: skip
NODES: Final = Kind(group="", version="v1", plural="nodes", kind="Node", namespaced=False)
NAMESPACES: Final = Kind(group="", version="v1", plural="namespaces", kind="Namespace", namespaced=False)
CONFIG_MAPS: Final = Kind(group="", version="v1", plural="configmaps", kind="ConfigMap")
SECRETS: Final = Kind(group="", version="v1", plural="secrets", kind="Secret")
EVENTS: Final = Kind(group="", version="v1", plural="events", kind="Event")
PODS: Final = Kind(group="", version="v1", plural="pods", kind="Pod")
SERVICE_ACCOUNTS: Final = Kind(group="", version="v1", plural="serviceaccounts", kind="ServiceAccount")
ROLES: Final = Kind(group="rbac.authorization.k8s.io", version="v1", plural="roles", kind="Role")
ROLE_BINDINGS: Final = Kind(group="rbac.authorization.k8s.io", version="v1", plural="rolebindings", kind="RoleBinding")
WEBHOOK_CONFIGURATIONS: Final = Kind(
    group="admissionregistration.k8s.io",
    version="v1",
    plural="mutatingwebhookconfigurations",
    kind="MutatingWebhookConfiguration",
    namespaced=False,
)
ACCESS_REVIEWS: Final = Kind(
    group="authorization.k8s.io",
    version="v1",
    plural="selfsubjectaccessreviews",
    kind="SelfSubjectAccessReview",
    namespaced=False,
)

ANNOTATED: Final = {kind.kind: kind for kind in (DEPLOYMENTS, STATEFUL_SETS, DAEMON_SETS, JOBS, CRON_JOBS)}
"""The kinds of workloads that joulecast annotates, and reviews at admission, by their names in manifests."""

CUSTOM: Final = {
    kind.kind: kind
    for kind in (INFERENCE_SERVICES, LLM_INFERENCE_SERVICES, RAY_SERVICES, LEADER_WORKER_SETS, NIM_SERVICES)
}
"""Kinds of workloads that come with a CustomResourceDefinition. joulecast reads them and never writes them, because
controllers such as KServe's copy annotations into pod templates."""

TARGETS: Final = ANNOTATED | CUSTOM
"""The kinds of workloads that an estimate may name in its targetRef, by their names in manifests."""

OFFERS: Final = {
    kind.kind: kind
    for kind in (
        DEVICE_CLASSES,
        RESOURCE_SLICES,
        CLAIM_TEMPLATES,
        CLAIMS,
        RESOURCE_FLAVORS,
        CLUSTER_QUEUES,
        LOCAL_QUEUES,
    )
}
"""Kinds that say which accelerators a workload may get, by resource claims and by Kueue's queues; only read."""
