"""What ``joulecast accelerators`` shows."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

from joulecast.cli.tables.cells import line
from joulecast.cli.tables.profiles import facts, plain_table
from joulecast.cli.tables.quantities import digits, percent, quantity
from joulecast.energy.profile import OF_ALL_CARDS, OF_THIS_CARD, OPERATORS_OF_THIS_CARD

if TYPE_CHECKING:
    from rich.console import RenderableType

    from joulecast.energy.profile import AcceleratorProfile, Interval

_LEGEND = (
    "origin: measured = this accelerator, measured with joulecast; public = this accelerator, others' measurements;"
    " transferred = no energy measurement of it; datasheet = its published limits alone"
)


def accelerator_tables(document: dict[str, Any]) -> list[RenderableType]:
    """Build the list of accelerators, the meaning of the origins, and those that are known but cannot be priced."""
    table = plain_table(
        "Accelerators", ("accelerator", False), ("origin", False), ("W limit", True), ("TB/s", True),
        ("interval", True), ("precisions", False),
    )  # fmt: skip
    for entry in document["accelerators"]:
        table.add_row(
            entry["accelerator"], entry["origin"], digits(entry["power_limit_watts"]),
            digits(entry["bandwidth_bytes_per_second"] / 1e12),
            _width(entry["interval_below"], entry["interval_above"]), ", ".join(entry["precisions"]),
        )  # fmt: skip
    lacking = [line(f"no forecast: {entry['message']}", style="dim") for entry in document["unavailable"]]
    return [table, line(_LEGEND, style="dim"), *lacking]


def detail_tables(profile: AcceleratorProfile) -> list[RenderableType]:
    """Build the limits, interval and host of one profile, then the rows it was fitted from."""
    return [facts(_limits(profile) | _trust(profile)), *_fitted(profile)]


def _limits(profile: AcceleratorProfile) -> dict[str, str]:
    clock = profile.boost_clock_mhz
    return {
        "accelerator": profile.product,
        "origin": profile.origin,
        "architecture": profile.architecture,
        "precisions": ", ".join(profile.precisions),
        "peak": ", ".join(f"{name} {quantity(peak, 'FLOP/s')}" for name, peak in profile.peak_flops.items()),
        "bandwidth": quantity(profile.bandwidth_bytes_per_second, "B/s"),
        "power limit": f"{digits(profile.power_limit_watts)} W",
        "boost clock": f"{digits(clock)} MHz" if clock else "",
        "unverified": ", ".join(profile.unverified),
        "driver": profile.driver or "",
    }


def _trust(profile: AcceleratorProfile) -> dict[str, str]:
    return {
        "rests on": basis(profile),
        "interval": interval_text(profile.interval),
        "held out": ", ".join(f"{name} {digits(figure)}" for name, figure in profile.held_out.items()),
        "launches": launches(profile),
    }


def launches(profile: AcceleratorProfile) -> str:
    """Say what launching a kernel takes under each runtime, by the host that it was measured on."""
    on: dict[str, list[str]] = {}
    for runtime, host in profile.hosts.items():
        each = f"{quantity(host.kernel_seconds, 's')} a kernel" if host.kernel_seconds else "no time"
        on.setdefault(host.measured_on, []).append(f"{each} under {runtime}")
    return "; ".join(f"on {name}: {', '.join(found)}" for name, found in on.items())


def basis(profile: AcceleratorProfile) -> str:
    """Say in words whose rows and which host a forecast rests on."""
    if profile.origin == "measured" or profile.held_out:
        return "networks that this card ran, and their host"
    timed = _timed(profile, "networks", OF_THIS_CARD)
    others = [source for source in profile.fitted_from if source.what.startswith(OF_ALL_CARDS)]
    known = {"public": "its data sheet, power and seconds of its operators", "datasheet": "its data sheet alone"}
    operators = any("products and attention" in source.what for source in profile.fitted_from)
    own = known.get(profile.origin, f"its data sheet{' and seconds of operators on its chip' if operators else ''}")
    own += timed + _timed(profile, "operators", OPERATORS_OF_THIS_CARD)
    shared = f"{len(others)} sets of networks on other cards ({sum(source.rows for source in others):,} rows)"
    missing = "joules of a network" if timed else "network"
    return (
        f"no {missing} of this card: {own}, and what {shared} say of all cards; its host is not known, so it is taken"
        f" as that of {profile.hosts['torch-eager'].measured_on}, at the pace of hosts as old as this card"
    )


def _timed(profile: AcceleratorProfile, kind: str, what: str) -> str:
    """Say how many rows of a ``kind`` the card ran that were timed alone; nothing where there are none."""
    rows = sum(source.rows for source in profile.fitted_from if source.what == what)
    return f", seconds of {rows} {kind} that it ran" if rows else ""


def interval_text(interval: Interval) -> str:
    """Describe the width of an interval, its level, and the rule that made it."""
    width = _width(1 - math.exp(-interval.log_half_width), math.exp(interval.log_half_width) - 1)
    sure = "guaranteed" if interval.guaranteed else "not guaranteed"
    return f"{width} at {percent(interval.level)} ({sure}, {interval.groups} groups): {interval.rule}"


def _width(below: float, above: float) -> str:
    return f"−{100 * below:.0f}/+{100 * above:.0f} %"


def _fitted(profile: AcceleratorProfile) -> list[RenderableType]:
    if not profile.fitted_from:
        return [line("fitted from no rows: its data sheet alone", style="dim")]
    table = plain_table(
        "Fitted from", ("rows of", False), ("rows", True), ("origin", False), ("licence", False), ("what", False)
    )
    for source in profile.fitted_from:
        table.add_row(source.name, f"{source.rows:,}", source.origin, source.licence, source.what)
    return [table]
