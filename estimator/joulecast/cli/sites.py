"""Options of a site, and what its costs look like."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from joulecast.cli.tables.quantities import digits
from joulecast.site import Charge, Site, SiteCost, cost_at, cost_document, read_document, site_document

if TYPE_CHECKING:
    from rich.console import RenderableType

_PANEL = "Site"


@dataclass(frozen=True, slots=True, kw_only=True)
class SiteOptions:
    """What energy costs: a file of a site, or its figures, which win over the file's."""

    site: Annotated[
        Path | None,
        typer.Option(
            help="YAML or JSON file of a site: name, price_per_kilowatt_hour, currency, power_usage_effectiveness,"
            " grams_co2e_per_kilowatt_hour or zone; figures may have 24 values, one an hour.",
            exists=True,
            dir_okay=False,
            rich_help_panel=_PANEL,
        ),
    ] = None
    price_per_kilowatt_hour: Annotated[float | None, typer.Option(help="With --currency.", rich_help_panel=_PANEL)] = (
        None
    )
    currency: Annotated[str | None, typer.Option(help="As EUR.", rich_help_panel=_PANEL)] = None
    power_usage_effectiveness: Annotated[
        float | None,
        typer.Option("--power-usage-effectiveness", "--pue", help="At least 1.", rich_help_panel=_PANEL),
    ] = None
    grams_co2e_per_kilowatt_hour: Annotated[
        float | None, typer.Option(help="Carbon of the electricity.", rich_help_panel=_PANEL)
    ] = None
    zone: Annotated[
        str | None,
        typer.Option(help="Country, as DEU, whose carbon is taken from codecarbon's table.", rich_help_panel=_PANEL),
    ] = None

    def found(self) -> Site | None:
        """Return the site, or None where no option of one was given. Raises JoulecastError for a wrong one."""
        names = ("price_per_kilowatt_hour", "currency", "power_usage_effectiveness", "grams_co2e_per_kilowatt_hour")
        given = {name: getattr(self, name) for name in (*names, "zone") if getattr(self, name) is not None}
        if self.site is None:
            return Site.of_document({"name": self.zone or "the site given", **given}) if given else None
        return Site.of_document({"name": self.site.stem, **read_document(self.site), **given})


@dataclass(frozen=True, slots=True, kw_only=True)
class Priced:
    """A forecast by name, with what it costs at a site."""

    name: str
    cost: SiteCost


def priced(site: Site | None, forecasts: Iterable[tuple[str, str, float, float]]) -> list[Priced]:
    """Return the cost of each forecast: its name, what joules are per, joules, watts. None without a site."""
    if site is None:
        return []
    return [Priced(name=name, cost=cost_at(site, per, joules, watts)) for name, per, joules, watts in forecasts]


def lines(site: Site | None, costs: Sequence[Priced]) -> list[RenderableType]:
    """Return a line for each forecast: what one of it costs, and an hour and a month of its power."""
    if site is None:
        return []
    from joulecast.cli.tables.cells import line  # loads rich, which machine output does without

    told = [f"PUE {digits(site.mean_power_usage_effectiveness)}"]
    if site.carbon_source:
        told.append(f"carbon by {site.carbon_source}")
    return [
        line(f"at {site.name} ({', '.join(told)}):", style=""),
        *(line(f"  {each.name}: {amounts_text(each.cost)}", style="") for each in costs),
    ]


def costs_document(site: Site | None, costs: Sequence[Priced]) -> dict[str, Any]:
    """Return the fields of a document that tell of a site: none without one."""
    if site is None:
        return {}
    return {"site": site_document(site), "costs": [cost_document(each.cost) for each in costs]}


def amounts_text(cost: SiteCost) -> str:
    """Return energy, money and carbon of a cost, of one and by hour and month, as text."""
    per = cost.per.replace("_", " ")
    parts = [f"{digits(1e3 * cost.kilowatt_hours)} Wh per {per}"]
    if cost.money is not None and cost.money_per_hour is not None and cost.money_per_month is not None:
        own = _charge(cost.money, f"{cost.currency} per 1,000 {per}s", 1e3)
        hour = _charge(cost.money_per_hour, f"{cost.currency} an hour", 1.0)
        parts.append(f"{own}, {hour}, {digits(cost.money_per_month)} {cost.currency} a month")
    if cost.grams_co2e is not None and cost.grams_co2e_per_hour is not None and cost.grams_co2e_per_month is not None:
        own = _charge(cost.grams_co2e, f"gCO2e per {per}", 1.0)
        hour = _charge(cost.grams_co2e_per_hour, "gCO2e an hour", 1.0)
        parts.append(f"{own}, {hour}, {digits(cost.grams_co2e_per_month / 1e3)} kgCO2e a month")
    return "; ".join(parts)


def _charge(charge: Charge, unit: str, times: float) -> str:
    lowest, highest = digits(times * charge.lowest), digits(times * charge.highest)
    spread = "" if charge.lowest == charge.highest else f" ({lowest} to {highest} by hour)"
    return f"{digits(times * charge.mean)} {unit}{spread}"
