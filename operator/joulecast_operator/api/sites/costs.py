"""Define what the status of an estimate says about the cost of its first result at an EnergySite."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from joulecast_operator.api.parts import Part, StatusText


class Charge(Part):
    """An amount over a day of steady load, and in its cheapest and dearest hour."""

    mean: float = Field(description="Mean over the day.")
    lowest: float = Field(description="In the cheapest hour.")
    highest: float = Field(description="In the dearest hour.")


class EstimateCost(Part):
    """What the first result costs and emits at an EnergySite, the energy of cooling included."""

    site: StatusText = Field(description="Name of the EnergySite.")
    per: Literal["inference", "request", "inputToken", "outputToken"] = Field(
        description="What kilowattHours, money and gramsCo2e are of."
    )
    kilowatt_hours: float = Field(description="Energy of one of it, in kilowatt hours.")
    kilowatts: float = Field(description="Power by which hours and months are counted, in kilowatts.")
    power_of: Literal["oneReplica", "target"] = Field(
        description="Whose power that is: of oneReplica (one that is busy all the time) or of the target (all pods that"
        " it asks for, as status.target.averagePowerWatts has it)."
    )
    currency: StatusText | None = Field(None, description="Currency of all money; absent where the site has no price.")
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
    carbon_source: StatusText | None = Field(None, description="Where the carbon of the electricity is from.")
