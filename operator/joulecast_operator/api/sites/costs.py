"""Define what the statuses of estimates and plans say about costs at an EnergySite."""

from __future__ import annotations

from typing import Final, Literal

from pydantic import Field

from joulecast_operator.api.parts import Part, StatusText

LEADERS: Final = 4  # at most, as status.leaders of a plan has


class Charge(Part):
    """An amount over a day of steady load, and in its cheapest and dearest hour."""

    mean: float = Field(description="Mean over the day.")
    lowest: float = Field(description="In the cheapest hour.")
    highest: float = Field(description="In the dearest hour.")


class SiteOfCost(Part):
    """What is the same of all costs at an EnergySite."""

    site: StatusText = Field(description="Name of the EnergySite.")
    per: Literal["inference", "request", "inputToken", "outputToken"] = Field(
        description="What kilowattHours, money and gramsCo2e are of."
    )
    currency: StatusText | None = Field(None, description="Currency of all money; absent where the site has no price.")
    carbon_source: StatusText | None = Field(None, description="Where the carbon of the electricity is from.")


class Amounts(Part):
    """Energy, money and carbon, the energy of cooling included."""

    kilowatt_hours: float = Field(description="Energy of one of what costs are per, in kilowatt hours.")
    kilowatts: float = Field(description="Power by which hours and months are counted, in kilowatts.")
    money: Charge | None = Field(None, description="Cost of one of it, in the currency.")
    money_per_hour: Charge | None = Field(None, description="Cost of an hour of that power, in the currency.")
    money_per_month: float | None = Field(
        None, description="Cost of a month of that power, which has 730.5 hours, in the currency."
    )
    grams_co2e: Charge | None = Field(
        None, alias="gramsCo2e", description="Carbon of one of it, in grams of CO2e; absent where it is not known."
    )
    grams_co2e_per_hour: Charge | None = Field(
        None, alias="gramsCo2ePerHour", description="Carbon of an hour of that power, in grams of CO2e."
    )
    grams_co2e_per_month: float | None = Field(
        None, alias="gramsCo2ePerMonth", description="Carbon of a month of that power, in grams of CO2e."
    )


class EstimateCost(Amounts, SiteOfCost):
    """What the first result costs and emits at an EnergySite, the energy of cooling included."""

    power_of: Literal["oneReplica", "target"] = Field(
        description="Whose power that is: of oneReplica (one that is busy all the time) or of the target (all replicas"
        " that it asks for, as status.target.averagePowerWatts has it)."
    )


class SavedAmounts(Part):
    """What the choice saves of today's cost in a month, with the interval of the saving; below 0 where it costs
    more."""

    money: float | None = Field(None, description="Money saved, in the currency.")
    money_lower: float | None = Field(None, description="Lower end of its interval.")
    money_upper: float | None = Field(None, description="Upper end of its interval.")
    grams_co2e: float | None = Field(None, alias="gramsCo2e", description="Carbon saved, in grams of CO2e.")
    grams_co2e_lower: float | None = Field(None, alias="gramsCo2eLower", description="Lower end of its interval.")
    grams_co2e_upper: float | None = Field(None, alias="gramsCo2eUpper", description="Upper end of its interval.")


class PlanCost(SiteOfCost):
    """What the settings of a plan cost and emit at an EnergySite."""

    power_of: Literal["oneReplica", "allReplicas"] = Field(
        description="Whose power hours and months are counted by: of allReplicas that complete spec.requestsPerSecond,"
        " or without that rate of oneReplica, which is busy all the time."
    )
    choice: Amounts | None = Field(None, description="Of the choice.")
    leaders: list[Amounts] | None = Field(
        None, max_length=LEADERS, description="Without a choice: of each of status.leaders, in their order."
    )
    today: Amounts | None = Field(None, description="Of how the model runs now.")
    saves_per_month: SavedAmounts | None = Field(
        None,
        description="What the choice saves a month for the work that today's setting does in it: at the rate, or"
        " without one of one replica that is busy all the time. Missing where the intervals do not tell which of the"
        " two needs less.",
    )


class CostTexts(Part):
    """What a summary says about costs."""

    site: StatusText | None = Field(None, description="Name of the EnergySite of cost and carbon.")
    cost: StatusText | None = Field(
        None, description="Cost of 1,000 inferences, requests or tokens, with its currency."
    )
    carbon: StatusText | None = Field(None, description="Carbon of 1,000 inferences, requests or tokens.")
