"""Compare the forecasts of objects as they are with those of the same objects after an apply; pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, Literal

from joulecast_operator.api.kinds import ESTIMATES
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
    """

    kind: str
    namespace: str
    name: str
    before: Standing | None = None
    after: Standing | None = None
    refusal: str = ""

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


@dataclass(frozen=True, slots=True, kw_only=True)
class Comparison:
    """What applying manifests would do.

    - ``changes``: one for each workload and estimate.
    - ``others``: how many objects of other kinds there are, which have no forecast, by kind.
    """

    changes: tuple[Change, ...]
    others: Mapping[str, int] = field(default_factory=dict)

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


def compared(changes: Iterable[Change], others: Sequence[str]) -> Comparison:
    """Return the comparison of ``changes``. ``others``: the kind of each object without a forecast."""
    counts = {kind: others.count(kind) for kind in dict.fromkeys(others)}
    return Comparison(changes=tuple(changes), others=counts)


def comparison_document(comparison: Comparison) -> dict[str, Any]:
    """Return a comparison as a document."""
    before, after = comparison.busy_watts
    return {
        "changes": [_document(each) for each in comparison.changes],
        "busyWatts": {"before": before, "after": after},
        "others": dict(comparison.others),
    }


def _document(change: Change) -> dict[str, Any]:
    found: dict[str, Any] = {
        "kind": change.kind,
        "namespace": change.namespace,
        "name": change.name,
        "outcome": change.outcome,
    }
    if change.refusal:
        found["refusal"] = change.refusal
    for name, standing in (("before", change.before), ("after", change.after)):
        if standing is not None:
            found[name] = document_of(standing)
    return found | ({} if change.ratio is None else {"ratio": change.ratio})


def _busy(standing: Standing | None) -> float | None:
    """Return the power of a workload's pods: 0 before there is a workload, None where it is not known."""
    return 0.0 if standing is None else standing.busy_watts
