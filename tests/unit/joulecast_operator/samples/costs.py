"""Make a site with figures, and statuses of estimates that are priced there."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from joulecast.site import Site
from joulecast_operator.sites.choice import SiteState
from joulecast_operator.sites.costed import with_cost
from joulecast_operator.sites.costs import ESTIMATES
from tests.unit.joulecast_operator.samples import estimates

NOW = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
LATER = datetime(2026, 1, 3, tzinfo=UTC)
HERE = Site(
    name="here",
    price_per_kilowatt_hour=(0.25,),
    currency="EUR",
    power_usage_effectiveness=(1.2,),
    grams_co2e_per_kilowatt_hour=(400.0,),
    carbon_source="the contract",
)


def status(**changes: Any) -> dict[str, Any]:
    """Return the status of an estimate without a cost."""
    ready = {"type": "Ready", "status": "True", "reason": "Estimated", "message": ""}
    found = {"results": [estimates.row(joules=3.6)], "summary": {"joules": "3.6 J/batch"}, "conditions": [ready]}
    return found | changes


def costed(state: SiteState | None, *, current: dict[str, Any] | None = None, **changes: Any) -> dict[str, Any]:
    """Return the status of an estimate with its cost at a site. ``current``: the status that it has until then."""
    now = NOW if current is None else LATER
    return with_cost(estimates.estimate(status=current), status(**changes), state, pricing=ESTIMATES, now=now)


def conditions(found: dict[str, Any]) -> dict[str, dict[str, Any]]:
    """Return the conditions of a status by their types."""
    return {each["type"]: each for each in found["conditions"]}
