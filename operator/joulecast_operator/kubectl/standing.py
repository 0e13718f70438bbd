"""Tell how a workload stands: its forecast, or why it has none, and the power that follows; pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from joulecast_operator.api.annotations import READY
from joulecast_operator.api.kinds import CUSTOM, TARGETS
from joulecast_operator.api.objects import Resource, mapping
from joulecast_operator.api.workload import quantity
from joulecast_operator.estimates.fleet import asked_of, busy_share, power_watts
from joulecast_operator.estimates.replicas import replicas_of, uncounted
from joulecast_operator.index import slim
from joulecast_operator.index.stores import Link
from joulecast_operator.sites.costs import OF_PHASE
from joulecast_operator.workloads import discovery
from joulecast_operator.workloads.choice import estimate_for, estimate_targeting
from joulecast_operator.workloads.dimensions import PHASES
from joulecast_operator.workloads.pods import PODS, kind_of
from joulecast_operator.workloads.verdict import verdict_on

NONE: Final = "None"
"""The state of a workload that no estimate is about."""

_SKIPPED: Final = "it asks for no forecast by the annotation joulecast.dev/skip"
_WITHOUT: Final = (
    "no estimate is about it: apply an InferenceEnergyEstimate with targetRef, or annotate it with joulecast.dev/model"
)

_UNTARGETED: Final = "no estimate is about it: apply an InferenceEnergyEstimate whose targetRef names it"


@dataclass(frozen=True, slots=True, kw_only=True)
class Figure:
    """Energy with its interval, in joules. ``per``: what it is of: inference, request, input token, output token."""

    per: str
    joules: float
    lower: float
    upper: float


UNSEEN: Final = "the controller has not looked at it yet: check that it runs"
"""What is said of an object without a status."""


def figure_of(row: Resource) -> Figure:
    """Return the energy of a result, of one inference where it is of a batch."""
    per, name = OF_PHASE.get(PHASES.value(row), OF_PHASE["forward"])
    size = int(row.get("batchSize") or 1) if per == "inference" else 1
    joules, lower, upper = (float(row.get(f"{name}{end}") or 0.0) / size for end in ("", "Lower", "Upper"))
    return Figure(per=per.replace("_", " "), joules=joules, lower=lower, upper=upper)


class Estimates:
    """The estimates of some namespaces, found as the controller's index finds them."""

    def __init__(self, resources: Iterable[Resource]) -> None:
        """Hold ``resources``; of two that have one name the later one."""
        self._named = {_place(resource): resource for resource in resources}
        self._linked: dict[Link, list[Resource]] = {}
        for resource in self._named.values():
            for link in slim.estimate_links(resource):
                self._linked.setdefault(link, []).append(resource)

    def get(self, namespace: str, name: str) -> Resource | None:
        """Return the estimate of that name; None if there is none."""
        return self._named.get((namespace, name))

    def by_target(self, namespace: str, kind: str, name: str) -> Iterable[Resource]:
        """Return estimates whose targetRef is that workload."""
        return self._linked.get((slim.TARGET + kind, namespace, name), ())

    def by_model(self, namespace: str, reference: str) -> Iterable[Resource]:
        """Return estimates that name exactly that image or address of a model."""
        return self._linked.get((slim.MODEL, namespace, reference), ())


@dataclass(frozen=True, slots=True, kw_only=True)
class Standing:
    """How a workload stands.

    - ``kind``, ``namespace``, ``name``: the workload.
    - ``state``: ``Ready``, ``Pending``, ``Failed``, or ``None`` where no estimate is about it.
    - ``sentence``: the same in words.
    - ``pods``: the pods that it asks for at once; None where that is not known.
    - ``replicas``: how many times these serve the model, each as the result has it; None where that is not known, and
      ``uncounted`` says why.
    - ``estimate``: the estimate about it, and ``row`` the result of it that fits the workload; None without one.
    """

    kind: str
    namespace: str
    name: str
    state: str
    sentence: str
    pods: int | None = None
    replicas: int | None = None
    uncounted: str = ""
    estimate: Resource | None = field(default=None, repr=False)
    row: Resource | None = field(default=None, repr=False)

    @property
    def title(self) -> str:
        """Return the kind and name as kubectl writes them."""
        return f"{self.kind.lower()}/{self.name}"

    @property
    def figure(self) -> Figure | None:
        """Return the energy of an inference, request or token; None without a forecast."""
        return None if self.row is None else figure_of(self.row)

    @property
    def accelerator(self) -> str | None:
        """Return the accelerator that the forecast is for; None without one."""
        return None if self.row is None else str(self.row.get("accelerator"))

    @property
    def asked(self) -> Resource:
        """Return how the estimate says that the model is run: its ``spec.workload``."""
        return asked_of(self.estimate or {})

    @property
    def load(self) -> str | None:
        """Return how busy each pod is, such as ``2 requests/s`` or ``40 %``; None where the estimate does not say."""
        if self.row is None or busy_share(self.asked, self.row) is None:
            return None
        percent = self.asked.get("utilizationPercent")
        return f"{percent} %" if percent is not None else f"{quantity(self.asked['requestsPerSecond']):g} requests/s"

    @property
    def watts(self) -> float | None:
        """Return the power of all replicas at their load, pauses included; None where that is not known."""
        return None if self.row is None else power_watts(self.asked, self.row, self.replicas)

    @property
    def busy_watts(self) -> float | None:
        """Return the power of all replicas while each runs without a pause; None where that is not known."""
        if self.row is None or self.replicas is None:
            return None
        return float(self.row.get("averagePowerWatts") or 0.0) * self.replicas


def standing_of(workload: Resource, estimates: Estimates, namespace: str) -> Standing:
    """Return how ``workload`` stands by the estimates of its ``namespace``, as the controller sees it."""
    kind = TARGETS[kind_of(workload)]
    seen = slim.workload(kind, workload)
    name = str(mapping(workload.get("metadata")).get("name"))
    found: dict[str, Any] = {"kind": kind.kind, "namespace": namespace, "name": name, "pods": seen.get(PODS)}
    if discovery.skipped(seen):
        return Standing(**found, state=NONE, sentence=_SKIPPED)
    is_custom = kind.kind in CUSTOM
    estimate = (estimate_targeting if is_custom else estimate_for)(seen, estimates, namespace=namespace)
    verdict = None if is_custom and estimate is None else verdict_on(seen, estimate, namespace)
    if verdict is None:
        return Standing(**found, state=NONE, sentence=_UNTARGETED if is_custom else _WITHOUT)
    row = verdict.row if verdict.state == READY else None
    if row is not None:
        why = uncounted(seen, row)
        found |= {"replicas": None if why else replicas_of(seen), "uncounted": why}
    return Standing(**found, state=verdict.state, sentence=verdict.sentence, estimate=estimate, row=row)


def is_counted(workload: Resource) -> bool:
    """Tell whether a workload stands for itself: one that a controller owns is counted as its owner."""
    return discovery.top_owner(workload) is None


def document_of(standing: Standing) -> dict[str, Any]:
    """Return a standing as a document; what is not known is left out."""
    figure = standing.figure
    energy = figure and {"per": figure.per, "joules": figure.joules, "lower": figure.lower, "upper": figure.upper}
    row: Mapping[str, Any] = standing.row or {}
    found: dict[str, Any] = {
        "namespace": standing.namespace,
        "kind": standing.kind,
        "name": standing.name,
        "state": standing.state,
        "message": standing.sentence,
        "estimate": mapping(mapping(standing.estimate).get("metadata")).get("name"),
        "accelerator": standing.accelerator,
        "origin": row.get("origin"),
        "pods": standing.pods,
        "replicas": standing.replicas,
        "energy": energy,
        "load": standing.load,
        "watts": standing.watts,
        "busyWatts": standing.busy_watts,
        "powerMessage": standing.uncounted or None,
    }
    return {name: value for name, value in found.items() if value is not None}


def _place(estimate: Resource) -> tuple[str, str]:
    metadata = mapping(estimate.get("metadata"))
    return str(metadata.get("namespace")), str(metadata.get("name"))
