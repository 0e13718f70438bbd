"""The addresses that connections may reach, so that a reference from outside cannot direct requests to internal
ones.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterable
from dataclasses import dataclass
from fnmatch import fnmatchcase

from joulecast.errors import ModelFetchError

Address = ipaddress.IPv4Address | ipaddress.IPv6Address
Network = ipaddress.IPv4Network | ipaddress.IPv6Network

DENIED_NETWORKS = (
    "0.0.0.0/8", "::/128",  # this host (RFC 1122, RFC 4291)
    "127.0.0.0/8", "::1/128",  # loopback
    "169.254.0.0/16", "fe80::/10",  # link-local, where clouds serve metadata and credentials
    "fd00:ec2::/32", "100.100.100.200/32",  # metadata of AWS and Alibaba Cloud
    "192.0.0.192/32", "168.63.129.16/32",  # of Oracle Cloud and Azure
    "224.0.0.0/4", "ff00::/8", "240.0.0.0/4",  # multicast, reserved
    "10.96.0.0/12", "10.43.0.0/16", "172.30.0.0/16", "10.100.0.0/16",  # Service ranges: kubeadm, K3s, OpenShift, EKS
)  # fmt: skip
"""Other private ranges are open: registries inside a company live there."""
DENIED_HOSTS = ("metadata.google.internal", "*.svc", "*.cluster.local", "kubernetes.default")

_NAT64 = ipaddress.IPv6Network("64:ff9b::/96")  # RFC 6052


def host_and_port(host: str, port: int | None) -> str:
    """Return ``host:port`` in the form that patterns are matched against; IPv6 addresses in brackets."""
    name = host.lower().rstrip(".").strip("[]")
    bracketed = f"[{name}]" if ":" in name else name
    return f"{bracketed}:{port}" if port else bracketed


def listed(host: str, port: int | None, patterns: Iterable[str]) -> bool:
    """Decide whether ``host`` is among ``patterns`` (``host``, ``host:port``, ``*.domain``)."""
    bare, full = host_and_port(host, None), host_and_port(host, port)
    return any(fnmatchcase(full if _has_port(pattern) else bare, _escaped(pattern)) for pattern in patterns)


def _has_port(pattern: str) -> bool:
    return re.search(r":\d+$", pattern) is not None


def _escaped(pattern: str) -> str:
    return pattern.lower().replace("[", "[[]")


def embedded(address: Address) -> Address:
    """Return the IPv4 address that an IPv6 one contains (mapped, NAT64, 6to4), else the address itself."""
    if isinstance(address, ipaddress.IPv4Address):
        return address
    inner = address.ipv4_mapped or address.sixtofour
    if inner is None and address in _NAT64:
        inner = ipaddress.IPv4Address(int(address) & 0xFFFFFFFF)
    return inner or address


@dataclass(frozen=True, slots=True, kw_only=True)
class AddressPolicy:
    """The part of a ``RegistryAccess`` that every connection is checked against."""

    denied_networks: tuple[Network, ...]
    denied_hosts: tuple[str, ...]
    exempt_hosts: tuple[str, ...]

    def check_host(self, host: str, port: int) -> None:
        """Raise ModelFetchError (ForbiddenAddress) if the name alone is denied."""
        if not self._exempt(host, port) and listed(host, port, self.denied_hosts):
            raise forbidden(host, port)

    def admits(self, host: str, port: int, address: str) -> bool:
        """Decide whether a connection to ``host``, which resolved to ``address``, is allowed."""
        return self._exempt(host, port) or not self._denied(_parsed(address))

    def may_tell_of(self, host: str, port: int, address: str) -> bool:
        """Decide whether others may learn what became of a connection to ``address``.

        They may if it is public and not denied, or if an administrator named this very port of ``host``; else a
        reference would tell them about our network.
        """
        with_port = [pattern for pattern in self.exempt_hosts if _has_port(pattern)]
        resolved = _parsed(address)
        return listed(host, port, with_port) or (resolved.is_global and not self._denied(resolved))

    def _denied(self, address: Address) -> bool:
        return any(address in network for network in self.denied_networks if network.version == address.version)

    def _exempt(self, host: str, port: int) -> bool:
        return listed(host, port, self.exempt_hosts)


def _parsed(address: str) -> Address:
    return embedded(ipaddress.ip_address(address.partition("%")[0]))


def forbidden(host: str, port: int) -> ModelFetchError:
    return ModelFetchError(
        f"a connection to {host_and_port(host, port)} is not allowed (its name or address is on the deny list): "
        "use a server outside the cluster's own and link-local networks, or have an administrator permit that host",
        reason="ForbiddenAddress",
        transient=False,
    )
