"""Count how many times a workload serves its model at once, and tell whether a forecast is of one of these; pure."""

from __future__ import annotations

from typing import Final

from joulecast_operator.api.kinds import CUSTOM
from joulecast_operator.api.objects import Resource
from joulecast_operator.api.products import GPU
from joulecast_operator.workloads import placement
from joulecast_operator.workloads.containers import serving, unread
from joulecast_operator.workloads.dimensions import DEGREES, PHASES
from joulecast_operator.workloads.engines.served import ServedModel
from joulecast_operator.workloads.pods import CARDS, PODS, REPLICAS, kind_of, pod_spec

_UNKNOWN: Final = "the power of all replicas is not known, because "

_UNCOUNTED: Final = "it is not known how many times its pods serve the model"
_DIVIDED: Final = "the model is split by pipeline or data, which the forecast does not follow"
_PART: Final = (
    "the engine may hand over requests between prefill and decode, and the forecast is of whole requests: forecast one"
    " phase in spec.workload.phase"
)
_CARDS: Final = "neither the pods nor the command of an engine say on how many accelerators a replica runs"
_UNREAD: Final = "on how many accelerators a replica runs may stand in {}, which is not read"


def replicas_of(workload: Resource) -> int | None:
    """Return how many times the pods of a stored workload serve its model at once; None where that is not known.

    Of a built-in kind each pod does so. Of a custom kind several pods may share one model.
    """
    found: int | None = workload.get(REPLICAS if kind_of(workload) in CUSTOM else PODS)
    return found


def uncounted(workload: Resource, row: Resource) -> str:
    """Return why the power of ``row``, a result, times the replicas is not that of the workload; "" if it is."""
    if replicas_of(workload) is None:
        known = kind_of(workload) not in CUSTOM  # of a DaemonSet that was not scheduled yet
        return "" if known else f"{_UNKNOWN}{_UNCOUNTED}"
    why = _unlike(workload, row)
    return f"{_UNKNOWN}{why}" if why else ""


def replicas_like(workload: Resource, row: Resource) -> int | None:
    """Return how many replicas, each as ``row`` has it, a workload has; None where that is not known."""
    return None if uncounted(workload, row) else replicas_of(workload)


def _unlike(workload: Resource, row: Resource) -> str:
    """Return in what a replica differs from that of a result; "" for nothing."""
    served, asked, base = serving(workload), _asked_cards(workload), unread(workload)
    engine = served if isinstance(served, ServedModel) else None
    if engine and engine.is_part and PHASES.value(row) == "request":
        return _PART
    if engine and engine.is_divided:
        return _DIVIDED
    if asked is None and base:
        return _UNREAD.format(base)
    cards, priced = asked or (engine.cards if engine else None), int(DEGREES.value(row))
    if cards is not None:
        return "" if cards == priced else _other_cards(cards, priced)
    is_one_pod = replicas_of(workload) == workload.get(PODS)
    return "" if engine is None and is_one_pod else _CARDS  # of another program the estimate tells the cards


def _asked_cards(workload: Resource) -> int | None:
    """Return the GPUs that one replica asks for; None where the pods do not say it."""
    if kind_of(workload) in CUSTOM:
        found: int | None = workload.get(CARDS)
        return found
    return placement.devices(pod_spec(workload)).get(GPU)


def _other_cards(cards: int, priced: int) -> str:
    asked = f"a replica has {cards} accelerator{'s' if cards > 1 else ''} and the forecast is of {priced}"
    return f"{asked}: make them agree, by spec.workload.tensorParallel or by what the pods ask for"
