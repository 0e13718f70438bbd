"""Reconcile EnergySites: read their figures, write their status, and have what they price priced anew."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from datetime import UTC, datetime
from typing import Any, Final

from joulecast_operator.api.conditions import Status, Waiting, Wrong
from joulecast_operator.api.kinds import CONFIG_MAPS, SITES
from joulecast_operator.api.objects import Key, Resource, mapping
from joulecast_operator.api.sites.site import SiteSpec
from joulecast_operator.cluster.client import ApiError, Cluster
from joulecast_operator.cluster.workqueue import WorkQueue
from joulecast_operator.cluster.writer import Writer
from joulecast_operator.controllers.outcome_log import UNCOUNTED, OutcomeLog
from joulecast_operator.index.index import Index
from joulecast_operator.sites.choice import KnownSite, SiteState, defaults, site_for
from joulecast_operator.sites.costed import Pricing, with_cost
from joulecast_operator.sites.figures import lacks_figures, site_of, spec_of
from joulecast_operator.sites.status import site_status

_RECOUNT_SECONDS: Final = 5.0  # in which further changes of the numbers of what is priced are joined


class Sites:
    """Reconciles sites.

    ``namespace``: joulecast's own, where their ConfigMaps lie, which are read every ``poll_seconds``. ``priced``: for
    each field of the status that counts what a site prices, what returns the name of its site for each such object.
    ``on_change`` is called when the figures of a site, or which one is the default, changed.
    """

    def __init__(
        self,
        *,
        index: Index,
        cluster: Cluster,
        writer: Writer,
        queue: WorkQueue[Key],
        namespace: str,
        poll_seconds: float,
        priced: Mapping[str, Callable[[], Iterable[str]]],
        on_change: Callable[[], None],
        outcome_log: OutcomeLog = UNCOUNTED,
    ) -> None:
        self._index = index
        self._cluster = cluster
        self._writer = writer
        self._queue = queue
        self._namespace = namespace
        self._poll_seconds = poll_seconds
        self._priced = priced
        self._on_change = on_change
        self._outcome_log = outcome_log
        self._known: dict[str, KnownSite] = {}

    async def load(self, key: Key) -> None:
        """Read the figures of the site ``key``; its status is written later."""
        site = self._index.resource(key)
        if site is not None:
            await self._read(site)

    async def reconcile(self, key: Key) -> None:
        """Read the figures of the site ``key``, write its status, and look at its ConfigMap again after a while."""
        site = self._index.resource(key)
        if site is None:
            self._hold(key.name, None)
            return
        known = await self._read(site)
        spec = spec_of(site)
        if not isinstance(spec, Wrong) and spec.config_map_ref is not None:
            self._queue.add_later(key, self._poll_seconds)
        priced = {field: sum(name == key.name for name in names()) for field, names in self._priced.items()}
        status = site_status(site, known.state, defaults=defaults(self._known), priced=priced, now=datetime.now(UTC))
        written = await self._writer.status(SITES, site, status)
        self._outcome_log.site(site, known.state, written=written)

    def costed(self, resource: Resource, desired: Status, pricing: Pricing) -> Status:
        """Return the ``desired`` status of an estimate or a plan with what its answer costs."""
        named = mapping(resource.get("spec")).get("siteName")
        readable = not self._index.is_unreadable(SITES.kind, "")
        state = site_for(named if isinstance(named, str) else None, self._known, readable=readable)
        return with_cost(resource, desired, state, pricing=pricing, now=datetime.now(UTC))

    def recount(self) -> None:
        """Have the status of each site tell how many estimates and plans it prices, in a moment."""
        for key in self._index.keys(SITES):
            self._queue.add_within(key, _RECOUNT_SECONDS)

    async def _read(self, site: Resource) -> KnownSite:
        """Read and keep the figures. Raises ApiError if they cannot be read now; the earlier ones are then kept."""
        name, spec = str(site["metadata"]["name"]), spec_of(site)
        if isinstance(spec, Wrong):
            return self._hold_state(name, spec, default=False)
        try:
            data = await self._data(spec)
        except ApiError as error:
            if name not in self._known:
                waiting = Waiting(reason="ConfigMapUnread", message=f"the ConfigMap cannot be read yet: {error}")
                self._hold_state(name, waiting, default=spec.default)
            raise
        state = data if isinstance(data, Wrong) else site_of(name, spec, data)
        return self._hold_state(name, state, default=spec.default)

    def _hold_state(self, name: str, state: SiteState, *, default: bool) -> KnownSite:
        known = KnownSite(default=default, state=state)
        self._hold(name, known)
        return known

    def _hold(self, name: str, known: KnownSite | None) -> None:
        if self._known.get(name) == known:
            return
        before = defaults(self._known)
        if known is None:
            del self._known[name]
        else:
            self._known[name] = known
        if defaults(self._known) != before:
            self.recount()  # the statuses of all sites tell which is the default
        self._on_change()

    async def _data(self, spec: SiteSpec) -> Mapping[str, Any] | Wrong | None:
        """Return the content of the site's ConfigMap; None if it has none."""
        if spec.config_map_ref is None:
            return None
        name = spec.config_map_ref.name
        where = f"ConfigMap {name!r} of namespace {self._namespace!r}"
        try:
            found = await self._cluster.get(CONFIG_MAPS.path(self._namespace, name))
        except ApiError as error:
            return _missing(where, error)
        data = mapping(found.get("data"))
        if lacks_figures(data):
            return Wrong(
                reason="ConfigMapKeyNotFound",
                message=f"{where} has none of the keys pricePerKilowattHour, powerUsageEffectiveness and"
                " gramsCo2ePerKilowattHour: add one, or leave out spec.configMapRef",
            )
        return data


def _missing(where: str, error: ApiError) -> Wrong:
    """Return why a ConfigMap cannot be read. Raises the error where a later try may succeed."""
    if error.lasting:
        return Wrong(reason="ConfigMapRefused", message=f"{where} cannot be read: {error}")
    if error.status != 404:
        raise error
    return Wrong(reason="ConfigMapNotFound", message=f"there is no {where}: create it, or correct spec.configMapRef")
