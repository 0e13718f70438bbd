"""The little HTTP that starting and asking loopback servers takes; never through a proxy."""

import json
import ssl
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any

TIMEOUT_SECONDS = 60.0  # of one answer on a busy machine; whoever does not listen refuses at once


def answers(url: str, *, tls: ssl.SSLContext | None = None, statuses: tuple[int, ...] = (200,)) -> bool:
    """Whether `url` answers with one of `statuses` now."""
    try:
        with send(urllib.request.Request(url), tls=tls) as response:
            return response.status in statuses
    except urllib.error.HTTPError as error:
        return error.code in statuses
    except (OSError, ValueError):
        return False


def get_json(url: str, *, tls: ssl.SSLContext | None = None) -> Any:
    """The JSON document at `url`. Raises `OSError` (urllib's) for any status but 2xx."""
    with send(urllib.request.Request(url), tls=tls) as response:
        return json.load(response)


def client_context(authority: Path, certificate: Path | None = None, key: Path | None = None) -> ssl.SSLContext:
    """TLS that trusts `authority` alone, with a client certificate if one is given."""
    context = ssl.create_default_context(cafile=str(authority))
    if certificate is not None:
        context.load_cert_chain(certificate, key)
    return context


def unchecked_context() -> ssl.SSLContext:
    """TLS that looks at no certificate, for a server that made one for itself."""
    context = ssl.create_default_context()
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context


def send(request: urllib.request.Request, *, tls: ssl.SSLContext | None = None) -> Any:
    """The open response to `request`. Raises `OSError` (urllib's) for any status but 2xx."""
    handlers: list[urllib.request.BaseHandler] = [urllib.request.ProxyHandler({})]
    if tls is not None:
        handlers.append(urllib.request.HTTPSHandler(context=tls))
    return urllib.request.build_opener(*handlers).open(request, timeout=TIMEOUT_SECONDS)
