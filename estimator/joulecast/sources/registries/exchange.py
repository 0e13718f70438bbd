"""Requests to one registry, hub or object store: authorisation, redirects, retries, and the count of what is
received.
"""

from __future__ import annotations

import random
import re
import ssl
import time
from collections.abc import Callable, Mapping
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING, TypeVar

import httpx2

from joulecast.errors import ModelFetchError
from joulecast.sources.images.manifest import MAX_DOCUMENT_BYTES
from joulecast.sources.registries.address import forbidden, host_and_port, listed
from joulecast.sources.registries.transport import CheckedTransport

if TYPE_CHECKING:
    from joulecast.sources.budget import Meter
    from joulecast.sources.registries.access import RegistryAccess
    from joulecast.sources.registries.service import Authority, Service

T = TypeVar("T")

CONNECT_SECONDS, READ_SECONDS = 5.0, 10.0  # slower for one answer is of no use within a budget of a minute
ATTEMPTS = 4
_FIRST_DELAY_SECONDS, _LONGEST_DELAY_SECONDS = 0.2, 5.0  # doubled each time, with full jitter
_PASSING_STATUSES = frozenset({408, 425, 429, 500, 502, 503, 504})
_MAX_REDIRECTS = 5
_REGION_HEADER = "x-amz-bucket-region"  # Amazon S3, HeadBucket: also in answers to requests at another region's address
_REGION = re.compile(r"[a-z0-9-]{1,32}")
_TELLING = frozenset(
    {"UntrustedCertificate", "RegistryUnavailable", "RegistryMisbehaved", "SourceUnavailable", "SourceMisbehaved"}
)
"""Reasons that differ by what listens at an address, if anything does."""


class _PassingError(Exception):
    """A failure that a retry may clear. ``retry_after_seconds``: when the server said when."""

    def __init__(self, problem: str, retry_after_seconds: float | None = None) -> None:
        super().__init__(problem)
        self.problem = problem
        self.retry_after_seconds = retry_after_seconds


class Exchange:
    """One server, one set of credentials, one meter."""

    def __init__(
        self,
        service: Service,
        *,
        access: RegistryAccess,
        meter: Meter,
        authority: Authority | None = None,
        origin: str | None = None,
    ) -> None:
        """Prepare the client; no request is made.

        - ``authority``: set ``authority`` later where it asks this exchange itself for a token.
        - ``origin``: ``scheme://host[:port]``; without it the scheme is https, or http for a host listed as insecure.
        """
        self.service = service
        self.authority = authority
        self._access = access
        self._meter = meter
        self._transport = CheckedTransport(
            access.address_policy, access.certificate_authority, meter.remaining_seconds, access.proxies
        )
        self._client = httpx2.Client(
            transport=self._transport,
            trust_env=False,
            follow_redirects=False,
            headers={"User-Agent": "joulecast", "Accept-Encoding": "identity"},
        )
        self._origin = httpx2.URL(origin or f"{self._scheme(service.host)}://{service.host}")

    def url(self, path: str) -> httpx2.URL:
        return self._origin.join(path)

    def close(self) -> None:
        self._client.close()

    def attempt(self, action: Callable[[], T]) -> T:
        """Call ``action`` and repeat it after transient failures.

        Raises ModelFetchError (RegistryUnavailable, SourceUnavailable) in the end, and also in the place of a reason
        that would tell of private addresses.
        """
        try:
            return self._attempted(action)
        except ModelFetchError as error:
            is_telling = error.reason == "ForbiddenAddress" or (self._transport.is_private and error.reason in _TELLING)
            if self._access.hides_private_addresses and is_telling:
                raise self.service.unreachable() from error
            raise

    def _attempted(self, action: Callable[[], T]) -> T:
        for number in range(ATTEMPTS):
            self._meter.check_time()
            try:
                return action()
            except _PassingError as error:
                failure = error
            except httpx2.TransportError as error:
                failure = self._connection_failure(error)
                if self._access.hides_private_addresses and self._transport.is_private:
                    break  # as soon as for a denied address; whoever asked for the registry tries again later
            if number + 1 < ATTEMPTS and not self._wait(number, failure):
                break
        raise self.service.unavailable(failure.problem)

    def send(
        self,
        method: str,
        url: httpx2.URL,
        headers: Mapping[str, str],
        inspect: Callable[[httpx2.Response], None] | None = None,
    ) -> tuple[httpx2.Response, httpx2.URL]:
        """Send a request, authorised at the server itself, and follow redirects.

        Returns the answer with its body still to be read, and the address it came from. ``inspect`` is shown every
        answer of the server itself, redirects too.
        """
        for _ in range(_MAX_REDIRECTS + 1):
            response = self._authorized(method, url, headers)
            if inspect is not None and self._is_own(url):
                inspect(response)
            if not response.has_redirect_location:
                return response, url
            response.close()
            if method == "HEAD":
                return response, url
            url = self._located(url, response.headers["location"])
        raise self.service.misbehaved(f"redirects more than {_MAX_REDIRECTS} times")

    def body(self, response: httpx2.Response, limit_bytes: int = MAX_DOCUMENT_BYTES) -> bytes:
        """Read the whole body. Raises ModelFetchError if it is longer than ``limit_bytes``."""
        pieces: list[bytes] = []
        received = 0
        try:
            for piece in response.iter_raw():
                self._meter.receive(len(piece))
                pieces.append(piece)
                received += len(piece)
                if received > limit_bytes:
                    raise self.service.misbehaved("sends more than was requested")
        finally:
            response.close()
        return b"".join(pieces)

    def count(self, piece: bytes) -> None:
        """Count a piece of a body that is read elsewhere."""
        self._meter.receive(len(piece))

    def refused(self, response: httpx2.Response, what: str) -> ModelFetchError:
        """Return the error for an unexpected answer; never quotes the body."""
        response.close()
        if response.status_code in (401, 403) and self.authority is not None:
            return self.authority.refused(what)
        if response.status_code == 404:
            return self.service.absent(what)
        region = response.headers.get(_REGION_HEADER, "")
        if response.status_code in (301, 307, 400) and _REGION.fullmatch(region):
            return self.service.elsewhere(what, region)
        return self.service.misbehaved(f"answers {response.status_code} when asked for {what}")

    def asked_token(
        self, realm: str, query: Mapping[str, str], headers: Mapping[str, str], form: Mapping[str, str]
    ) -> bytes:
        """Ask the token service at ``realm``. Raises ModelFetchError."""
        url = self._located(httpx2.URL(), realm).copy_merge_params(dict(query))
        response = self._once("POST" if form else "GET", url, headers, form or None)
        if response.status_code != 200:
            response.close()
            refused = self.service.misbehaved if self.authority is None else self.authority.refused
            raise refused("the token service's answer")
        return self.body(response)

    def _authorized(self, method: str, url: httpx2.URL, headers: Mapping[str, str]) -> httpx2.Response:
        if self.authority is None or not self._is_own(url):
            return self._once(method, url, headers)
        response = self._once(method, url, {**headers, **self.authority.headers()})
        if response.status_code != 401:
            return response
        response.close()
        if not self.authority.answer(response.headers.get("www-authenticate", "")):
            return response
        return self._once(method, url, {**headers, **self.authority.headers()})

    def _once(
        self, method: str, url: httpx2.URL, headers: Mapping[str, str], form: Mapping[str, str] | None = None
    ) -> httpx2.Response:
        timeout = httpx2.Timeout(max(0.1, min(READ_SECONDS, self._meter.remaining_seconds())), connect=CONNECT_SECONDS)
        request = self._client.build_request(method, url, headers=dict(headers), data=form, timeout=timeout)
        response = self._client.send(request, stream=True, auth=None)
        if response.status_code in _PASSING_STATUSES:
            response.close()
            raise _PassingError(f"answers {response.status_code}", _retry_after_seconds(response.headers))
        return response

    def _located(self, base: httpx2.URL, location: str) -> httpx2.URL:
        """Return the address of a redirect. Raises ModelFetchError if it is missing or not allowed."""
        try:
            return self._checked(base.join(location))
        except (httpx2.InvalidURL, ValueError):
            raise self.service.misbehaved("redirects to an invalid address") from None

    def _checked(self, url: httpx2.URL) -> httpx2.URL:
        """Return ``url`` without credentials if its scheme is https, or http for a host listed as insecure."""
        allowed = self._scheme(host_and_port(url.host, url.port or (80 if url.scheme == "http" else 443)))
        if url.scheme not in ("https", allowed):
            raise forbidden(url.host or "a host without a name", url.port or 80)
        return url.copy_with(userinfo=b"")

    def _scheme(self, host: str) -> str:
        name, _, port = host.rpartition(":") if host[-1:].isdigit() and ":" in host else (host, "", "")
        is_insecure = listed(name, int(port) if port.isdigit() else None, self._access.insecure_registries)
        return "http" if is_insecure else "https"

    def _is_own(self, url: httpx2.URL) -> bool:
        return (url.scheme, url.host, url.port) == (self._origin.scheme, self._origin.host, self._origin.port)

    def _connection_failure(self, error: httpx2.TransportError) -> _PassingError:
        cause: BaseException | None = error
        while cause is not None:
            if isinstance(cause, ssl.SSLCertVerificationError):
                raise ModelFetchError(
                    f"{self.service.label} has a certificate that is not trusted: give the authority that signed it",
                    reason="UntrustedCertificate",
                ) from None
            cause = cause.__cause__ or cause.__context__
        if isinstance(error, httpx2.ProxyError):
            return _PassingError("cannot be reached through the proxy, which is away or refuses the connection")
        if isinstance(error, httpx2.TimeoutException):
            return _PassingError("does not answer in time")
        if isinstance(error, httpx2.ConnectError):
            return _PassingError("cannot be connected to")
        return _PassingError("breaks off its answers")

    def _wait(self, number: int, failure: _PassingError) -> bool:
        """Pause before the next attempt; False if there is no time for one."""
        ceiling = min(_FIRST_DELAY_SECONDS * 2**number, _LONGEST_DELAY_SECONDS)
        delay_seconds = failure.retry_after_seconds
        if delay_seconds is None:
            delay_seconds = random.uniform(0, ceiling)  # noqa: S311 - jitter, no secret
        if delay_seconds >= self._meter.remaining_seconds():
            return False
        time.sleep(delay_seconds)
        return True


def _retry_after_seconds(headers: Mapping[str, str]) -> float | None:
    """Parse a Retry-After header, which holds seconds or a date (RFC 9110, 10.2.3)."""
    value = headers.get("retry-after", "").strip()
    if value.isascii() and value.isdigit():
        return float(value[:9])
    try:
        return max(0.0, parsedate_to_datetime(value).timestamp() - time.time())
    except (ValueError, OverflowError):
        return None
