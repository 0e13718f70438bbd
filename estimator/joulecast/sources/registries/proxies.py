"""Which requests go through an HTTP proxy: ``HTTPS_PROXY``, ``HTTP_PROXY``, ``NO_PROXY``, as curl and Go read them."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final
from urllib.parse import unquote, urlsplit

from joulecast.errors import ModelReferenceError

VARIABLES: Final = ("HTTPS_PROXY", "HTTP_PROXY", "NO_PROXY", "https_proxy", "http_proxy", "no_proxy")

_PORTS: Final = {"http": 80, "https": 443}


@dataclass(frozen=True, slots=True, kw_only=True)
class Proxy:
    """A proxy that was named by the administrator.

    - ``origin``: ``scheme://host:port``, without credentials.
    """

    origin: str
    credentials: tuple[str, str] | None = field(default=None, repr=False)

    @property
    def is_secure(self) -> bool:
        return self.origin.startswith("https:")


@dataclass(frozen=True, slots=True, kw_only=True)
class Proxies:
    """The proxies of requests, and the hosts that are asked directly.

    This machine's own addresses are always asked directly.

    - ``https``, ``http``: ``[http[s]://][user:password@]host[:port]``, or "" for no proxy.
    - ``exempt``: hosts that are asked directly. A host is exempt if an entry is ``*``, its address, a range that holds
      its address, its name, or a domain above it (``.example.com`` for those below it alone); ``:PORT`` at the end of
      an entry means that port alone.
    """

    https: str = field(default="", repr=False)
    http: str = field(default="", repr=False)
    exempt: tuple[str, ...] = ()

    @classmethod
    def of(cls, environment: Mapping[str, str]) -> Proxies:
        """Read the variables of ``environment``; names in capitals win."""
        https, http, exempt = (
            environment.get(name) or environment.get(name.lower()) or ""
            for name in ("HTTPS_PROXY", "HTTP_PROXY", "NO_PROXY")
        )
        entries = tuple(entry.strip().lower() for entry in exempt.split(",") if entry.strip())
        return cls(https=https, http=http, exempt=entries)

    def proxy_for(self, scheme: str, host: str, port: int | None) -> Proxy | None:
        """Return the proxy of a request, or None where it goes directly. Raises ModelReferenceError (InvalidProxy)."""
        text = self.https if scheme == "https" else self.http
        name = host.lower().rstrip(".").strip("[]")
        if not text or _is_here(name):
            return None
        wanted = port or _PORTS[scheme]
        if any(_is_exempt(name, wanted, entry) for entry in self.exempt):
            return None
        return _parsed(f"{scheme.upper()}_PROXY", text)


def _parsed(variable: str, text: str) -> Proxy:
    """Read what ``variable`` says. Never quotes it, for it may hold a password."""
    try:
        found = urlsplit(text if "://" in text else f"http://{text}")
        port = found.port
    except ValueError:
        found, port = urlsplit(""), None
    if found.scheme not in _PORTS or not found.hostname:
        raise ModelReferenceError(
            f"{variable} names no proxy that can be used: give http://host:port or https://host:port",
            reason="InvalidProxy",
        )
    host = f"[{found.hostname}]" if ":" in found.hostname else found.hostname
    credentials = (unquote(found.username), unquote(found.password or "")) if found.username else None
    return Proxy(origin=f"{found.scheme}://{host}:{port or _PORTS[found.scheme]}", credentials=credentials)


def _is_here(name: str) -> bool:
    address = _address(name)
    return name == "localhost" or (address is not None and address.is_loopback)


def _is_exempt(name: str, port: int, entry: str) -> bool:
    pattern, only_port = _without_port(entry)
    if only_port is not None and only_port != port:
        return False
    if pattern == "*":
        return True
    address = _address(name)
    if address is not None:
        return _holds(pattern, address)
    domain = pattern.removeprefix("*").lstrip(".")
    below = name.endswith(f".{domain}")
    return below if pattern.startswith((".", "*")) else below or name == domain


def _without_port(entry: str) -> tuple[str, int | None]:
    match = re.fullmatch(r"(\[[^]]+\]|[^:\[\]]+):(\d{1,5})", entry)
    return (match[1], int(match[2])) if match else (entry, None)


def _holds(pattern: str, address: ipaddress.IPv4Address | ipaddress.IPv6Address) -> bool:
    try:
        return address in ipaddress.ip_network(pattern.strip("[]"), strict=False)
    except ValueError:
        return False


def _address(name: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    try:
        return ipaddress.ip_address(name)
    except ValueError:
        return None
