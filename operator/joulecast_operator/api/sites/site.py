"""Define the custom resource EnergySite of joulecast.dev/v1alpha1: what energy costs and emits at a place."""

from __future__ import annotations

from typing import Annotated, Any, Final

from pydantic import ConfigDict, Field, WithJsonSchema

from joulecast_operator.api.parts import Conditions, Name, ObservedGeneration, Part, StatusText, rules

HOURS: Final = 24

_BOTH_OR_NEITHER: Final = (
    "has(self.currency) == has(self.pricePerKilowattHour) || (has(self.currency) && has(self.configMapRef))"
)
_SOMETHING: Final = " || ".join(
    f"has(self.{field})" for field in ("pricePerKilowattHour", "gramsCo2ePerKilowattHour", "zone", "configMapRef")
)


_ONE_OR_ALL: Final = rules(
    (f"self.size() in [1, {HOURS}]", f"give one value, or {HOURS}, one for each hour from midnight")
)

_HOURLY: Final[Any] = Field(min_length=1, max_length=HOURS, json_schema_extra=_ONE_OR_ALL)


def _figure(lowest: int, highest: int, pattern: str) -> dict[str, Any]:
    """Return the schema of a figure: an integer, or a decimal number as text."""
    bounds = {"minimum": lowest, "maximum": highest, "pattern": pattern, "maxLength": 18}
    return {"x-kubernetes-int-or-string": True, **bounds}


Price = Annotated[int | str, WithJsonSchema(_figure(-1_000_000, 1_000_000, "^-?[0-9]{1,7}([.][0-9]{1,9})?$"))]
Effectiveness = Annotated[int | str, WithJsonSchema(_figure(1, 10, "^[0-9]{1,2}([.][0-9]{1,6})?$"))]
Grams = Annotated[int | str, WithJsonSchema(_figure(0, 2000, "^[0-9]{1,4}([.][0-9]{1,6})?$"))]


class SiteConfigMap(Part):
    """Refers to a ConfigMap in joulecast's own namespace, whose figures take the place of those of the spec."""

    name: Name = Field(
        description="Name of the ConfigMap. Its keys are pricePerKilowattHour, powerUsageEffectiveness and"
        f" gramsCo2ePerKilowattHour, each with one number or {HOURS}, separated by spaces, commas or line ends."
    )


class SiteSpec(Part):
    """What a kilowatt hour costs and emits, each as one value or as 24, one for each hour of the site's day."""

    model_config = ConfigDict(
        json_schema_extra=rules(
            (_BOTH_OR_NEITHER, "give pricePerKilowattHour and currency, or neither"),
            (
                "!has(self.zone) || !has(self.gramsCo2ePerKilowattHour)",
                "give at most one of zone and gramsCo2ePerKilowattHour",
            ),
            (_SOMETHING, "give a price, gramsCo2ePerKilowattHour, a zone or a configMapRef"),
        )
    )

    default: bool = Field(
        False, description="Whether the site prices the estimates and plans that name none. Only one site may say so."
    )
    price_per_kilowatt_hour: Annotated[list[Price], _HOURLY] | None = Field(
        None, description='Price of a kilowatt hour, such as ["0.21"], with currency; negative prices are prices.'
    )
    currency: str | None = Field(
        None, pattern="^[A-Z]{3}$", max_length=3, description="Currency of the price, as in ISO 4217: EUR, USD."
    )
    power_usage_effectiveness: Annotated[list[Effectiveness], _HOURLY] | None = Field(
        None, description='Energy of the site over that of its machines (PUE), such as ["1.15"]; 1 when left out.'
    )
    grams_co2e_per_kilowatt_hour: Annotated[list[Grams], _HOURLY] | None = Field(
        None, alias="gramsCo2ePerKilowattHour", description="Carbon of the site's electricity, in grams of CO2e."
    )
    carbon_source: str | None = Field(
        None, min_length=1, max_length=256, description="Where that figure is from, which statuses show with it."
    )
    zone: str | None = Field(
        None,
        pattern="^[A-Z]{3}$",
        max_length=3,
        description="Country by its three letters of ISO 3166, such as DEU, whose yearly mean of carbon in codecarbon's"
        " table is used in place of gramsCo2ePerKilowattHour.",
    )
    config_map_ref: SiteConfigMap | None = Field(
        None,
        description="A ConfigMap in joulecast's own namespace that somebody keeps up to date. It is read every few"
        " seconds, and costs follow it.",
    )


class SiteSummary(Part):
    """The figures in use as text, which `kubectl get` prints in columns."""

    price: StatusText | None = Field(None, description="Price of a kilowatt hour, with its currency.")
    power_usage_effectiveness: StatusText = Field(description="Energy of the site over that of its machines.")
    carbon: StatusText | None = Field(None, description="Carbon of a kilowatt hour.")


class SiteStatus(Part):
    """The figures in use, and what is priced by them."""

    observed_generation: ObservedGeneration = None
    price_per_kilowatt_hour: float | None = Field(None, description="Mean price over the day, in the currency.")
    currency: StatusText | None = Field(None, description="Currency of the price.")
    power_usage_effectiveness: float | None = Field(None, description="Mean over the day.")
    grams_co2e_per_kilowatt_hour: float | None = Field(
        None, alias="gramsCo2ePerKilowattHour", description="Mean carbon over the day, in grams of CO2e."
    )
    carbon_source: StatusText | None = Field(None, description="Where the carbon is from.")
    estimates: int | None = Field(
        None,
        description="Number of estimates that are priced by the site, in the namespaces that the writing release"
        " watches.",
        json_schema_extra={"format": "int64"},
    )
    plans: int | None = Field(
        None,
        description="Number of plans that are priced by the site, in the same namespaces.",
        json_schema_extra={"format": "int64"},
    )
    summary: SiteSummary | None = Field(None, description="The figures as text.")
    conditions: Conditions | None = Field(
        None,
        description="Default: whether the site prices what names none. Ready: whether the site has usable figures.",
    )


class EnergySite(Part):
    """What energy costs and emits at a place, by which estimates and plans are priced."""

    spec: SiteSpec = Field(description="Price, cooling and carbon of the site's electricity.")
    status: SiteStatus | None = Field(None, description="The figures in use, and what is priced by them.")
