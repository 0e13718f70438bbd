"""Real OCI registries on loopback: distribution's, open, with Basic or token authentication or TLS, and a small one."""

from __future__ import annotations

import base64
import json
import ssl
import urllib.error
import urllib.request
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, Self
from urllib.parse import parse_qs, urlencode, urljoin, urlsplit

import yaml

from tests.harness import binaries, http
from tests.harness.certificates import CertificateAuthority
from tests.harness.ports import free_port
from tests.harness.processes import Process
from tests.harness.tokens import ISSUER, SERVICE, TokenServer

if TYPE_CHECKING:
    from types import TracebackType

    from tests.harness.steps import Report

Authentication = Literal["none", "basic", "token"]
USERNAME = "tester"
PASSWORD = "forecast"
# bcrypt of PASSWORD at cost 5: the one kind of line that distribution accepts, and Python has no bcrypt of its own
HTPASSWD = f"{USERNAME}:$2a$05$k.pU71o1M1KRTM.bmPHKJeoi9lE558On9Qkcdv5N4rh8R7UXpH6Fq\n"


class Registry:
    """A registry at `host` (ADDRESS:PORT); `process` can be killed and restarted, what was pushed stays."""

    def __init__(
        self,
        directory: Path,
        *,
        authentication: Authentication = "none",
        anonymous_pull: bool = False,
        tls: bool = False,
        detached: bool = False,
        address: str = "127.0.0.1",
        report: Report | None = None,
    ) -> None:
        """Prepare it in `directory`. `anonymous_pull` matters for token authentication alone."""
        self.directory = directory.absolute()
        self.directory.mkdir(parents=True, exist_ok=True)
        self.authentication = authentication
        self.host = f"{address}:{free_port()}"
        self.scheme = "https" if tls else "http"
        self.username, self.password = USERNAME, PASSWORD
        self.authority = CertificateAuthority(self.directory, "registry-ca") if tls else None
        self.tokens: TokenServer | None = None
        self._cleanup = ExitStack()
        if authentication == "token":
            server = TokenServer(self.directory, username=USERNAME, password=PASSWORD, anonymous_pull=anonymous_pull)
            self.tokens = self._cleanup.enter_context(server)
        self.process = Process(
            "registry",
            self._command(report),
            directory=self.directory,
            # 401 is an answer, too
            is_ready=lambda: http.answers(f"{self.url}/v2/", tls=self.tls_context, statuses=(200, 401)),
            detached=detached,
        )
        self._cleanup.callback(self.process.stop)

    @classmethod
    def start(cls, directory: Path, **options: Any) -> Self:
        """Prepare and start one; takes what the constructor takes. Raises `ProcessError` or `StepError`."""
        registry = cls(directory, **options)
        try:
            registry.process.start()
        except BaseException:
            registry.stop()
            raise
        return registry

    @property
    def url(self) -> str:
        return f"{self.scheme}://{self.host}"

    @property
    def tls_context(self) -> ssl.SSLContext | None:
        """What a client trusts this registry by; None without TLS."""
        return http.client_context(self.authority.bundle) if self.authority else None

    def stop(self) -> None:
        """Stop the registry and its token server; the directory stays."""
        self._cleanup.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.stop()

    def docker_config(self) -> dict[str, Any]:
        """The content of a `.dockerconfigjson` pull secret for this registry."""
        auth = base64.b64encode(f"{self.username}:{self.password}".encode()).decode()
        return {"auths": {self.host: {"username": self.username, "password": self.password, "auth": auth}}}

    def push(self, layout: Path, repository: str, tag: str) -> str:
        """Push the first manifest of an OCI image layout, with all it names; returns its digest.

        Raises `urllib.error.HTTPError` with the registry's answer.
        """
        descriptor = json.loads((layout / "index.json").read_text())["manifests"][0]
        self._push_manifest(layout, repository, descriptor, tag)
        return str(descriptor["digest"])

    def tag(self, repository: str, reference: str, tag: str) -> None:
        """Give what `reference` (a tag or digest) names another tag."""
        accept = {"Accept": "application/vnd.oci.image.manifest.v1+json, application/vnd.oci.image.index.v1+json"}
        answer = self._request("GET", f"{self.url}/v2/{repository}/manifests/{reference}", headers=accept)
        headers = {"Content-Type": answer.headers["Content-Type"]}
        self._request("PUT", f"{self.url}/v2/{repository}/manifests/{tag}", answer.read(), headers)

    def delete(self, repository: str, digest: str) -> None:
        """Delete a manifest; its tags go with it."""
        self._request("DELETE", f"{self.url}/v2/{repository}/manifests/{digest}")

    def _push_manifest(self, layout: Path, repository: str, descriptor: dict[str, Any], reference: str) -> None:
        content = _blob(layout, descriptor).read_bytes()
        manifest = json.loads(content)
        for child in manifest.get("manifests", []):
            self._push_manifest(layout, repository, child, child["digest"])
        for blob in [manifest["config"], *manifest["layers"]] if "config" in manifest else []:
            self._push_blob(layout, repository, blob)
        headers = {"Content-Type": descriptor["mediaType"]}
        self._request("PUT", f"{self.url}/v2/{repository}/manifests/{reference}", content, headers)

    def _push_blob(self, layout: Path, repository: str, descriptor: dict[str, Any]) -> None:
        try:
            self._request("HEAD", f"{self.url}/v2/{repository}/blobs/{descriptor['digest']}")
        except urllib.error.HTTPError as error:
            if error.code != 404:
                raise
        else:
            return
        opened = self._request("POST", f"{self.url}/v2/{repository}/blobs/uploads/", b"")
        location = urljoin(self.url, opened.headers["Location"])
        joint = "&" if urlsplit(location).query else "?"
        target = f"{location}{joint}{urlencode({'digest': descriptor['digest']})}"
        headers = {"Content-Type": "application/octet-stream"}
        self._request("PUT", target, _blob(layout, descriptor).read_bytes(), headers)

    def _request(self, method: str, url: str, data: bytes | None = None, headers: dict[str, str] | None = None) -> Any:
        """One request, authenticated as the registry asks."""
        request = urllib.request.Request(url, data, headers or {}, method=method)
        if self.authentication == "basic":
            request.add_header("Authorization", _basic())
        elif self.tokens is not None:
            repository = urlsplit(url).path.removeprefix("/v2/").partition("/blobs/")[0].partition("/manifests/")[0]
            query = parse_qs(f"scope=repository:{repository}:pull,push,delete")
            request.add_header("Authorization", f"Bearer {self.tokens.answer(query, _basic())[1]['token']}")
        return http.send(request, tls=self.tls_context)

    def _command(self, report: Report | None) -> list[str | Path]:
        configuration = self.directory / "registry.yaml"
        configuration.write_text(yaml.safe_dump(self._configuration()))
        return [binaries.program("registry", report), "serve", configuration]

    def _configuration(self) -> dict[str, Any]:
        return {
            "version": 0.1,
            "log": {"level": "warn", "accesslog": {"disabled": False}},
            "storage": {
                "filesystem": {"rootdirectory": str(self.directory / "data")},
                "delete": {"enabled": True},
            },
            "http": {"addr": self.host, **self._tls()},
            **self._auth(),
        }

    def _tls(self) -> dict[str, Any]:
        if self.authority is None:
            return {}
        server = self.authority.server("registry-serving")
        return {"tls": {"certificate": str(server.certificate), "key": str(server.key)}}

    def _auth(self) -> dict[str, Any]:
        if self.authentication == "basic":
            path = self.directory / "htpasswd"
            path.write_text(HTPASSWD)
            return {"auth": {"htpasswd": {"realm": "joulecast tests", "path": str(path)}}}
        if self.tokens is not None:
            trust = {"jwks": str(self.tokens.jwks), "signingalgorithms": ["ES256"]}
            return {"auth": {"token": {"realm": self.tokens.realm, "service": SERVICE, "issuer": ISSUER, **trust}}}
        return {}


class SmallRegistry(Registry):
    """go-containerregistry's, which is built in seconds and keeps in memory what is pushed: open, without TLS."""

    def _command(self, report: Report | None) -> list[str | Path]:
        return [binaries.program("small-registry", report), f"-port={self.host.rpartition(':')[2]}"]


def _blob(layout: Path, descriptor: dict[str, Any]) -> Path:
    algorithm, _, digest = descriptor["digest"].partition(":")
    return layout / "blobs" / str(algorithm) / str(digest)


def _basic() -> str:
    return f"Basic {base64.b64encode(f'{USERNAME}:{PASSWORD}'.encode()).decode()}"
