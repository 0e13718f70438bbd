"""Compute the status of an AcceleratorEnergyProfile; pure."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from joulecast_operator.api.annotations import significant
from joulecast_operator.api.conditions import (
    USABLE,
    Status,
    Truth,
    Waiting,
    Wrong,
    condition_of,
)
from joulecast_operator.api.objects import Resource
from joulecast_operator.api.products import product_named


def profile_status(
    profile: Resource, result: Wrong | Waiting | Mapping[str, Any], *, digest: str | None, now: datetime
) -> Status:
    """Return the status. ``result``: the facts of a usable profile, or why it is not usable or could not be checked."""
    generation = (profile.get("metadata") or {}).get("generation")
    current = profile.get("status") or {}
    status: Status = {"observedGeneration": generation}
    if isinstance(result, (Wrong, Waiting)):
        truth: Truth = "False" if isinstance(result, Wrong) else "Unknown"
        reason, message = result.reason, result.message
    else:
        truth, reason = "True", "Valid"
        message = f"forecasts for {product_named(profile['spec']['product'])} are made with this profile"
        status |= {"digest": digest, **_profile_facts(result)}
    status["conditions"] = [condition_of(current, USABLE, truth, reason, message, generation, now)]
    return {name: value for name, value in status.items() if value is not None}


def _profile_facts(facts: Mapping[str, Any]) -> Status:
    error = facts.get("held_out_error")
    shown = "unknown" if error is None else f"{significant(100 * error)} %"
    return {
        "heldOutError": error,
        "calibratedAt": facts.get("calibrated_at"),
        "summary": {"origin": str(facts["origin"]), "error": shown},
    }
