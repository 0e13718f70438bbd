from __future__ import annotations

import json
from pathlib import Path

import pytest
import typer

from joulecast.cli import fetching
from joulecast.cli.options import ModelRequest
from joulecast.errors import ModelReferenceError
from joulecast.sources import FetchBudget


@pytest.mark.parametrize(
    ("text", "count"), [("0", 0), ("1000", 1000), ("2k", 2000), ("512Mi", 512 * 2**20), ("1Gi", 2**30)]
)
def test_a_budget_of_bytes_reads_like_a_quantity(text: str, count: int) -> None:
    assert fetching.byte_count(text) == count


@pytest.mark.parametrize("text", ["", "lots", "-1", "1.5Mi", "1 Mi", "1KB", "²"])
def test_a_malformed_budget_is_a_usage_error(text: str) -> None:
    with pytest.raises(typer.BadParameter, match="512Mi"):
        fetching.byte_count(text)


def test_a_budget_changes_what_is_said_alone() -> None:
    assert fetching.budget(ModelRequest(source="x")) == FetchBudget()
    said = fetching.budget(ModelRequest(source="x", budget_bytes="1Mi", budget_seconds=5.0))
    assert said == FetchBudget(fetched_bytes=2**20, wall_seconds=5.0)


def test_the_proxy_of_the_environment_is_used(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DOCKER_CONFIG", str(tmp_path))
    monkeypatch.setenv("HTTPS_PROXY", "http://proxy.example:3128")
    monkeypatch.setenv("NO_PROXY", ".corp.example")
    proxies = fetching.access(ModelRequest(source="x")).proxies
    found = proxies.proxy_for("https", "registry.example", None)
    assert found is not None
    assert found.origin == "http://proxy.example:3128"
    assert proxies.proxy_for("https", "registry.corp.example", None) is None


def test_the_docker_login_and_the_options_make_the_access(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    login = {"auths": {"registry.example": {"auth": "dXNlcjpwYXNz"}}}
    (tmp_path / "config.json").write_text(json.dumps(login))
    monkeypatch.setenv("DOCKER_CONFIG", str(tmp_path))
    access = fetching.access(
        ModelRequest(
            source="x",
            insecure_registry=["10.0.0.5:5000"],
            permit_host=["registry.svc"],
            mirror=["docker.io=one.example", "docker.io=two.example"],
            ca_file=tmp_path / "ca.pem",
        )
    )
    assert access.docker_config == login
    assert access.insecure_registries[-1] == "10.0.0.5:5000"
    assert "127.0.0.1" in access.insecure_registries
    assert access.permitted_hosts == ("registry.svc",)
    assert access.mirrors == {"docker.io": ("one.example", "two.example")}
    assert access.certificate_authority == str(tmp_path / "ca.pem")


def test_a_damaged_docker_login_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "config.json").write_text("{")
    monkeypatch.setenv("DOCKER_CONFIG", str(tmp_path))
    with pytest.raises(ModelReferenceError, match=r"config\.json"):
        fetching.access(ModelRequest(source="x"))
