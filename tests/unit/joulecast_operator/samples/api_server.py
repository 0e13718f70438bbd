"""Run an API server of a few fixed objects, for tests of the command line that reads them."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
import yaml

from joulecast_operator.api.kinds import ANNOTATED, ESTIMATES, Kind


class ApiServer:
    """Answers by path. ``answers``: status and body by path; ``requests``: method, path, query and body of each."""

    def __init__(self, url: str, kubeconfig: Path) -> None:
        self.url, self.kubeconfig = url, kubeconfig
        self.answers: dict[str, tuple[int, Any]] = {}
        self.requests: list[tuple[str, str, dict[str, str], Any]] = []

    def hold(self, kind: Kind, *objects: dict[str, Any], namespace: str = "shop") -> None:
        """Serve these objects of a kind, and no other of it."""
        items = [{key: value for key, value in each.items() if key not in ("kind", "apiVersion")} for each in objects]
        for path in (kind.path(namespace), kind.path()):
            self.answers[path] = (200, {"kind": f"{kind.kind}List", "metadata": {}, "items": items})
        for each in objects:
            self.answers[kind.path(namespace, each["metadata"]["name"])] = (200, each)

    def hold_nothing(self, namespace: str = "shop") -> None:
        """Serve estimates and the built-in kinds of workloads, without objects."""
        for kind in (ESTIMATES, *ANNOTATED.values()):
            self.hold(kind, namespace=namespace)

    def refuse(self, path: str, status: int, reason: str, message: str, **details: Any) -> None:
        """Refuse requests of a path as Kubernetes does."""
        body = {"kind": "Status", "code": status, "reason": reason, "message": message, "details": details}
        self.answers[path] = (status, body)

    def answer(self, method: str, path: str, query: dict[str, str], body: Any) -> tuple[int, Any]:
        self.requests.append((method, path, query, body))
        if path in self.answers:
            return self.answers[path]
        collection, _, name = path.rpartition("/")
        if self.answers.get(collection, (404, None))[0] != 200:
            return 404, "404 page not found"
        if method == "PATCH":  # of an object that is not there: a server-side apply makes it
            return 201, body
        return 404, {"kind": "Status", "code": 404, "reason": "NotFound", "message": "", "details": {"name": name}}


@contextmanager
def api_server(folder: Path, *, namespace: str = "shop") -> Iterator[ApiServer]:
    """Run an API server, write a kubeconfig for it into ``folder``, and let clients reach it without a proxy."""
    held: list[ApiServer] = []

    class Handler(BaseHTTPRequestHandler):
        def _answer(self) -> None:
            address = urlsplit(self.path)
            query = {name: values[0] for name, values in parse_qs(address.query).items()}
            body = json.loads(self.rfile.read(int(self.headers.get("Content-Length") or 0)) or "null")
            status, found = held[0].answer(self.command, address.path, query, body)
            content = found.encode() if isinstance(found, str) else json.dumps(found).encode()
            self.send_response(status)
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        do_GET = do_PATCH = _answer  # noqa: N815  # http.server's names

        def log_message(self, *_: Any) -> None:
            pass

    with pytest.MonkeyPatch.context() as patch, ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        patch.setenv("NO_PROXY", "127.0.0.1")
        patch.setenv("no_proxy", "127.0.0.1")
        url = f"http://127.0.0.1:{server.server_port}"
        held.append(ApiServer(url, kubeconfig(folder / "kubeconfig", url, namespace)))
        threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
        yield held[0]
        server.shutdown()


def kubeconfig(path: Path, url: str, namespace: str | None = "shop") -> Path:
    """Write a kubeconfig with the contexts ``here`` and ``there``, whose user has a token."""
    context = {"cluster": "c", "user": "u"} | ({"namespace": namespace} if namespace else {})
    document = {
        "apiVersion": "v1",
        "kind": "Config",
        "current-context": "here",
        "clusters": [{"name": "c", "cluster": {"server": url}}],
        "contexts": [
            {"name": "here", "context": context},
            {"name": "there", "context": {"cluster": "c", "user": "u", "namespace": "elsewhere"}},
        ],
        "users": [{"name": "u", "user": {"token": "secret"}}],
    }
    path.write_text(yaml.safe_dump(document))
    return path
