"""Reconcile InferenceEnergyEstimates, and keep what the target asks for now in their statuses."""

from __future__ import annotations

from datetime import UTC, datetime

from joulecast_operator.api.conditions import Status, Waiting, Wrong
from joulecast_operator.api.estimates import EstimateSpec
from joulecast_operator.api.kinds import ESTIMATES
from joulecast_operator.api.objects import Resource
from joulecast_operator.cluster.model_objects import ReadObjects
from joulecast_operator.controllers.asking import Asking
from joulecast_operator.estimates import inputs
from joulecast_operator.estimates.fleet import asked_of, power_watts
from joulecast_operator.estimates.request import ForecastRequest
from joulecast_operator.estimates.status import EstimateState, desired_status, keeps_results
from joulecast_operator.estimates.targets import facts_of, target_reference
from joulecast_operator.sites import costs


class Estimates(Asking):
    """Reconciles InferenceEnergyEstimates."""

    kind = ESTIMATES
    answer = "forecast"
    under_way = Waiting(reason="Estimating", message="the model is being fetched and profiled")
    pricing = costs.ESTIMATES

    def _spec(self, resource: Resource) -> EstimateSpec | Wrong:
        return inputs.spec_of(resource)

    def _asked(
        self, resource: Resource, spec: EstimateSpec, found: ReadObjects, target: Resource | None
    ) -> ForecastRequest | Waiting | Wrong:
        return inputs.request_of(resource, spec, self._index, self._overrides(), found, target)

    def _keeps(self, resource: Resource, request: ForecastRequest | None) -> bool:
        return keeps_results(resource, request)

    def _desired(self, resource: Resource, result: EstimateState, request: ForecastRequest | None) -> Status:
        return desired_status(resource, result, request=request, now=datetime.now(UTC))

    def _logged(
        self, resource: Resource, result: EstimateState, *, written: bool, seconds: float | None = None
    ) -> None:
        self._outcome_log.estimate(resource, result, written=written, seconds=seconds)

    async def _put(self, resource: Resource, desired: Status) -> bool:
        """Write the status, with what the target asks for now, on which no forecast depends."""
        return await super()._put(resource, {**desired, **self._target(resource, desired)})

    def _target(self, estimate: Resource, desired: Status) -> Status:
        target, namespace = target_reference(estimate), estimate["metadata"]["namespace"]
        facts = facts_of(target, namespace, self._index, desired.get("results") or ())
        return {} if facts is None else {"target": facts | _power(estimate, facts, desired)}


def _power(estimate: Resource, facts: Resource, desired: Status) -> Status:
    """Return the power of all replicas of the target by the first result, if the estimate says how busy they are and
    the result is of one of them."""
    first = next(iter(desired.get("results") or ()), None)
    replicas = None if "message" in facts else facts.get("replicas")
    watts = None if first is None else power_watts(asked_of(estimate), first, replicas)
    return {} if watts is None else {"averagePowerWatts": watts}
