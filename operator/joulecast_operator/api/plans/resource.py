"""Define the custom resource EnergyPlan of joulecast.dev/v1alpha1."""

from __future__ import annotations

from pydantic import Field

from joulecast_operator.api.parts import Part
from joulecast_operator.api.plans.spec import PlanSpec
from joulecast_operator.api.plans.status import PlanStatus


class EnergyPlan(Part):
    """Recommends what to run a model on, by the fewest joules that keep what is asked, or where to cut it in two."""

    spec: PlanSpec = Field(description="Which model, what may be chosen, and what the choice has to keep.")
    status: PlanStatus | None = Field(None, description="The choice, what comes after it, what was excluded, and why.")
