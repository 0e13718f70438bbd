"""Test what the Secret of the webhook's certificate holds over the years, by a clock that the tests set."""

from __future__ import annotations

import itertools
import ssl
from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509

from joulecast_operator.certificates import pairs
from joulecast_operator.certificates.rotation import Decision, Rules, decide

NAMES = ("joulecast-webhook.energy.svc", "joulecast-webhook.energy.svc.cluster.local")
RULES = Rules(names=NAMES, certificate=timedelta(days=90), authority=timedelta(days=365))
START = datetime(2026, 1, 1, tzinfo=UTC)
PARTS = ("ca.crt", "ca.key", "tls.crt", "tls.key")


class World:
    """A Secret, an API server that trusts what was published, and a clock."""

    def __init__(self, rules: Rules = RULES) -> None:
        self.rules = rules
        self.now = START
        self.data: Mapping[str, str] = {}
        self.trusted = ""

    def look(self) -> Decision:
        """Look once like the controller: write what should be written; what is trusted is set by the tests."""
        decision = decide(self.data, self.trusted, self.rules, self.now)
        if decision.reason:
            self.data = decision.data
        return decision

    def publish(self) -> None:
        self.trusted = self.data["ca.crt"]

    def advance(self, **by: float) -> None:
        self.now += timedelta(**by)

    def live(self, *, days: int) -> None:
        """Let days go by, with a look each day."""
        for _ in range(days):
            self.advance(days=1)
            self.look()
            self.publish()


@pytest.fixture
def world() -> World:
    """Return a world in which everything was made and published."""
    found = World()
    found.look()
    found.publish()
    return found


def server_of(data: Mapping[str, str]) -> x509.Certificate:
    return x509.load_pem_x509_certificate(data["tls.crt"].encode())


def authorities_of(data: Mapping[str, str]) -> list[x509.Certificate]:
    return pairs.read_all(data["ca.crt"])


def is_trusted(served: Mapping[str, str], bundle: str, now: datetime) -> bool:
    """Tell whether a client that trusts ``bundle`` accepts what is ``served``, by the rules of RFC 5280."""
    from cryptography.x509.verification import PolicyBuilder, Store, VerificationError

    builder = PolicyBuilder().store(Store(pairs.read_all(bundle))).time(now)
    try:
        builder.build_server_verifier(x509.DNSName(NAMES[0])).verify(server_of(served), [])
    except VerificationError:
        return False
    return True


def test_from_nothing_everything_is_made_and_is_served(world: World, tmp_path: Path) -> None:
    assert set(world.data) == set(PARTS)
    assert pairs.names_of(server_of(world.data)) == set(NAMES)
    assert is_trusted(world.data, world.data["ca.crt"], world.now)
    for name in ("tls.crt", "tls.key"):
        (tmp_path / name).write_text(world.data[name])
    ssl.create_default_context(ssl.Purpose.CLIENT_AUTH).load_cert_chain(tmp_path / "tls.crt", tmp_path / "tls.key")


def test_what_is_in_order_is_left_alone_until_it_is_due(world: World) -> None:
    first = world.look()
    assert first.reason is None
    assert first.data == world.data
    assert first.due == START + timedelta(days=60)
    world.now = first.due - timedelta(seconds=1)
    assert world.look().reason is None
    world.now = first.due
    assert world.look().reason == "CertificateRenewed"


def test_a_renewed_certificate_needs_no_other_trust(world: World) -> None:
    bundle = world.data["ca.crt"]
    world.advance(days=60)
    decision = world.look()
    assert decision.data["ca.crt"] == bundle
    assert decision.expires == world.now + timedelta(days=90)
    assert is_trusted(decision.data, bundle, world.now)


def test_an_authority_is_replaced_in_two_steps_and_only_when_it_is_trusted(world: World) -> None:
    world.live(days=243)
    old, before = authorities_of(world.data)[0], dict(world.data)
    world.advance(days=1)
    decision = world.look()
    assert decision.reason == "AuthorityAnnounced"
    new, kept = authorities_of(world.data)
    assert kept == old
    assert new != old
    assert is_trusted(world.data, world.trusted, world.now), "the API server knows only the old authority yet"
    assert world.data["ca.key"] != before["ca.key"], "the old authority signs nothing more"
    assert world.look().reason is None, "it waits for the API server"
    world.publish()
    assert world.look().reason == "AuthorityReplaced"
    assert server_of(world.data).issuer == new.subject
    assert is_trusted(world.data, world.trusted, world.now)
    assert authorities_of(world.data) == [new, old], "replicas may still serve what the old one signed"


def test_the_old_authority_ends_also_where_nothing_else_is_due(world: World) -> None:
    world.rules = replace(RULES, certificate=timedelta(days=80))
    world.live(days=364)
    assert len(authorities_of(world.data)) == 2
    certificate = world.data["tls.crt"]
    decision = world.look()
    assert decision.due == START + timedelta(days=365)
    world.now = decision.due
    assert world.look().reason == "AuthorityExpired"
    assert len(authorities_of(world.data)) == 1
    assert world.data["tls.crt"] == certificate


@pytest.mark.parametrize("days", [10, 20, 61, 400])
def test_years_go_by_and_every_certificate_in_use_is_trusted_by_every_bundle_in_use(days: int) -> None:
    """Replicas read a certificate one look late, and API servers a bundle one look late."""
    world = World()
    world.look()
    world.publish()
    served = dict(world.data)
    for _ in range(1500 // days):
        world.advance(days=days)
        for _ in range(4):  # looks that follow each other closely
            published, late = world.trusted, served
            world.look()
            if days < 30:  # else what was in use is long over
                for certificate, bundle in itertools.product((late, world.data), (published, world.data["ca.crt"])):
                    assert is_trusted(certificate, bundle, world.now)
            served = dict(world.data)
            world.publish()
        assert is_trusted(served, world.trusted, world.now)
        assert len(authorities_of(world.data)) <= 2


def test_an_api_server_that_is_never_told_keeps_a_certificate_that_it_trusts(world: World) -> None:
    """A patch that is denied for months: the old authority's last signature lasts as long as it can."""
    world.live(days=243)
    world.advance(days=1)
    expires = world.look().expires
    assert expires == world.now + timedelta(days=90)
    while world.now < expires - timedelta(days=1):
        world.advance(days=1)
        assert world.look().reason is None
        assert is_trusted(world.data, world.trusted, world.now)
    world.now = expires
    assert world.look().reason == "CertificateMade", "nothing is left to wait for"
    assert server_of(world.data).issuer == authorities_of(world.data)[0].subject


@pytest.mark.parametrize("part", PARTS)
@pytest.mark.parametrize("damage", ["", "garbage", "half", "other"])
def test_a_damaged_part_is_made_anew(world: World, part: str, damage: str) -> None:
    other = World()
    other.look()
    text = world.data[part]
    value = {"half": text[: len(text) // 2], "other": other.data[part]}.get(damage, damage)
    before = dict(world.data)
    world.data = {**world.data, part: value}
    assert world.look().reason == "CertificateMade"
    assert is_trusted(world.data, world.data["ca.crt"], world.now)
    kept_authority = part.startswith("tls")
    assert (world.data["ca.crt"] == before["ca.crt"]) is kept_authority
    assert world.look().reason is None


@pytest.mark.parametrize("part", PARTS)
def test_a_missing_part_is_made_anew(world: World, part: str) -> None:
    world.data = {key: value for key, value in world.data.items() if key != part}
    assert world.look().reason == "CertificateMade"
    assert world.look().reason is None


def test_other_names_need_another_certificate_of_the_same_authority(world: World) -> None:
    bundle = world.data["ca.crt"]
    world.rules = replace(RULES, names=("a.energy.svc",))
    assert world.look().reason == "CertificateMade"
    assert world.data["ca.crt"] == bundle
    assert pairs.names_of(server_of(world.data)) == {"a.energy.svc"}
    assert world.look().reason is None


def test_a_controller_that_was_away_for_years_begins_anew(world: World) -> None:
    world.advance(days=3650)
    assert world.look().reason == "CertificateMade"
    assert is_trusted(world.data, world.data["ca.crt"], world.now)


def test_certificates_of_a_clock_that_was_years_ahead_are_replaced(world: World) -> None:
    world.advance(days=-1000)
    assert world.look().reason == "CertificateMade"
    assert is_trusted(world.data, world.data["ca.crt"], world.now)
    assert world.look().reason is None


def test_a_clock_that_is_an_hour_late_changes_nothing(world: World) -> None:
    world.advance(minutes=-59)
    assert world.look().reason is None


def test_a_certificate_never_outlives_its_authority() -> None:
    decision = World(replace(RULES, certificate=timedelta(days=1000))).look()
    assert decision.expires == authorities_of(decision.data)[0].not_valid_after_utc == START + timedelta(days=365)


def test_an_authority_signs_servers_and_nothing_else(world: World) -> None:
    (authority,) = authorities_of(world.data)
    assert authority.extensions.get_extension_for_class(x509.BasicConstraints).value == x509.BasicConstraints(True, 0)
    usage = server_of(world.data).extensions.get_extension_for_class(x509.ExtendedKeyUsage).value
    assert list(usage) == [x509.ExtendedKeyUsageOID.SERVER_AUTH]
