"""A registry of a hundred lines that counts what it sends and can be told to behave badly."""

from __future__ import annotations

import base64
import json
import re
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from socketserver import StreamRequestHandler, ThreadingTCPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit

from tests.images import MANIFEST_TYPE, Image, digest_of

Answer = tuple[int, dict[str, str], bytes]
"""Status, headers, body."""


@dataclass
class Request:
    method: str
    path: str
    headers: dict[str, str]
    body: bytes = b""


@dataclass
class Served:
    """What the server holds, does wrong, and has seen. ``answer``: what it says instead, sometimes."""

    manifests: dict[str, tuple[bytes, str]] = field(default_factory=dict)
    blobs: dict[str, bytes] = field(default_factory=dict)
    ranges: bool = True
    answer: Callable[[Request], Answer | None] = lambda request: None
    requests: list[Request] = field(default_factory=list)
    bytes_sent: int = 0
    host: str = ""

    def add(self, image: Image, repository: str = "team/model", tag: str = "1") -> str:
        """Serve ``image``; returns the reference to it."""
        self.blobs |= image.blobs
        for target in (tag, image.digest):
            self.manifests[f"{repository}/{target}"] = image.manifest, MANIFEST_TYPE
        return f"{self.host}/{repository}:{tag}"

    def paths(self, method: str = "GET") -> list[str]:
        return [request.path for request in self.requests if request.method == method]

    def respond(self, request: Request) -> Answer:
        special = self.answer(request)
        if special is not None:
            return special
        path = urlsplit(request.path).path
        manifest = re.fullmatch(r"/v2/(.+)/manifests/(.+)", path)
        if manifest and f"{manifest[1]}/{manifest[2]}" in self.manifests:
            content, media_type = self.manifests[f"{manifest[1]}/{manifest[2]}"]
            return 200, {"Content-Type": media_type, "Docker-Content-Digest": digest_of(content)}, content
        blob = self.blobs.get(path.rpartition("/")[2])
        if blob is None:
            return 404, {}, b'{"errors": [{"code": "MANIFEST_UNKNOWN", "message": "SECRET BODY"}]}'
        return self.ranged(request, blob)

    def ranged(self, request: Request, blob: bytes) -> Answer:
        wanted = re.fullmatch(r"bytes=(\d+)-(\d+)", request.headers.get("range", ""))
        if not wanted or not self.ranges:
            return 200, {}, blob
        first, last = int(wanted[1]), min(int(wanted[2]), len(blob) - 1)
        if first > last:
            return 416, {}, b""
        return 206, {"Content-Range": f"bytes {first}-{last}/{len(blob)}"}, blob[first : last + 1]


class QuietServer(ThreadingHTTPServer):
    def handle_error(self, request: Any, client_address: Any) -> None:
        """Clients that hang up are what these tests are about."""


@contextmanager
def serving() -> Iterator[Served]:
    served = Served()
    server = QuietServer(("127.0.0.1", 0), handler_of(served))
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
    thread.start()
    served.host = f"127.0.0.1:{server.server_port}"
    try:
        yield served
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def handler_of(served: Served) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        disable_nagle_algorithm = True  # as real registries do; else every small answer waits for an acknowledgement

        def _serve(self) -> None:
            length = int(self.headers.get("Content-Length") or 0)
            headers = {key.lower(): value for key, value in self.headers.items()}
            request = Request(self.command, self.path, headers, self.rfile.read(length))
            served.requests.append(request)
            status, extra, body = served.respond(request)
            self.send_response(status)
            for key, value in {"Content-Length": str(len(body)), **extra}.items():
                self.send_header(key, value)
            self.end_headers()
            if self.command == "HEAD":
                return
            for start in range(0, len(body), 1 << 16):
                piece = body[start : start + (1 << 16)]
                served.bytes_sent += len(piece)  # before the client can have it, and look
                try:
                    self.wfile.write(piece)
                except OSError:
                    self.close_connection = True
                    return

        do_GET = do_HEAD = do_POST = _serve  # noqa: N815 - http.server's names

        def log_message(self, *arguments: Any) -> None:
            pass

    return Handler


def basic(username: str, password: str) -> str:
    return "Basic " + base64.b64encode(f"{username}:{password}".encode()).decode()


def docker_config(host: str, **entry: str) -> dict[str, Any]:
    return {"auths": {host: entry}}


def token_answer(realm: str, token: str, accepted: str | None) -> Callable[[Request], Answer | None]:
    """Bearer authentication; ``accepted``: the ``Authorization`` that /token wants, None for anonymous."""

    def answer(request: Request) -> Answer | None:
        if request.path.startswith("/token"):
            if request.headers.get("authorization") != accepted:
                return 401, {}, b"SECRET BODY"
            scope = parse_qs(urlsplit(request.path).query)["scope"][0]
            return 200, {}, json.dumps({"token": f"{token}-{scope}"}).encode()
        if request.headers.get("authorization") == f"Bearer {token}-repository:team/model:pull":
            return None
        challenge = f'Bearer realm="{realm}",service="reg",scope="repository:team/model:pull"'
        return 401, {"WWW-Authenticate": challenge}, b"SECRET BODY"

    return answer


@contextmanager
def dripping() -> Iterator[str]:
    """``host:port`` of a server whose first header never ends."""
    ended = threading.Event()

    class Handler(StreamRequestHandler):
        def handle(self) -> None:
            with suppress(OSError):
                self.wfile.write(b"HTTP/1.1 200 OK\r\nX-Endless: ")
                while not ended.wait(0.1):
                    self.wfile.write(b"a")

    with ThreadingTCPServer(("127.0.0.1", 0), Handler) as server:
        server.daemon_threads = True
        threading.Thread(target=server.serve_forever, daemon=True).start()
        try:
            yield f"127.0.0.1:{server.server_address[1]}"
        finally:
            ended.set()
            server.shutdown()
