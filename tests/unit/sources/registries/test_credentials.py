from __future__ import annotations

import base64
import json
from pathlib import Path
from typing import Any

import pytest

from joulecast.errors import ModelReferenceError
from joulecast.sources import RegistryAccess
from joulecast.sources.registries.authorization import challenges
from joulecast.sources.registries.credentials import lookup


def config(**keys: str) -> dict[str, Any]:
    """Each key of the configuration with a password of its own."""
    return {"auths": {key: {"username": "u", "password": word} for key, word in keys.items()}}


@pytest.mark.parametrize(
    ("keys", "registry", "repository", "password"),
    [
        ({"r.io": "a"}, "r.io", "x", "a"),
        ({"https://r.io": "a"}, "r.io", "x", "a"),
        ({"https://r.io/v2/": "a"}, "r.io", "x", "a"),
        ({"r.io:5000": "a"}, "r.io", "x", None),
        ({"r.io:5000": "a"}, "r.io:5000", "x", "a"),
        ({"r.io": "a", "r.io/team": "b", "r.io/team/x": "c"}, "r.io", "team/y", "b"),
        ({"r.io": "a", "r.io/team": "b", "r.io/team/x": "c"}, "r.io", "team/x", "c"),
        ({"r.io": "a", "r.io/team": "b"}, "r.io", "teams/x", "a"),
        ({"r.io/other": "b"}, "r.io", "team/x", None),
        ({"*.io": "a"}, "r.io", "x", "a"),
        ({"*.io": "a", "r.io": "b"}, "r.io", "x", "b"),
        ({"*.io": "a"}, "s.r.io", "x", None),
        ({"https://index.docker.io/v1/": "a"}, "registry-1.docker.io", "library/x", "a"),
        ({"docker.io": "a"}, "registry-1.docker.io", "library/x", "a"),
        ({"evil.io": "a"}, "r.io", "x", None),
    ],
)
def test_the_longest_matching_key(keys: dict[str, str], registry: str, repository: str, password: str | None) -> None:
    found = lookup(config(**keys), registry, repository)
    assert (found.password if found else None) == password


def test_forms_of_an_entry() -> None:
    pair = base64.b64encode(b"ann:pass:word").decode()
    found = lookup({"auths": {"r.io": {"auth": pair, "identitytoken": "i"}}}, "r.io", "x")
    assert found is not None
    assert (found.username, found.password, found.identity_token) == ("ann", "pass:word", "i")
    assert found.basic == f"Basic {pair}"
    for secret in ("pass", "identity_token='i'"):
        assert secret not in repr(found)


@pytest.mark.parametrize(
    "entry", [{"auth": "%%%"}, {"auth": base64.b64encode(b"nocolon").decode()}, "text", {"username": 3}]
)
def test_entries_that_cannot_be_decoded(entry: object) -> None:
    with pytest.raises(ModelReferenceError, match=r"'r\.io' cannot be decoded") as caught:
        lookup({"auths": {"r.io": entry}}, "r.io", "x")
    assert caught.value.reason == "InvalidCredentials"


def test_access_does_not_show_its_secrets() -> None:
    assert "hunter2" not in repr(RegistryAccess(docker_config=config(**{"r.io": "hunter2"})))


def test_the_users_own_login(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DOCKER_CONFIG", str(tmp_path))
    assert RegistryAccess.of_user().docker_config == {}
    (tmp_path / "config.json").write_text(json.dumps(config(**{"r.io": "a"})))
    assert RegistryAccess.of_user().docker_config == config(**{"r.io": "a"})
    (tmp_path / "config.json").write_text("[")
    with pytest.raises(ModelReferenceError, match="not a JSON object"):
        RegistryAccess.of_user()


@pytest.mark.parametrize(
    ("header", "found"),
    [
        ('Bearer realm="https://a/t?x=1,2",service="s"', {"bearer": {"realm": "https://a/t?x=1,2", "service": "s"}}),
        ('Basic realm="a b", Bearer realm=x', {"basic": {"realm": "a b"}, "bearer": {"realm": "x"}}),
        (r'Basic realm="a \"b\""', {"basic": {"realm": 'a "b"'}}),
        ("Negotiate", {"negotiate": {}}),
        ("", {}),
    ],
)
def test_challenges(header: str, found: dict[str, dict[str, str]]) -> None:
    assert challenges(header) == found


def test_a_header_full_of_one_word_is_looked_at_once() -> None:
    """Looked at from each of its characters it would take minutes of processor time."""
    assert challenges("1" * 100_000) == {}
    assert challenges("-" * 100_000 + ' Basic realm="x"') == {"basic": {"realm": "x"}}
