"""Limit the rate of requests of each address by a token bucket, in a table of bounded size."""

from __future__ import annotations

import ipaddress
import time
from collections import OrderedDict
from collections.abc import Callable
from typing import Final

_ADDRESSES: Final = 4096  # a few hundred bytes each; the address that was silent longest is dropped
_IPV6_PREFIX: Final = 64  # one host has a whole /64 (RFC 4291, 2.5.4)


class AddressRates:
    """Admits ``per_second`` requests of an address on average, and ``burst`` at once. ``addresses``: the most that are
    remembered. ``now`` counts seconds."""

    def __init__(
        self,
        *,
        per_second: float,
        burst: float,
        addresses: int = _ADDRESSES,
        now: Callable[[], float] = time.monotonic,
    ) -> None:
        self._per_second = per_second
        self._burst = burst
        self._addresses = addresses
        self._now = now
        self._buckets: OrderedDict[str, tuple[float, float]] = OrderedDict()

    def admits(self, address: str | None) -> bool:
        """Tell whether one more request of ``address`` is admitted, and count it if so."""
        source, now = _host(address), self._now()
        left, since = self._buckets.get(source, (self._burst, now))
        left = min(self._burst, left + (now - since) * self._per_second)
        passes = left >= 1
        self._buckets[source] = left - passes, now
        self._buckets.move_to_end(source)
        while len(self._buckets) > self._addresses:
            self._buckets.popitem(last=False)
        return passes


def _host(address: str | None) -> str:
    """Return the key under which an address is counted: the address, or the /64 network of an IPv6 address."""
    try:
        parsed = ipaddress.ip_address((address or "").partition("%")[0])
    except ValueError:
        return ""
    if isinstance(parsed, ipaddress.IPv6Address):
        inner = parsed.ipv4_mapped
        return str(inner or ipaddress.ip_network((parsed, _IPV6_PREFIX), strict=False))
    return str(parsed)
