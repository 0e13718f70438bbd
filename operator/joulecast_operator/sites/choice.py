"""Choose the EnergySite that prices an estimate or a plan: the one that it names, else the cluster's default; pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from joulecast.site import Site
from joulecast_operator.api.conditions import Waiting, Wrong

SEVERAL_DEFAULTS: Final = "SeveralDefaultSites"

SiteState = Site | Wrong | Waiting
"""The figures of a site, why it has none, or that they could not be read yet."""


@dataclass(frozen=True, slots=True, kw_only=True)
class KnownSite:
    """An EnergySite as the controller knows it.

    - ``default``: whether it says that it prices what names no site.
    - ``state``: its figures, or why there are none.
    """

    default: bool
    state: SiteState


def defaults(sites: Mapping[str, KnownSite]) -> list[str]:
    """Return the names of the sites that say that they are the default."""
    return sorted(name for name, known in sites.items() if known.default)


def site_for(named: str | None, sites: Mapping[str, KnownSite], *, readable: bool = True) -> SiteState | None:
    """Return the site of an object that names ``named``, or why it has none; None if no site concerns it.

    ``readable``: whether joulecast may read EnergySites at all.
    """
    if named is not None:
        return _of_name(named, sites, readable=readable)
    names = defaults(sites)
    if len(names) > 1:
        return Wrong(
            reason=SEVERAL_DEFAULTS,
            message=f"{' and '.join(names)} are all the default EnergySite: leave spec.default to one of them, or name"
            " one in spec.siteName",
        )
    return _usable(names[0], sites[names[0]].state) if names else None


def _of_name(name: str, sites: Mapping[str, KnownSite], *, readable: bool) -> SiteState:
    known = sites.get(name)
    if known is not None:
        return _usable(name, known.state)
    if not readable:
        return Wrong(
            reason="SiteForbidden",
            message="joulecast may not read EnergySites: upgrade joulecast's release, which gives the right and the"
            " definition",
        )
    return Wrong(reason="SiteNotFound", message=f"there is no EnergySite {name!r}: create it, or correct spec.siteName")


def _usable(name: str, state: SiteState) -> SiteState:
    """Return the site, or that it has no usable figures."""
    if not isinstance(state, Wrong):
        return state
    return Wrong(reason="SiteNotUsable", message=f"EnergySite {name!r} has no usable figures: {state.message}")
