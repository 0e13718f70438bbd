"""The JSON contract of plans."""

from __future__ import annotations

from dataclasses import fields
from typing import TYPE_CHECKING, Any

from joulecast.api.documents import Document, header, rounded

if TYPE_CHECKING:
    from joulecast.planning.candidates import Candidate, Excluded
    from joulecast.planning.choice import Plan
    from joulecast.planning.settings import Setting

_FIGURES = (
    "joules", "joules_lower", "joules_upper", "latency_seconds", "time_to_first_token_seconds",
    "inter_token_latency_seconds", "average_power_watts",
)  # fmt: skip


def plan_document(plan: Plan, *, model: Document | None = None) -> Document:
    """Return ``plan`` as a document of kind ``plan``. ``model``: which model it is of."""
    return {
        **header("plan"),
        "model": model,
        "unit": plan.unit,
        "objective": {each.name: getattr(plan.objective, each.name) for each in fields(plan.objective)},
        "reason": plan.reason,
        "choice": None if plan.choice is None else candidate_row(plan.choice),
        "runners_up": [candidate_row(each) for each in plan.runners_up],
        "rivals": [candidate_row(each) for each in plan.rivals],
        "deciding": [
            {"accelerator": each.accelerator, "settings": [_setting(own) for own in each.settings]}
            for each in plan.deciding
        ],
        "today": None if plan.today is None else candidate_row(plan.today),
        "saving": None if plan.saving is None else {
            name: rounded(getattr(plan.saving, name)) for name in ("share", "lower", "upper")
        },
        "candidates": [candidate_row(each) for each in plan.candidates],
        "excluded": [_excluded(each) for each in plan.excluded],
    }  # fmt: skip


def candidate_row(candidate: Candidate) -> Document:
    """Return a candidate as a flat row, with rounded figures."""
    return {
        **_setting(candidate.setting),
        "replicas": candidate.replicas,
        "cards": candidate.cards,
        "unit": candidate.unit,
        **{name: rounded(getattr(candidate, name)) for name in _FIGURES},
        "origin": candidate.origin,
        "interval_level": candidate.interval_level,
        "interval_guaranteed": candidate.interval_guaranteed,
        "may_miss": list(candidate.may_miss),
        "reasons": list(candidate.reasons),
    }


def _excluded(excluded: Excluded) -> Document:
    return {
        "accelerator": excluded.accelerator,
        "setting": None if excluded.setting is None else _setting(excluded.setting),
        "why": excluded.why,
        "reason": excluded.reason,
        "message": excluded.message,
    }


def _setting(setting: Setting) -> dict[str, Any]:
    return {each.name: getattr(setting, each.name) for each in fields(setting)}
