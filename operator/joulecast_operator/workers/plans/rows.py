"""Put a plan of the library into the form of a status."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Final

from joulecast.errors import NotCalibratedError
from joulecast.planning.candidates import Candidate
from joulecast.planning.choice import RUNNERS_UP, Plan
from joulecast.planning.documents import candidate_row
from joulecast_operator.api import bounds
from joulecast_operator.api.objects import camel
from joulecast_operator.api.plans.status import MAXIMUM_DECIDING, MAXIMUM_EXAMPLES
from joulecast_operator.api.workload import CLOCK_FIELD
from joulecast_operator.workers.frames import Header
from joulecast_operator.workers.priced import six_digits

_ROW: Final = (
    "accelerator", "runtime", "precision", "batch_size", "concurrency", "tensor_parallel", "power_limit_watts",
    "clock_mhz", "replicas", "cards", "joules", "joules_lower", "joules_upper", "latency_seconds",
    "time_to_first_token_seconds", "inter_token_latency_seconds", "average_power_watts", "origin", "interval_level",
)  # fmt: skip
_OF_TOKENS: Final = ("time_to_first_token_seconds", "inter_token_latency_seconds")
"""Fields that are 0 of a pass, which has no tokens."""
_WHY: Final = ("memory", "slo", "profile", "degree")
_CLOCK: Final = "clock_mhz"


def answer(found: Plan, unpriced: Mapping[str, Header], notes: Sequence[str]) -> Header:
    """Return the answer of a job. ``unpriced``: accelerators without a profile; ``notes``: what is not known.

    Raises NotCalibratedError (NotFinite) for a profile that gives impossible numbers.
    """
    counts = Counter(each.why for each in found.excluded)
    counts["profile"] += len(unpriced)
    examples = {each.why: each.message for each in reversed(found.excluded)}
    if unpriced:
        examples["profile"] = next(iter(unpriced.values()))["message"]
    return {
        "unit": found.unit,
        "rated": found.objective.requests_per_second is not None,
        "reason": found.reason,
        "choice": None if found.choice is None else _row(found.choice),
        "leaders": [] if found.choice else [_row(each) for each in found.leaders[: 1 + RUNNERS_UP]],
        "runners_up": [_row(each) for each in found.runners_up],
        "deciding": [
            {"accelerator": each.accelerator, "settings": [str(own) for own in each.settings[:MAXIMUM_DECIDING]]}
            for each in found.deciding[:MAXIMUM_DECIDING]
        ],
        "today": None if found.today is None else _row(found.today),
        "saving": _saving(found),
        "candidates": len(found.candidates),
        "excluded": {name: counts[name] for name in _WHY}
        | {"examples": [bounds.text(each) for each in list(examples.values())[:MAXIMUM_EXAMPLES]]},
        "notes": [bounds.text(each) for each in notes],
    }


def _row(candidate: Candidate) -> Header:
    """Return a candidate as a status holds it, with its setting in words."""
    _require_finite(candidate)
    row = candidate_row(candidate)
    kept = {name: row[name] for name in _ROW if row[name] is not None and (name not in _OF_TOKENS or row[name])}
    renamed = {CLOCK_FIELD if name == _CLOCK else camel(name): value for name, value in kept.items()}
    missed = [camel(name) for name in candidate.may_miss]
    return renamed | ({"mayMiss": missed} if missed else {}) | {"words": str(candidate.setting)}


def _require_finite(candidate: Candidate) -> None:
    if not all(math.isfinite(each) for each in (candidate.joules, candidate.joules_upper, candidate.latency_seconds)):
        raise NotCalibratedError(
            f"the profile of {candidate.setting.accelerator} gives numbers for this model that are impossible: correct"
            " the profile",
            reason="NotFinite",
        )


def _saving(found: Plan) -> Header | None:
    """Return what is saved of today's joules; None where today's setting is one of those that are not told apart."""
    if found.saving is None or (found.choice is None and found.today in found.leaders):
        return None
    own = found.saving
    percent = {"percent": own.share, "percentLower": own.lower, "percentUpper": own.upper}
    return {name: six_digits(100 * value) for name, value in percent.items()} | {"worthwhile": found.worth_a_warning}
