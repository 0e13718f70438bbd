"""What energy costs where it is spent: price, cooling and carbon of a site, and what a forecast costs there.

    cost   = kWh at the card · PUE · price          carbon = kWh at the card · PUE · gCO2e per kWh

A figure is one number, or 24, one for each hour of the day; then a cost is that of steady load over the day, with the
cheapest and the dearest hour beside it.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path
from typing import Any

from joulecast.errors import DocumentError, WorkloadError
from joulecast.units import rounded

JOULES_PER_KILOWATT_HOUR = 3.6e6
HOURS_PER_MONTH = 730.5
"""A twelfth of 365.25 days."""
_HOURS = 24
_DIRTIEST = 2_000.0  # gCO2e per kWh: above any country (codecarbon: 800) and any fuel (coal: 995)
_HIGHEST_PUE = 10.0
_HIGHEST_PRICE = 1e6  # of any currency, a kWh

Hourly = tuple[float, ...]
"""One value, or one for each hour of the day from midnight on."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Site:
    """A place where cards run.

    - ``currency``: of ``price_per_kilowatt_hour``, as in ISO 4217 (EUR); both or neither.
    - ``power_usage_effectiveness``: energy of the site over that of its machines (PUE), at least 1.
    - ``grams_co2e_per_kilowatt_hour``: of its electricity; None where it is not known.
    - ``carbon_source``: where that is from.
    """

    name: str
    price_per_kilowatt_hour: Hourly | None = None
    currency: str | None = None
    power_usage_effectiveness: Hourly = (1.0,)
    grams_co2e_per_kilowatt_hour: Hourly | None = None
    carbon_source: str | None = None

    def __post_init__(self) -> None:
        """Raise WorkloadError, naming the field, for a value that no site has."""
        if not self.name:
            raise WorkloadError("a site has no name: give one, because every cost names its site")
        if (self.price_per_kilowatt_hour is None) != (self.currency is None):
            raise WorkloadError(f"site {self.name!r}: give price_per_kilowatt_hour and currency, or neither")
        self._within("price_per_kilowatt_hour", -_HIGHEST_PRICE, _HIGHEST_PRICE)  # exchanges do have negative prices
        self._within("power_usage_effectiveness", 1.0, _HIGHEST_PUE)
        self._within("grams_co2e_per_kilowatt_hour", 0.0, _DIRTIEST)

    @property
    def mean_power_usage_effectiveness(self) -> float:
        """The mean over the day."""
        return sum(self.power_usage_effectiveness) / len(self.power_usage_effectiveness)

    def _within(self, name: str, low: float, high: float) -> None:
        values = getattr(self, name)
        if values is None:
            return
        if len(values) not in (1, _HOURS):
            raise WorkloadError(f"site {self.name!r}: {name} has {len(values)} values: give 1, or 24, one an hour")
        wrong = [value for value in values if not (math.isfinite(value) and low <= value <= high)]
        if wrong:
            raise WorkloadError(f"site {self.name!r}: {name} is {wrong[0]}: give a number from {low:g} to {high:g}")

    @classmethod
    def of_document(cls, document: Mapping[str, Any]) -> Site:
        """Return the site of a document with the names of the fields, and ``zone`` for a default of its carbon.

        Raises WorkloadError for an unknown field or a value of another type, and what ``zone_carbon`` raises.
        """
        given = dict(document)
        zone = given.pop("zone", None)
        unknown = sorted(set(given) - set(cls.__dataclass_fields__))
        if unknown:
            known = ", ".join([*cls.__dataclass_fields__, "zone"])
            raise WorkloadError(f"a site has no field {unknown[0]!r}: choose among {known}")
        for name in _HOURLY:
            if given.get(name) is not None:
                given[name] = _hourly(name, given[name])
        for name in ("name", "currency", "carbon_source"):
            if not isinstance(given.get(name), str | None):
                raise WorkloadError(f"{name} of a site is {given[name]!r}: give a text")
        if zone is not None and given.get("grams_co2e_per_kilowatt_hour") is None:
            carbon = zone_carbon(str(zone))
            given |= {"grams_co2e_per_kilowatt_hour": (carbon.grams,), "carbon_source": carbon.source}
        return cls(**{"name": str(zone or ""), **given})

    @classmethod
    def from_file(cls, path: Path) -> Site:
        """Return the site of a YAML or JSON file. Raises DocumentError for a file that cannot be read as one."""
        return cls.of_document({"name": path.stem, **read_document(path)})


def read_document(path: Path) -> dict[str, Any]:
    """Return the fields of a site's file. Raises DocumentError for a file that cannot be read as one."""
    import yaml

    try:
        document = yaml.safe_load(path.read_text("utf-8"))
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise DocumentError(f"{path} cannot be read as a site ({' '.join(str(error).split())})") from None
    if not isinstance(document, dict):
        raise DocumentError(f"{path} does not describe a site: write fields such as name and price_per_kilowatt_hour")
    return {str(name): value for name, value in document.items()}


_HOURLY = ("price_per_kilowatt_hour", "power_usage_effectiveness", "grams_co2e_per_kilowatt_hour")


def _hourly(name: str, value: object) -> Hourly:
    values = value if isinstance(value, list | tuple) else [value]
    numbers = [each for each in values if isinstance(each, int | float) and not isinstance(each, bool)]
    if len(numbers) != len(values):
        raise WorkloadError(f"{name} of a site is {value!r}: give a number, or 24 of them")
    return tuple(float(each) for each in numbers)


@dataclass(frozen=True, slots=True, kw_only=True)
class Charge:
    """An amount over a day of steady load, and in its cheapest and dearest hour."""

    mean: float
    lowest: float
    highest: float


@dataclass(frozen=True, slots=True, kw_only=True)
class SiteCost:
    """What a forecast costs at a site.

    - ``per``: what the first figures are of: ``inference``, ``request``, ``output_token``, ``input_token``.
    - ``kilowatt_hours``, ``money``, ``grams_co2e``: of one of it, cooling included.
    - ``kilowatts``, ``money_per_hour``, ``money_per_month``, ``grams_co2e_per_hour``, ``grams_co2e_per_month``: of the
      power that the forecast draws, for as long as it runs.
    - ``currency``: of money; None where the site has no price. Grams are None where its carbon is not known.
    """

    site: str
    per: str
    kilowatt_hours: float
    kilowatts: float
    currency: str | None
    money: Charge | None
    money_per_hour: Charge | None
    money_per_month: float | None
    grams_co2e: Charge | None
    grams_co2e_per_hour: Charge | None
    grams_co2e_per_month: float | None


def cost_at(site: Site, per: str, joules: float, watts: float) -> SiteCost:
    """Return what ``joules`` and a steady power of ``watts`` cost at ``site``."""
    energy, power = joules / JOULES_PER_KILOWATT_HOUR, watts / 1e3
    price, carbon = site.price_per_kilowatt_hour, site.grams_co2e_per_kilowatt_hour
    money, hourly = _charge(site, price, energy), _charge(site, price, power)
    grams, emitted = _charge(site, carbon, energy), _charge(site, carbon, power)
    pue = site.mean_power_usage_effectiveness
    return SiteCost(
        site=site.name,
        per=per,
        kilowatt_hours=energy * pue,
        kilowatts=power * pue,
        currency=site.currency,
        money=money,
        money_per_hour=hourly,
        money_per_month=None if hourly is None else HOURS_PER_MONTH * hourly.mean,
        grams_co2e=grams,
        grams_co2e_per_hour=emitted,
        grams_co2e_per_month=None if emitted is None else HOURS_PER_MONTH * emitted.mean,
    )


def site_document(site: Site) -> dict[str, Any]:
    """Return a site as JSON values; a figure with one value is a number."""
    return {name: _plain(getattr(site, name)) for name in Site.__dataclass_fields__}


def cost_document(cost: SiteCost) -> dict[str, Any]:
    """Return a cost as JSON values, rounded as all documents are."""
    found: dict[str, Any] = rounded(
        {name: _plain(getattr(cost, name)) for name in SiteCost.__dataclass_fields__}, _DIGITS
    )
    return found


_DIGITS = 6


def _plain(value: Any) -> Any:
    if isinstance(value, Charge):
        return {name: getattr(value, name) for name in Charge.__dataclass_fields__}
    if isinstance(value, tuple):
        return value[0] if len(value) == 1 else list(value)
    return value


def _charge(site: Site, rate: Hourly | None, kilowatt_hours: float) -> Charge | None:
    """Return the rate of ``kilowatt_hours`` at the card, hour by hour."""
    if rate is None:
        return None
    pue = site.power_usage_effectiveness
    hours = [rate[hour % len(rate)] * pue[hour % len(pue)] * kilowatt_hours for hour in range(_HOURS)]
    if len(rate) == len(pue) == 1:
        return Charge(mean=hours[0], lowest=hours[0], highest=hours[0])
    return Charge(mean=sum(hours) / _HOURS, lowest=min(hours), highest=max(hours))


@dataclass(frozen=True, slots=True, kw_only=True)
class ZoneCarbon:
    """Mean carbon of a country's electricity in gCO2e per kWh, and where it is from."""

    grams: float
    source: str


_PACKAGE = "codecarbon"
_MIX = "codecarbon/data/private_infra/global_energy_mix.json"


def zone_carbon(zone: str) -> ZoneCarbon:
    """Return codecarbon's figure for a country by its ISO 3166 code of three letters; nothing is asked of a network.

    Raises WorkloadError where codecarbon is not installed, and for an unknown zone.
    """
    version, countries = _countries()
    entry = countries.get(zone.upper())
    if entry is None:
        raise WorkloadError(
            f"unknown zone {zone!r}: give a country by its three letters of ISO 3166, such as DEU or USA, or"
            " grams_co2e_per_kilowatt_hour"
        )
    source = f"codecarbon {version}: {entry['country_name']}, {entry['year']}"
    return ZoneCarbon(grams=float(entry["carbon_intensity"]), source=source)


@cache
def _countries() -> tuple[str, Mapping[str, Mapping[str, Any]]]:
    """Return codecarbon's version and its table of countries, without importing it."""
    try:
        found = distribution(_PACKAGE)
        text = Path(str(found.locate_file(_MIX))).read_text("utf-8")
    except (PackageNotFoundError, OSError):
        raise WorkloadError(
            "carbon of a zone is read from codecarbon's own table, which is not installed here: pip install codecarbon,"
            " or give grams_co2e_per_kilowatt_hour",
            reason="MissingDependency",
        ) from None
    return found.version, json.loads(text)
