"""An HTTP proxy on loopback that opens tunnels by CONNECT, and knows by itself where names lead."""

from __future__ import annotations

import base64
import select
import socket
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import urlsplit

_PIECE_BYTES = 1 << 16
_IDLE_SECONDS = 60.0


@dataclass(slots=True, kw_only=True)
class TunnelProxy:
    """``routes``: where "HOST:PORT" leads, on loopback; every other host is refused. ``seen``: what was asked for.
    ``password``: of the user "proxy-user", where one is wanted."""

    host: str
    routes: Mapping[str, str]
    password: str = ""
    seen: list[str] = field(default_factory=list)

    @property
    def url(self) -> str:
        return f"http://{self.host}"

    def admits(self, authorization: str) -> bool:
        wanted = base64.b64encode(f"proxy-user:{self.password}".encode()).decode()
        return not self.password or authorization == f"Basic {wanted}"


@contextmanager
def tunnelling(routes: Mapping[str, str], *, password: str = "") -> Iterator[TunnelProxy]:
    """A proxy that works until the end of the block."""
    found = TunnelProxy(host="", routes=routes, password=password)
    server = ThreadingHTTPServer(("127.0.0.1", 0), _handler(found))
    server.daemon_threads = True
    found.host = f"127.0.0.1:{server.server_address[1]}"
    threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()
    try:
        yield found
    finally:
        server.shutdown()
        server.server_close()


def _handler(proxy: TunnelProxy) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_CONNECT(self) -> None:  # http.server's name
            proxy.seen.append(f"CONNECT {self.path}")
            if (target := self._target(self.path)) is None:
                return
            with socket.create_connection(_split(target)) as upstream:
                self.send_response(200)
                self.end_headers()
                _relay(self.connection, upstream)
            self.close_connection = True

        def do_GET(self) -> None:  # http.server's name
            """A request in absolute form (RFC 9112, 3.2.2), as plain HTTP goes through a proxy."""
            url = urlsplit(self.path)
            proxy.seen.append(f"{self.command} {url.netloc}")
            if (target := self._target(url.netloc)) is None:
                return
            with socket.create_connection(_split(target)) as upstream:
                kept = [f"{name}: {value}" for name, value in self.headers.items() if name.lower() != "connection"]
                lines = [f"{self.command} {url.path} HTTP/1.1", *kept, "Connection: close", "", ""]
                upstream.sendall("\r\n".join(lines).encode())
                while piece := upstream.recv(_PIECE_BYTES):
                    self.connection.sendall(piece)
            self.close_connection = True

        do_HEAD = do_GET  # noqa: N815  # http.server's name

        def _target(self, asked: str) -> str | None:
            admitted = proxy.admits(self.headers.get("Proxy-Authorization", ""))
            if admitted and asked in proxy.routes:
                return proxy.routes[asked]
            self.send_response(403 if admitted else 407)
            self.send_header("Content-Length", "0")
            self.end_headers()
            return None

        def log_message(self, *_: Any) -> None:
            pass

    return Handler


def _split(host: str) -> tuple[str, int]:
    name, _, port = host.rpartition(":")
    return name, int(port)


def _relay(one: socket.socket, other: socket.socket) -> None:
    """Hand bytes to and fro until either side ends."""
    ends = {one: other, other: one}
    while True:
        readable, _, _ = select.select(list(ends), [], [], _IDLE_SECONDS)
        for side in readable:
            piece = side.recv(_PIECE_BYTES)
            if not piece:
                return
            ends[side].sendall(piece)
        if not readable:
            return
