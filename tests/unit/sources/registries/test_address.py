from __future__ import annotations

import pytest

from joulecast.errors import ModelFetchError
from joulecast.sources import RegistryAccess
from joulecast.sources.registries.address import listed

DEFAULT = RegistryAccess().address_policy


@pytest.mark.parametrize(
    "address",
    [
        "127.0.0.1", "::1", "0.0.0.0", "::", "169.254.169.254", "fe80::1%eth0", "fd00:ec2::254",
        "100.100.100.200", "224.0.0.1",
        "10.96.0.1", "::ffff:127.0.0.1", "::ffff:169.254.169.254", "64:ff9b::a9fe:a9fe",
        "2002:a9fe:a9fe::1", "255.255.255.255",
    ],
)  # fmt: skip
def test_denied_by_default(address: str) -> None:
    assert not DEFAULT.admits("registry.example", 443, address)


@pytest.mark.parametrize("address", ["8.8.8.8", "10.0.0.5", "192.168.1.1", "172.16.0.1", "2001:db8::1", "fd12::1"])
def test_registries_of_the_public_and_of_companies_are_open(address: str) -> None:
    assert DEFAULT.admits("registry.example", 443, address)


@pytest.mark.parametrize(
    "host",
    ["metadata.google.internal", "kubernetes.default", "web.shop.svc", "api.default.svc.cluster.local", "A.B.SVC."],
)
def test_names_inside_a_cluster_are_denied(host: str) -> None:
    with pytest.raises(ModelFetchError, match="not allowed") as caught:
        DEFAULT.check_host(host, 443)
    assert caught.value.reason == "ForbiddenAddress"


def test_what_is_permitted_is_permitted_at_its_port_only() -> None:
    policy = RegistryAccess(permitted_hosts=("registry.svc:5000",), insecure_registries=("127.0.0.1:1",)).address_policy
    policy.check_host("registry.svc", 5000)
    assert policy.admits("registry.svc", 5000, "10.96.0.7")
    assert policy.admits("127.0.0.1", 1, "127.0.0.1")
    assert not policy.admits("127.0.0.1", 2, "127.0.0.1")
    with pytest.raises(ModelFetchError):
        policy.check_host("registry.svc", 443)


@pytest.mark.parametrize(
    ("host", "port", "pattern", "matches"),
    [
        ("a.example.com", None, "*.example.com", True),
        ("example.com", None, "*.example.com", False),
        ("evil-example.com", None, "*.example.com", False),
        ("Example.COM", 443, "example.com", True),
        ("example.com", 443, "example.com:443", True),
        ("example.com", 8443, "example.com:443", False),
        ("::1", 5000, "[::1]", True),
        ("::1", 5000, "[::1]:5000", True),
        ("::1", 5001, "[::1]:5000", False),
        ("example.com.", 443, "example.com", True),
    ],
)
def test_lists(host: str, port: int | None, pattern: str, matches: bool) -> None:
    assert listed(host, port, (pattern,)) is matches
