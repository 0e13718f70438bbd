"""Find the addresses of the cluster's Services, nodes and pods, to which fetchers may not connect.

Those of nodes and pods come from the index, those of Services from the ServiceCIDR objects, if the cluster has them.
"""

from __future__ import annotations

import asyncio
import ipaddress
import logging
import os
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Final

import aiohttp

from joulecast_operator.api.objects import Resource
from joulecast_operator.cluster.client import ApiError, Cluster

log = logging.getLogger(__name__)

SERVICE_RANGES_PATH: Final = "/apis/networking.k8s.io/v1/servicecidrs"
LOOK_SECONDS: Final = 60.0  # ranges change rarely, and one small listing a minute costs little

_API_HOST: Final = "KUBERNETES_SERVICE_HOST"
"""Environment variable with the address of the Service `kubernetes`, which every pod has."""

Network = ipaddress.IPv4Network | ipaddress.IPv6Network


class ClusterNetworks:
    """Knows the address ranges of the cluster.

    ``nodes`` returns the nodes that are known now. ``environ``: environment variables of the process.
    """

    def __init__(
        self, cluster: Cluster, nodes: Callable[[], Iterable[Resource]], environ: Mapping[str, str] = os.environ
    ) -> None:
        self._cluster = cluster
        self._nodes = nodes
        self._services: tuple[str, ...] = ()
        self._own = (environ[_API_HOST],) if _API_HOST in environ else ()
        self._known: tuple[str, ...] | None = None
        self._trouble: str | None = None

    def denied(self) -> tuple[str, ...]:
        """Return all address ranges, with adjacent ones joined."""
        if self._known is None:
            texts = [*self._own, *self._services, *(text for node in self._nodes() for text in of_node(node))]
            self._known = tuple(_joined(texts))
        return self._known

    def node_changed(self, before: Resource | None, after: Resource | None) -> None:
        """Compute the ranges again if a node was added or removed, or if its addresses changed."""
        if set(of_node(before or {})) != set(of_node(after or {})):
            self._known = None

    async def look(self) -> None:
        """Read the ranges of Services; if they cannot be read, keep those that were read before."""
        try:
            page = await self._cluster.get(SERVICE_RANGES_PATH)
        except (ApiError, aiohttp.ClientError, TimeoutError) as error:
            self._say(
                f"the cluster's Service ranges cannot be read ({error}): fetchers may connect to Services that are"
                " neither known nor in --denied-networks; let joulecast get servicecidrs, or give the ranges there"
            )
            return
        self._trouble = None
        items = page.get("items") or ()
        found = tuple(str(cidr) for item in items for cidr in (item.get("spec") or {}).get("cidrs") or ())
        if found != self._services:
            self._services, self._known = found, None
            log.info("fetchers may not connect to the cluster's Services: %s", ", ".join(found))

    async def watch(self) -> None:
        """Call ``look`` at intervals, until cancelled."""
        while True:
            await asyncio.sleep(LOOK_SECONDS)
            await self.look()

    def _say(self, trouble: str) -> None:
        if trouble != self._trouble:
            log.warning(trouble)
        self._trouble = trouble


def of_node(node: Resource) -> Iterator[str]:
    """Yield a node's addresses and the ranges of its pods."""
    for address in (node.get("status") or {}).get("addresses") or ():
        yield str(address.get("address"))
    yield from (node.get("spec") or {}).get("podCIDRs") or ()


def _joined(texts: Iterable[str]) -> list[str]:
    networks = [network for text in texts if (network := _network(text)) is not None]
    fours = [network for network in networks if isinstance(network, ipaddress.IPv4Network)]
    sixes = [network for network in networks if isinstance(network, ipaddress.IPv6Network)]
    return [str(each) for each in (*ipaddress.collapse_addresses(fours), *ipaddress.collapse_addresses(sixes))]


def _network(text: str) -> Network | None:
    """Convert a range or an address into a network; None for a host name."""
    try:
        return ipaddress.ip_network(text, strict=False)
    except ValueError:
        return None
