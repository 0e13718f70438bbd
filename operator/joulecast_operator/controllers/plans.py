"""Reconcile EnergyPlans: request a plan, write the status, and tell when the choice changes."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from joulecast_operator.api.conditions import Status, Waiting, Wrong
from joulecast_operator.api.kinds import PLANS
from joulecast_operator.api.objects import Resource
from joulecast_operator.api.plans.spec import PlanSpec
from joulecast_operator.cluster.model_objects import ReadObjects
from joulecast_operator.controllers.asking import Asking
from joulecast_operator.estimates.request import ForecastRequest
from joulecast_operator.plans import costs, questions
from joulecast_operator.plans.status import PlanState, changed_choice, desired_status, keeps_plan


class Plans(Asking):
    """Reconciles EnergyPlans."""

    kind = PLANS
    answer = "plan"
    under_way = Waiting(reason="Planning", message="the model is being fetched, and the candidates are priced")
    pricing = costs.PLANS

    def _spec(self, resource: Resource) -> PlanSpec | Wrong:
        return questions.spec_of(resource)

    def _asked(
        self, resource: Resource, spec: PlanSpec, found: ReadObjects, target: Resource | None
    ) -> ForecastRequest | Waiting | Wrong:
        return questions.request_of(resource, spec, self._index, self._overrides(), found, target)

    def _keeps(self, resource: Resource, request: ForecastRequest | None) -> bool:
        return keeps_plan(resource, request)

    def _desired(self, resource: Resource, result: PlanState, request: ForecastRequest | None) -> Status:
        return desired_status(resource, result, request=request, now=datetime.now(UTC))

    def _logged(self, resource: Resource, result: Any, *, written: bool, seconds: float | None = None) -> None:
        self._outcome_log.plan(resource, result, written=written, seconds=seconds)

    async def _put(self, resource: Resource, desired: Status) -> bool:
        """Write the status, and post an event if another setting is chosen than before."""
        written = await super()._put(resource, desired)
        event = changed_choice(resource.get("status") or {}, desired) if written else None
        if event is not None:
            await self._writer.event(PLANS, resource, event)
        return written
