"""Test that the registry of the tests of images is a real one."""

import hashlib
import json
import urllib.error
import urllib.request
from pathlib import Path
from urllib.parse import urlencode

import pytest

from tests.harness import http
from tests.harness.registry import Registry, SmallRegistry

MANIFEST = "application/vnd.oci.image.manifest.v1+json"


def write_blob(layout: Path, content: bytes, media_type: str) -> dict:
    digest = hashlib.sha256(content).hexdigest()
    (layout / "blobs" / "sha256").mkdir(parents=True, exist_ok=True)
    (layout / "blobs" / "sha256" / digest).write_bytes(content)
    return {"mediaType": media_type, "digest": f"sha256:{digest}", "size": len(content)}


@pytest.fixture
def layout(tmp_path: Path) -> Path:
    """Return an image layout with one layer."""
    folder = tmp_path / "layout"
    manifest = {
        "schemaVersion": 2,
        "mediaType": MANIFEST,
        "config": write_blob(folder, b"{}", "application/vnd.oci.image.config.v1+json"),
        "layers": [write_blob(folder, b"a layer", "application/vnd.oci.image.layer.v1.tar")],
    }
    descriptor = write_blob(folder, json.dumps(manifest).encode(), MANIFEST)
    (folder / "index.json").write_text(json.dumps({"schemaVersion": 2, "manifests": [descriptor]}))
    return folder


def pull(registry: Registry, path: str, authorization: str | None = None) -> dict:
    request = urllib.request.Request(f"{registry.url}/v2/{path}", headers={"Accept": MANIFEST})
    if authorization:
        request.add_header("Authorization", authorization)
    with http.send(request, tls=registry.tls_context) as response:
        return json.load(response)


def test_what_is_pushed_can_be_pulled_after_a_crash(registry: Registry, layout: Path) -> None:
    digest = registry.push(layout, "models/sample", "1")
    registry.process.kill()
    registry.process.start()
    assert pull(registry, "models/sample/manifests/1") == pull(registry, f"models/sample/manifests/{digest}")


def test_a_tag_moves_and_a_manifest_is_deleted(registry: Registry, layout: Path) -> None:
    digest = registry.push(layout, "models/moving", "1")
    registry.tag("models/moving", digest, "2")
    assert sorted(pull(registry, "models/moving/tags/list")["tags"]) == ["1", "2"]
    registry.delete("models/moving", digest)
    with pytest.raises(urllib.error.HTTPError, match="404"):
        pull(registry, "models/moving/manifests/2")


def test_basic_authentication_and_tls(tmp_path: Path, layout: Path) -> None:
    with Registry.start(tmp_path / "registry", authentication="basic", tls=True) as registry:
        registry.push(layout, "private", "1")
        with pytest.raises(urllib.error.HTTPError, match="401"):
            pull(registry, "private/manifests/1")
        auth = registry.docker_config()["auths"][registry.host]["auth"]
        assert pull(registry, "private/manifests/1", f"Basic {auth}")["schemaVersion"] == 2
        with pytest.raises(urllib.error.URLError, match="CERTIFICATE_VERIFY_FAILED"):
            http.get_json(f"{registry.url}/v2/")


def ask_token(registry: Registry, scope: str, authorization: str | None = None) -> str:
    """Get a token like a client: from the realm that the registry's challenge names."""
    with pytest.raises(urllib.error.HTTPError) as refused:
        pull(registry, scope.split(":")[1] + "/manifests/1")
    challenge = refused.value.headers["WWW-Authenticate"]
    refused.value.close()
    fields = dict(part.split("=", 1) for part in challenge.removeprefix("Bearer ").split(","))
    realm, service = fields["realm"].strip('"'), fields["service"].strip('"')
    request = urllib.request.Request(f"{realm}?{urlencode({'service': service, 'scope': scope})}")
    if authorization:
        request.add_header("Authorization", authorization)
    with http.send(request) as response:
        return json.load(response)["token"]


def test_token_authentication(tmp_path: Path, layout: Path) -> None:
    with Registry.start(tmp_path / "registry", authentication="token") as registry:
        registry.push(layout, "private", "1")
        auth = registry.docker_config()["auths"][registry.host]["auth"]
        token = ask_token(registry, "repository:private:pull", f"Basic {auth}")
        assert pull(registry, "private/manifests/1", f"Bearer {token}")["schemaVersion"] == 2
        with pytest.raises(urllib.error.HTTPError, match="401"):
            ask_token(registry, "repository:private:pull")
        with pytest.raises(urllib.error.HTTPError, match="401"):
            ask_token(registry, "repository:private:pull", "Basic d3Jvbmc6d3Jvbmc=")
        other = ask_token(registry, "repository:other:pull", f"Basic {auth}")
        with pytest.raises(urllib.error.HTTPError, match="401"):
            pull(registry, "private/manifests/1", f"Bearer {other}")


def test_anyone_may_pull_with_an_anonymous_token(tmp_path: Path, layout: Path) -> None:
    with Registry.start(tmp_path / "registry", authentication="token", anonymous_pull=True) as registry:
        registry.push(layout, "public", "1")
        token = ask_token(registry, "repository:public:pull")
        assert pull(registry, "public/manifests/1", f"Bearer {token}")["schemaVersion"] == 2
        assert registry.tokens is not None
        assert "repository:public:pull" in registry.tokens.scopes


def test_the_demos_small_registry_answers_ranges(tmp_path: Path, layout: Path) -> None:
    with SmallRegistry.start(tmp_path / "registry") as small:
        digest = small.push(layout, "models/sample", "1")
        manifest = pull(small, "models/sample/manifests/1")
        assert manifest == pull(small, f"models/sample/manifests/{digest}")
        blob = f"{small.url}/v2/models/sample/blobs/{manifest['layers'][0]['digest']}"
        request = urllib.request.Request(blob, headers={"Range": "bytes=2-4"})
        with http.send(request) as response:
            assert (response.status, response.read()) == (206, b"lay")
            assert response.headers["Content-Range"] == "bytes 2-4/7"
