"""Compare the forecasts of objects as they are with those of the same objects after an apply; pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any, Final, Literal

from joulecast_operator.api.kinds import ESTIMATES
from joulecast_operator.api.objects import Resource, mapping
from joulecast_operator.kubectl.standing import Standing, document_of

Outcome = Literal["new", "changed", "same", "unknown", "refused"]
"""What applying an object does to its forecast. new: there was none. unknown: there is none yet after it. refused: the
API server would not accept the object."""

_SAME: Final = 1e-3  # of the joules; annotations have three digits


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """What applying one object would do.

    - ``kind``, ``namespace``, ``name``: the object.
    - ``before``, ``after``: how it stands now and then; None where it is not there, or is refused.
    - ``refusal``: what the API server says against it; "" if nothing.
    - ``untried``: why the API server could not try it, so that ``after`` is as it is written; "" if it did.
    """

    kind: str
    namespace: str
    name: str
    before: Standing | None = None
    after: Standing | None = None
    refusal: str = ""
    untried: str = ""

    @property
    def title(self) -> str:
        """Return the kind and name as kubectl writes them."""
        return f"{self.kind.lower()}/{self.name}"

    @property
    def outcome(self) -> Outcome:
        """Return what applying does to the forecast."""
        if self.after is None:
            return "refused"
        if self.after.row is None:
            return "unknown"
        if self.before is None or self.before.row is None:
            return "new"
        return "changed" if self._differs(self.before, self.after) else "same"

    @property
    def ratio(self) -> float | None:
        """Return the energy after ÷ before of one inference, request or token; None if they cannot be compared."""
        old, new = (None if each is None else each.figure for each in (self.before, self.after))
        return None if old is None or new is None or old.per != new.per or not old.joules else new.joules / old.joules

    def _differs(self, before: Standing, after: Standing) -> bool:
        seen = [(each.accelerator, each.pods, each.replicas, each.load) for each in (before, after)]
        return seen[0] != seen[1] or self.ratio is None or abs(self.ratio - 1) > _SAME


NoteOutcome = Literal["new", "changed", "same", "refused"]
"""What applying does to an object that has no forecast of its own."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Note:
    """What applying a plan or a site does, in a sentence. ``namespace``: "" for a site."""

    kind: str
    namespace: str
    name: str
    outcome: NoteOutcome
    sentence: str

    @property
    def title(self) -> str:
        """Return the kind and name as kubectl writes them, and the namespace."""
        return f"{self.kind.lower()}/{self.name}{f' in {self.namespace}' if self.namespace else ''}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Comparison:
    """What applying manifests would do.

    - ``changes``: one for each workload and estimate.
    - ``notes``: one for each plan and site.
    - ``others``: how many objects of other kinds there are, which have no forecast, by kind.
    """

    changes: tuple[Change, ...]
    others: Mapping[str, int] = field(default_factory=dict)
    notes: tuple[Note, ...] = ()

    @property
    def busy_watts(self) -> tuple[float, float]:
        """Return the power of all pods while they are busy, before and after, of workloads known at both times."""
        workloads = [each for each in self.changes if each.kind != ESTIMATES.kind]
        pairs = [(_busy(each.before), each.after.busy_watts) for each in workloads if each.after is not None]
        known = [(before, after) for before, after in pairs if before is not None and after is not None]
        return sum(before for before, _ in known), sum(after for _, after in known)

    @property
    def unknown(self) -> list[Change]:
        """Return the changes after which there is no forecast yet, or that the API server refuses."""
        return [each for each in self.changes if each.outcome in ("unknown", "refused")]


def compared(changes: Iterable[Change], others: Sequence[str], notes: Iterable[Note] = ()) -> Comparison:
    """Return the comparison of ``changes``. ``others``: the kind of each object that is not tried."""
    counts = {kind: others.count(kind) for kind in dict.fromkeys(others)}
    return Comparison(changes=tuple(changes), others=counts, notes=tuple(notes))


def site_note(live: Resource | None, site: Resource, *, is_same: bool) -> str:
    """Return what applying a site does. ``live``: it now; ``is_same``: whether its spec stays as it is."""
    said = "a site changes no joules"
    if is_same:
        return f"{said}: its figures stay as they are"
    if live is None:
        further = ", and those that name none" if mapping(site.get("spec")).get("default") else ""
        return f"{said}: after the apply it prices the estimates and plans that name it in spec.siteName{further}"
    status = mapping(live.get("status"))
    counts = [f"{count} {name}" for name in ("estimates", "plans") if (count := status.get(name)) is not None]
    priced = f", {' and '.join(counts)} now" if counts else ""
    return f"{said}: after the apply everything that it prices is priced anew{priced}"


def comparison_document(comparison: Comparison) -> dict[str, Any]:
    """Return a comparison as a document."""
    before, after = comparison.busy_watts
    return {
        "changes": [_document(each) for each in comparison.changes],
        "busyWatts": {"before": before, "after": after},
        "notes": [asdict(each) for each in comparison.notes],
        "others": dict(comparison.others),
    }


def _document(change: Change) -> dict[str, Any]:
    found: dict[str, Any] = {
        "kind": change.kind,
        "namespace": change.namespace,
        "name": change.name,
        "outcome": change.outcome,
    }
    said = {"refusal": change.refusal, "untried": change.untried}
    found |= {name: text for name, text in said.items() if text}
    for name, standing in (("before", change.before), ("after", change.after)):
        if standing is not None:
            found[name] = document_of(standing)
    return found | ({} if change.ratio is None else {"ratio": change.ratio})


def _busy(standing: Standing | None) -> float | None:
    """Return the power of a workload's pods: 0 before there is a workload, None where it is not known."""
    return 0.0 if standing is None else standing.busy_watts
