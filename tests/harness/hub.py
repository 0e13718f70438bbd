"""A model hub on loopback that answers as huggingface.co does, and the host that its large files redirect to."""

from __future__ import annotations

import hashlib
import json
import re
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

TOKEN = "hf_test_token"
_LARGE_SUFFIXES = (".safetensors", ".gguf", ".bin")  # what .gitattributes of a new repository gives to LFS


@dataclass(frozen=True, slots=True)
class Sparse:
    """A large file of which only the first bytes are not zero."""

    head: bytes
    size: int

    def __len__(self) -> int:
        return self.size

    def part(self, first: int, last: int) -> bytes:
        """The bytes from `first` to `last`, both included."""
        piece = self.head[first : last + 1]
        return piece + bytes(last + 1 - first - len(piece))


Content = bytes | Sparse


@dataclass(frozen=True, slots=True)
class Request:
    """What a server was asked. `path`: with its query."""

    method: str
    path: str
    headers: Mapping[str, str]


@dataclass(slots=True)
class Answer:
    """What a server says; a body that is an iterable is sent piece by piece until the client leaves."""

    status: int
    headers: dict[str, str] = field(default_factory=dict)
    body: bytes | Iterable[bytes] = b""


Special = Callable[[Request], Answer | None]


class LoopbackServer:
    """An HTTP server at `host` ("127.0.0.1:PORT"). `special`: says something else sometimes."""

    def __init__(self, respond: Callable[[Request], Answer]) -> None:
        self.requests: list[Request] = []
        self.bytes_sent = 0
        self.special: Special = lambda request: None
        self._respond = respond
        self._server = _QuietServer(("127.0.0.1", 0), _handler(self))
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
        self._thread.start()

    @property
    def host(self) -> str:
        return f"127.0.0.1:{self._server.server_port}"

    @property
    def url(self) -> str:
        return f"http://{self.host}"

    def answer(self, request: Request) -> Answer:
        self.requests.append(request)
        return self.special(request) or self._respond(request)

    def stop(self) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


@dataclass(slots=True)
class Repository:
    """`commits`: files by name, by commit; `branches`: the commit of each; the hub's own rules for who may read."""

    commits: dict[str, dict[str, Content]] = field(default_factory=dict)
    branches: dict[str, str] = field(default_factory=dict)
    gated: bool = False
    private: bool = False

    def commit(self, files: Mapping[str, Content], branch: str = "main") -> str:
        """Put `files` on `branch`; returns the commit."""
        text = json.dumps([[name, hashlib.sha256(_head(files[name])).hexdigest()] for name in sorted(files)])
        commit = hashlib.sha1(f"{len(self.commits)} {text}".encode()).hexdigest()  # noqa: S324 - as git names commits
        self.commits[commit] = dict(files)
        self.branches[branch] = commit
        return commit


class Hub:
    """The hub at `url` and the storage beside it.

    - `readers`: tokens of accounts that accepted the licences of gated repositories.
    - `ignores_ranges`: every file is sent whole.
    - `throttled`: that many of the next requests are told to come later.
    - `signatures`: of the addresses on the storage host that are valid now.
    """

    def __init__(self) -> None:
        self.repositories: dict[str, Repository] = {}
        self.readers = {TOKEN}
        self.accounts = {TOKEN}
        self.ignores_ranges = False
        self.throttled = 0
        self.signatures: dict[str, Content] = {}
        self.server = LoopbackServer(self._hub)
        self.storage = LoopbackServer(self._stored)

    @property
    def url(self) -> str:
        return self.server.url

    @property
    def bytes_sent(self) -> int:
        return self.server.bytes_sent + self.storage.bytes_sent

    def add(self, name: str, files: Mapping[str, Content], **rules: Any) -> str:
        """Create a repository with `files` on main; returns the commit."""
        self.repositories[name] = Repository(**rules)
        return self.repositories[name].commit(files)

    def stop(self) -> None:
        self.server.stop()
        self.storage.stop()

    def _hub(self, request: Request) -> Answer:
        if self.throttled:
            self.throttled -= 1
            return Answer(429, {"Retry-After": "0"})
        parts = urlsplit(request.path)
        path = unquote(parts.path)
        if match := re.fullmatch(r"/api/models/(?P<name>.+)/revision/(?P<revision>.+)", path):
            return self._described(request, match["name"], match["revision"])
        if match := re.fullmatch(r"/api/resolve-cache/models/(?P<name>[^/]+/[^/]+)/(?P<commit>\w+)/(?P<file>.+)", path):
            return self._ranged(request, self.repositories[match["name"]].commits[match["commit"]][match["file"]])
        if match := re.fullmatch(r"/(?P<name>[^/]+/[^/]+)/resolve/(?P<revision>[^/]+)/(?P<file>.+)", path):
            return self._resolved(request, match["name"], match["revision"], match["file"])
        return Answer(404)

    def _described(self, request: Request, name: str, revision: str) -> Answer:
        repository = self.repositories.get(name)
        refusal = self._refusal(request, repository, is_file=False)
        if repository is None or refusal is not None:
            return refusal or _error(401, "RepoNotFound")
        commit = _commit(repository, revision)
        if commit is None:
            return _error(404, "RevisionNotFound")
        siblings = [{"rfilename": file, "size": len(body)} for file, body in repository.commits[commit].items()]
        document = {"id": name, "sha": commit, "gated": repository.gated, "siblings": siblings}
        return Answer(200, {"Content-Type": "application/json"}, json.dumps(document).encode())

    def _resolved(self, request: Request, name: str, revision: str, file: str) -> Answer:
        repository = self.repositories.get(name)
        refusal = self._refusal(request, repository, is_file=True)
        if repository is None or refusal is not None:
            return refusal or _error(401, "RepoNotFound")
        commit = _commit(repository, revision)
        if commit is None or file not in repository.commits[commit]:
            return _error(404, "EntryNotFound" if commit else "RevisionNotFound")
        content = repository.commits[commit][file]
        tag = hashlib.sha256(_head(content)).hexdigest()
        headers = {"X-Repo-Commit": commit, "ETag": f'"{tag}"'}
        if not file.endswith(_LARGE_SUFFIXES):
            return Answer(307, {**headers, "Location": f"/api/resolve-cache/models/{name}/{commit}/{file}"})
        signature = hashlib.sha256(f"{tag}{len(self.signatures)}".encode()).hexdigest()
        self.signatures[signature] = content
        linked = {"X-Linked-ETag": f'"{tag}"', "X-Linked-Size": str(len(content))}
        return Answer(302, {**headers, **linked, "Location": f"{self.storage.url}/{tag}?X-Amz-Signature={signature}"})

    def _refusal(self, request: Request, repository: Repository | None, *, is_file: bool) -> Answer | None:
        token = request.headers.get("authorization", "").removeprefix("Bearer ")
        if token and token not in self.accounts:
            return Answer(401)
        if repository is None or (repository.private and token not in self.readers):
            return _error(401 if not token else 404, "RepoNotFound")
        if repository.gated and is_file and token not in self.readers:
            return _error(403 if token else 401, "GatedRepo")
        return None

    def _stored(self, request: Request) -> Answer:
        signature = parse_qs(urlsplit(request.path).query).get("X-Amz-Signature", [""])[0]
        content = self.signatures.get(signature)
        if content is None or "authorization" in request.headers:  # S3 refuses two ways of signing at once
            return Answer(403)
        return self._ranged(request, content)

    def _ranged(self, request: Request, content: Content) -> Answer:
        wanted = re.fullmatch(r"bytes=(\d+)-(\d+)", request.headers.get("range", ""))
        if wanted is None or self.ignores_ranges:
            return Answer(200, {"Content-Length": str(len(content))}, _pieces(content))
        first, last = int(wanted[1]), min(int(wanted[2]), len(content) - 1)
        if first > last:
            return Answer(416, {"Content-Range": f"bytes */{len(content)}"})
        body = content.part(first, last) if isinstance(content, Sparse) else content[first : last + 1]
        return Answer(206, {"Content-Range": f"bytes {first}-{last}/{len(content)}", "ETag": '"stored"'}, body)


@contextmanager
def running() -> Iterator[Hub]:
    """A hub for the time of the block."""
    hub = Hub()
    try:
        yield hub
    finally:
        hub.stop()


def _commit(repository: Repository, revision: str) -> str | None:
    return revision if revision in repository.commits else repository.branches.get(revision)


def _head(content: Content) -> bytes:
    return content.head if isinstance(content, Sparse) else content


def _pieces(content: Content) -> Iterator[bytes]:
    step = 1 << 16
    for first in range(0, len(content), step):
        last = min(first + step, len(content)) - 1
        yield content.part(first, last) if isinstance(content, Sparse) else content[first : last + 1]


def _error(status: int, code: str) -> Answer:
    return Answer(status, {"X-Error-Code": code, "X-Error-Message": "SECRET MESSAGE"}, b'{"error": "SECRET BODY"}')


class _QuietServer(ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Clients that hang up are part of what is tested."""


def _handler(server: LoopbackServer) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        disable_nagle_algorithm = True  # else every small answer waits for an acknowledgement

        def do_GET(self) -> None:
            headers = {key.lower(): value for key, value in self.headers.items()}
            answer = server.answer(Request(self.command, self.path, headers))
            is_whole = isinstance(answer.body, bytes)
            self.send_response(answer.status)
            if isinstance(answer.body, bytes):
                answer.headers.setdefault("Content-Length", str(len(answer.body)))
            for key, value in answer.headers.items():
                self.send_header(key, value)
            self.close_connection = not is_whole and "Content-Length" not in answer.headers
            self.end_headers()
            self._send([answer.body] if isinstance(answer.body, bytes) else answer.body)

        def _send(self, pieces: Iterable[bytes]) -> None:
            for piece in pieces:
                server.bytes_sent += len(piece)  # before the client can have it, and look
                try:
                    self.wfile.write(piece)
                except OSError:
                    self.close_connection = True
                    return

        do_HEAD = do_GET  # noqa: N815 - http.server's name

        def log_message(self, format: str, *arguments: Any) -> None:  # noqa: A002 - http.server's name
            pass

    return Handler
