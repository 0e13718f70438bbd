"""Log and count the outcomes of reconciling: one line for each change, one count for each failure.

Texts that come from images and models are cut and escaped, as everywhere where they are shown.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from typing import Any, Final

from joulecast.site import Site
from joulecast_operator.api import bounds
from joulecast_operator.api.conditions import Waiting, Wrong
from joulecast_operator.api.kinds import CALIBRATIONS, ESTIMATES, PLANS, PROFILES, SITES, Kind
from joulecast_operator.api.objects import Resource
from joulecast_operator.calibrations.status import ENDED, HOLDING, PhaseUpdate
from joulecast_operator.estimates.outcomes import Failure, Forecast, Planned
from joulecast_operator.estimates.status import EstimateState
from joulecast_operator.plans.status import PlanState
from joulecast_operator.profiles.usable import SUPERSEDED

log = logging.getLogger("joulecast_operator.estimates.outcomes")

CountFailure = Callable[[str, str], None]
"""Counts a failure, by the kind of the object and the reason."""

_Said = Failure | Wrong | Waiting | PhaseUpdate


class OutcomeLog:
    """Logs the outcomes of reconciling objects, and counts failures with ``count``.

    ``written``, in all methods: whether the object's status changed. If it did not, no line is written.
    """

    def __init__(self, count: CountFailure | None = None) -> None:
        self._count = count or (lambda *_: None)

    def estimate(
        self, estimate: Resource, result: EstimateState, *, written: bool, seconds: float | None = None
    ) -> None:
        """Log the outcome of an estimate, and count a failure at every try. ``seconds``: time to answer the request."""
        if isinstance(result, (Failure, Wrong)):
            if written or isinstance(result, Failure):
                self._count(ESTIMATES.kind, result.reason)
            if written:
                _warn("an estimate failed", "EstimateFailed", ESTIMATES, estimate, result, **_took(seconds))
        elif isinstance(result, Forecast) and written:
            facts = {"results": len(result.results), "without_forecast": len(result.unavailable), **_took(seconds)}
            _line(logging.INFO, "an estimate is ready", "EstimateReady", ESTIMATES, estimate, **facts)

    def plan(self, plan: Resource, result: PlanState, *, written: bool, seconds: float | None = None) -> None:
        """Log the outcome of a plan, and count a failure at every try. ``seconds``: time to answer the request."""
        if isinstance(result, (Failure, Wrong)):
            if written or isinstance(result, Failure):
                self._count(PLANS.kind, result.reason)
            if written:
                _warn("a plan failed", "PlanFailed", PLANS, plan, result, **_took(seconds))
        elif isinstance(result, Planned) and written:
            facts = {"candidates": result.answer.get("candidates", 0), **_took(seconds)}
            _line(logging.INFO, "a plan is ready", "PlanReady", PLANS, plan, **facts)

    def profile(self, profile: Resource, result: Mapping[str, Any] | Wrong | Waiting, *, written: bool) -> None:
        """Log that a profile is in use or why it is not. ``result``: the facts of a profile in use, or the reason."""
        if not written:
            return
        if isinstance(result, Wrong) and result.reason == SUPERSEDED:
            _said("a profile is superseded", "ProfileSuperseded", PROFILES, profile, result)
        elif isinstance(result, Wrong):
            self._count(PROFILES.kind, result.reason)
            _warn("a profile is refused", "ProfileRefused", PROFILES, profile, result)
        elif isinstance(result, Waiting):  # the error that it waits for is raised and counted elsewhere
            _warn("a profile cannot be checked", "ProfileUnchecked", PROFILES, profile, result)
        else:
            _line(logging.INFO, "a profile is in use", "ProfileTaken", PROFILES, profile)

    def site(self, site: Resource, state: Site | Wrong | Waiting, *, written: bool) -> None:
        """Log that the figures of a site are in use or why they are not."""
        if not written:
            return
        if isinstance(state, Wrong):
            self._count(SITES.kind, state.reason)
            _warn("a site is not usable", "SiteRefused", SITES, site, state)
        elif isinstance(state, Waiting):
            _warn("a site cannot be read", "SiteUnread", SITES, site, state)

    def calibration(self, before: Resource, state: PhaseUpdate, *, written: bool) -> None:
        """Log a new phase of a calibration. ``before``: the calibration before ``state`` was written."""
        was = (before.get("status") or {}).get("phase")
        if not written or was == state.phase:
            return
        if state.phase in ("Failed", "Refused"):
            self._count(CALIBRATIONS.kind, state.reason)
            _warn("a calibration failed", f"Calibration{state.phase}", CALIBRATIONS, before, state)
        elif state.phase in ENDED:
            _said("a calibration ended", "CalibrationEnded", CALIBRATIONS, before, state)
        elif state.phase in HOLDING and was not in HOLDING:
            _said("a calibration began", "CalibrationBegan", CALIBRATIONS, before, state)

    def annotated(self, kind: Kind, workload: Resource, changes: Mapping[str, Any]) -> None:
        """Log that annotations of a workload of ``kind`` were written or removed."""
        _line(logging.DEBUG, "a workload was annotated", "Annotated", kind, workload, changes=len(changes))


UNCOUNTED: Final = OutcomeLog()
"""Logs outcomes and counts nothing."""


def _warn(text: str, event: str, kind: Kind, resource: Resource, said: _Said, **facts: Any) -> None:
    _line(logging.WARNING, text, event, kind, resource, reason=said.reason, detail=said.message, **facts)


def _said(text: str, event: str, kind: Kind, resource: Resource, said: _Said) -> None:
    _line(logging.INFO, text, event, kind, resource, reason=said.reason, detail=said.message)


def _line(level: int, text: str, event: str, kind: Kind, resource: Resource, **facts: Any) -> None:
    metadata = resource.get("metadata") or {}
    where = {"kind": kind.kind, "namespace": metadata.get("namespace") or "", "object": metadata.get("name") or ""}
    shown = {key: bounds.message(value) if isinstance(value, str) else value for key, value in facts.items()}
    log.log(level, text, extra={"event": event, **where, **shown})


def _took(seconds: float | None) -> dict[str, float]:
    return {} if seconds is None else {"seconds": round(seconds, 3)}
