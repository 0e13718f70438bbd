"""Explain a forecast from the status of its estimate: model, phases, layers, and what widens the interval; pure.

Nothing is computed anew: that would need the model and the rights to fetch it, which a user may not have.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Final

from joulecast.errors import JoulecastError
from joulecast.printable import bounded
from joulecast.units import round_significant
from joulecast_operator.api.annotations import READY, annotations_of, state_of
from joulecast_operator.api.objects import Resource, mapping, mappings
from joulecast_operator.api.products import product_named
from joulecast_operator.kubectl.standing import Figure, Standing, document_of, figure_of
from joulecast_operator.workloads.choice import Wanted, answers, rows_of
from joulecast_operator.workloads.dimensions import ACCELERATORS, BATCHES, DIMENSIONS, PHASES, Dimension
from joulecast_operator.workloads.sentences import forecast

SAYS: Final = {
    "annotation": "the annotation joulecast.dev/for-accelerator",
    "nodeSelector": "the node selector of the pods",
    "nodeAffinity": "the required node affinity of the pods",
    "acceleratorType": "the accelerator_type of the model's llm_config",
    "resource": "the extended resource that the pods ask for, and the nodes that have it",
    "claim": "the resource claims of the pods, and the ResourceSlices of the cluster",
    "queue": "the flavours of the workload's Kueue queue",
    "nodes": "the nodes of the cluster",
}
"""What a source of the accelerators of a target means."""

_DIGITS: Final = 6  # of a figure, as in a status
_SHOWN: Final = 128  # characters of a wrong name that a message repeats

ORIGINS: Final = {
    "measured": "joulecast's own measurements of this accelerator",
    "public": "published measurements of this accelerator's energy",
    "transferred": "measurements of other accelerators' energy, and this one's data sheet",
    "datasheet": "the accelerator's data sheet alone",
}
"""What an origin of a forecast means."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Phase:
    """A part of a request. ``share``: of the request's joules; ``tokens``: those that it reads or writes."""

    name: str
    joules: float
    share: float
    tokens: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Explanation:
    """Why a number is what it is.

    - ``standing``: the workload, or the estimate itself in its place.
    - ``estimate``: the estimate; None where none is about the workload.
    - ``row``: the result that is explained; None where there is none.
    - ``phases``: the parts of a request to a language model.
    - ``layers``: those that spend most of the result, each with its ``share`` and, where that is known, its ``joules``.
    - ``reasons``: what widens its interval; None where the status does not say.
    - ``is_first``: whether ``row`` is the first result, which is the one that is priced at a site.
    - ``asked``: which result options of the command line choose in place of the one that applies; {} for none.
    """

    standing: Standing
    estimate: Resource | None = None
    row: Resource | None = None
    phases: tuple[Phase, ...] = ()
    layers: tuple[Resource, ...] = ()
    reasons: tuple[str, ...] | None = None
    is_first: bool = True
    asked: Wanted = field(default_factory=dict)
    others: tuple[Resource, ...] = field(default=(), repr=False)

    @property
    def figure(self) -> Figure | None:
        """Return the energy of the result that is explained."""
        return None if self.row is None else figure_of(self.row)

    @property
    def conditions(self) -> list[Resource]:
        """Return the conditions of the estimate."""
        return mappings(mapping(mapping(self.estimate).get("status")).get("conditions"))


def explained(standing: Standing, asked: Wanted | None = None) -> Explanation:
    """Explain how a workload stands, by the result that is ``asked`` for in place of the one that applies.

    Raises JoulecastError where there is no such result.
    """
    standing = _with_result(standing, asked) if asked else standing
    estimate, row = standing.estimate, standing.row
    if estimate is None:
        return Explanation(standing=standing)
    rows = rows_of(estimate)
    if row is None:
        return Explanation(standing=standing, estimate=estimate, others=tuple(rows))
    reasons, is_first = row.get("intervalReasons"), row is rows[0]
    return Explanation(
        standing=standing,
        estimate=estimate,
        row=row,
        phases=_phases(row),
        layers=_layers(estimate, row, is_first=is_first),
        reasons=tuple(map(str, reasons)) if isinstance(reasons, list) else None,
        is_first=is_first,
        asked=asked or {},
        others=tuple(each for each in rows if each is not row),
    )


def result_asked(accelerator: str | None, batch_size: int | None) -> Wanted:
    """Return which result options of the command line choose; {} where they choose none."""
    chosen = {
        ACCELERATORS.field: None if accelerator is None else product_named(accelerator),
        BATCHES.field: None if batch_size is None else str(batch_size),
    }
    return {field: (value,) for field, value in chosen.items() if value is not None}


def _with_result(standing: Standing, wanted: Wanted) -> Standing:
    """Return how a workload or an estimate stands by the result that is ``wanted``, of several by the one that is most
    like the result that applies. Raises JoulecastError where there is none."""
    estimate = standing.estimate
    rows = [] if estimate is None or state_of(estimate) != READY else rows_of(estimate)
    if estimate is None or not rows:
        raise JoulecastError(
            f"{standing.title} has no result to choose from: {standing.sentence}", reason="ResultNotFound"
        )
    applies = standing.row or {}
    found = max(
        (row for row in rows if answers(row, wanted)),
        key=lambda row: [each.value(row) == each.value(applies) for each in DIMENSIONS],
        default=None,
    )
    if found is None:
        raise JoulecastError(_no_such_result(estimate, rows, wanted), reason="ResultNotFound")
    return replace(standing, row=found, sentence=forecast(found, estimate))


def asked_text(asked: Wanted) -> str:
    """Return in words which result is asked for, such as ``batch size 32``; "" for none."""
    named = (each for each in DIMENSIONS if each.field in asked)
    return " and ".join(f"{each.words} {bounded(asked[each.field][0], _SHOWN)}" for each in named)


def _no_such_result(estimate: Resource, rows: Sequence[Resource], asked: Wanted) -> str:
    held = "; ".join(_held(rows, each) for each in DIMENSIONS if each.field in asked)
    name = mapping(estimate.get("metadata")).get("name")
    return f"the estimate {name!r} has no result for {asked_text(asked)}: {held}"


def _held(rows: Sequence[Resource], dimension: Dimension) -> str:
    values = dict.fromkeys(value for row in rows if (value := dimension.value(row)))
    listed = f"its {dimension.plural} are {', '.join(values)}"
    return listed if values else f"its results have no {dimension.words}, so leave that out"


def model_facts(estimate: Resource) -> dict[str, str]:
    """Return which model the estimate is of, and what was read of a target's command, as lines by name."""
    status = mapping(estimate.get("status"))
    understood, totals = mapping(status.get("understood")), mapping(status.get("totals"))
    path = f", {status['modelPath']} in it" if status.get("modelPath") else ""
    read = f"{understood.get('engine')} in container {understood.get('container')}" if understood else ""
    return {
        "model": f"{status.get('image') or ''}{path}",
        "digest": str(status.get("modelDigest") or ""),
        "engine": read,
        "follows": ", ".join(map(str, understood.get("used") or ())),
        "ignores": ", ".join(map(str, understood.get("ignored") or ())),
        "counted": f"{totals['macs']:,} MACs, {totals['params']:,} parameters" if totals else "",
        "not counted": ", ".join(map(str, status.get("unsupportedOperators") or ())),
    }


def accelerator_facts(estimate: Resource) -> dict[str, str]:
    """Return which accelerators the forecast is for and what said so, as lines by name."""
    spec, target = mapping(estimate.get("spec")), mapping(mapping(estimate.get("status")).get("target"))
    found, given = mapping(target.get("accelerators")), mapping(spec.get("accelerators"))
    if given:
        said = "spec.accelerators of the estimate"
    elif found:
        source = found.get("source")
        said = SAYS.get(str(source), str(source)) if source else ""
    else:
        said = SAYS["nodes"]
    return {
        "accelerators by": said,
        "may run on": ", ".join(map(str, found.get("products") or ())) if len(found.get("products") or ()) > 1 else "",
        "decides": f"{found['decides']}, which needs most energy" if found.get("decides") else "",
        "range": str(found.get("range") or ""),
        "left out": str(found.get("message") or ""),
    }


def cost_text(estimate: Resource) -> str:
    """Return what the first result costs and emits at a site; "" where no site prices it."""
    summary = mapping(mapping(estimate.get("status")).get("summary"))
    told = ", ".join(str(summary[name]) for name in ("cost", "carbon") if summary.get(name))
    return f"{told} at {summary['site']}" if told and summary.get("site") else ""


def explanation_document(explanation: Explanation) -> dict[str, Any]:
    """Return an explanation as a document."""
    status = mapping(mapping(explanation.estimate).get("status"))
    found: dict[str, Any] = {
        "object": document_of(explanation.standing),
        "result": explanation.row,
        "phases": [
            {"name": each.name, "joules": each.joules, "share": each.share, "tokens": each.tokens}
            for each in explanation.phases
        ],
        "topLayers": list(explanation.layers),
        "intervalReasons": None if explanation.reasons is None else list(explanation.reasons),
        "otherResults": list(explanation.others),
        "conditions": explanation.conditions,
    }
    of_status = ("image", "modelDigest", "modelPath", "understood", "target", "totals", "unsupportedOperators")
    if explanation.asked:
        found["asked"] = {field: values[0] for field, values in explanation.asked.items()}
    priced = ("cost",) if explanation.is_first else ()
    return found | {name: status[name] for name in (*of_status, *priced) if name in status}


def standing_of_estimate(estimate: Resource, *, state: str, message: str) -> Standing:
    """Return how an estimate stands by itself, with its first result."""
    metadata, target = mapping(estimate.get("metadata")), mapping(mapping(estimate.get("status")).get("target"))
    rows, pods = rows_of(estimate), target.get("pods")
    uncounted = str(target.get("message") or "")
    replicas = None if uncounted else target.get("replicas")
    return Standing(
        kind="InferenceEnergyEstimate",
        namespace=str(metadata.get("namespace")),
        name=str(metadata.get("name")),
        state=state,
        sentence=message,
        pods=pods if isinstance(pods, int) else None,
        replicas=replicas if isinstance(replicas, int) else None,
        uncounted=uncounted,
        estimate=estimate,
        row=rows[0] if rows and state == "Ready" else None,
    )


def chosen_by(workload: Resource) -> dict[str, str]:
    """Return the annotations of the workload that choose the result, without their prefix."""
    given = {each.annotation: each.given(annotations_of(workload)) for each in DIMENSIONS if each.annotation}
    return {name.partition("/")[2]: value for name, value in given.items() if value}


def _layers(estimate: Resource, row: Resource, *, is_first: bool) -> tuple[Resource, ...]:
    """Return the layers that spend most of a result: of the first one those of the status, which are more.

    A layer's joules are a share of a batch; those of a decode step are in no result.
    """
    of_status = mappings(mapping(estimate.get("status")).get("topLayers"))
    if is_first and of_status:
        return tuple(of_status)
    total = row.get("joulesPerBatch")
    return tuple(
        {**each, "joules": round_significant(_share(each) * total, _DIGITS)} if total else each
        for each in mappings(row.get("topLayers"))
    )


def _share(layer: Resource) -> float:
    return float(layer.get("share") or 0.0)


def _phases(row: Resource) -> tuple[Phase, ...]:
    """Return what the input and the output of a request cost; () for a single phase."""
    total, tokens = float(row.get("joulesPerRequest") or 0.0), _tokens(row)
    if PHASES.value(row) != "request" or not total:
        return ()
    read = min(float(row.get("joulesPerInputToken") or 0.0) * tokens["inputTokens"], total)
    parts: Sequence[tuple[str, float, int]] = (
        ("prefill", read, tokens["inputTokens"]),
        ("decode", total - read, tokens["outputTokens"]),
    )
    return tuple(Phase(name=name, joules=joules, share=joules / total, tokens=count) for name, joules, count in parts)


def _tokens(row: Resource) -> Mapping[str, int]:
    return {name: int(row.get(name) or 0) for name in ("inputTokens", "outputTokens")}
