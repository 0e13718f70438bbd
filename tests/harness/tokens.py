"""A token server as OCI registries use one (distribution's "token authentication"): a password for a bearer token."""

import base64
import json
import threading
import time
import uuid
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import TracebackType
from typing import Any, Self
from urllib.parse import parse_qs, urlsplit

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature

ISSUER = "joulecast-tests"
SERVICE = "joulecast-registry"
KEY_ID = "joulecast"
LIFETIME_SECONDS = 300  # what the Docker registry's token specification advises at least: 60
COORDINATE_BYTES = 32  # of P-256, RFC 7518 section 3.4


class TokenServer:
    """Gives tokens for what is asked to whoever knows the password; to anyone for pulling, if `anonymous_pull`."""

    def __init__(self, directory: Path, *, username: str, password: str, anonymous_pull: bool = False) -> None:
        """Writes the public key to `jwks` in `directory`, for the registry to trust."""
        self._key = ec.generate_private_key(ec.SECP256R1())
        self._credentials = f"{username}:{password}"
        self._anonymous_pull = anonymous_pull
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), _handler(self))
        self._server.daemon_threads = True
        self.scopes: list[str] = []  # every scope asked for, in order
        self.jwks = directory / "jwks.json"
        self.jwks.write_text(json.dumps({"keys": [self._public_key()]}))
        threading.Thread(target=self._server.serve_forever, name="token-server", daemon=True).start()

    @property
    def realm(self) -> str:
        return f"http://127.0.0.1:{self._server.server_port}/token"

    def stop(self) -> None:
        self._server.shutdown()
        self._server.server_close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.stop()

    def answer(self, query: dict[str, list[str]], authorization: str | None) -> tuple[int, dict[str, Any]]:
        """The status and body for one request to the realm."""
        asked = [scope for value in query.get("scope", []) for scope in value.split()]
        self.scopes += asked
        known = authorization == f"Basic {base64.b64encode(self._credentials.encode()).decode()}"
        if not known and (authorization or not self._anonymous_pull):
            return 401, {"errors": [{"code": "UNAUTHORIZED", "message": "wrong credentials"}]}
        access = [_access(scope, pull_only=not known) for scope in asked]
        token = self._sign({"iss": ISSUER, "aud": SERVICE, "access": access, "jti": uuid.uuid4().hex})
        return 200, {"token": token, "access_token": token, "expires_in": LIFETIME_SECONDS}

    def _sign(self, claims: dict[str, Any]) -> str:
        """A JSON web token, ES256 (RFC 7515, RFC 7518 section 3.4)."""
        now = int(time.time())
        claims |= {"iat": now, "nbf": now - LIFETIME_SECONDS, "exp": now + LIFETIME_SECONDS}
        header = {"typ": "JWT", "alg": "ES256", "kid": KEY_ID}
        signed = f"{_base64url(json.dumps(header).encode())}.{_base64url(json.dumps(claims).encode())}"
        pair = decode_dss_signature(self._key.sign(signed.encode(), ec.ECDSA(hashes.SHA256())))
        return f"{signed}.{_base64url(b''.join(map(_coordinate, pair)))}"

    def _public_key(self) -> dict[str, str]:
        numbers = self._key.public_key().public_numbers()
        x, y = (_base64url(_coordinate(number)) for number in (numbers.x, numbers.y))
        return {"kty": "EC", "crv": "P-256", "kid": KEY_ID, "use": "sig", "alg": "ES256", "x": x, "y": y}


def _access(scope: str, *, pull_only: bool) -> dict[str, Any]:
    """ "repository:NAME:pull,push" as the claim that grants it."""
    kind, _, rest = scope.partition(":")
    name, _, actions = rest.rpartition(":")
    return {"type": kind, "name": name, "actions": ["pull"] if pull_only else actions.split(",")}


def _handler(tokens: TokenServer) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            status, body = tokens.answer(parse_qs(urlsplit(self.path).query), self.headers["Authorization"])
            content = json.dumps(body).encode()
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, format: str, *arguments: Any) -> None:  # noqa: A002  the base class names it so
            """Stay silent: `scopes` is the record."""

    return Handler


def _base64url(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def _coordinate(number: int) -> bytes:
    return number.to_bytes(COORDINATE_BYTES, "big")
