"""Ask a separate process what the Secret of the webhook's certificate should hold.

`cryptography` takes 10 MB of memory in each process that imports it, and is needed a few times a year.
"""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any


@dataclass(frozen=True, slots=True, kw_only=True)
class Question:
    """What should the Secret hold?

    - ``data``: what it holds now, as text by key.
    - ``trusted``: the authorities that every API server trusts already, in PEM form.
    - ``names``: DNS names of the webhook's Service.
    - ``certificate_seconds``, ``authority_seconds``: lifetimes of a server certificate and of an authority.
    - ``now``: the time, in seconds since 1970.
    """

    data: Mapping[str, str] = field(repr=False)
    trusted: str
    names: tuple[str, ...]
    certificate_seconds: float
    authority_seconds: float
    now: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What it should hold. Times are in seconds since 1970.

    - ``data``: values of the Secret's keys as text.
    - ``reason``: why that differs from what it holds now; "" if it does not.
    - ``due``: when something changes next.
    - ``expires``: when the server certificate expires.
    """

    data: Mapping[str, str] = field(repr=False)
    reason: str
    due: float
    expires: float


async def ask(question: Question) -> Answer:
    """Ask the separate process. Raises OSError if it fails."""
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "joulecast_operator.certificates",
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
    )
    asked = {name: getattr(question, name) for name in Question.__dataclass_fields__}
    told, _ = await process.communicate(json.dumps(asked).encode())  # not as an argument, which others could read
    if process.returncode != 0:
        raise OSError(f"no certificate could be made for the webhook (exit code {process.returncode})")
    return Answer(**json.loads(told))


def answer(asked: Mapping[str, Any]) -> dict[str, Any]:
    """Answer a question, both as JSON values."""
    from joulecast_operator.certificates.rotation import Rules, decide

    rules = Rules(
        names=tuple(asked["names"]),
        certificate=timedelta(seconds=asked["certificate_seconds"]),
        authority=timedelta(seconds=asked["authority_seconds"]),
    )
    decision = decide(asked["data"], asked["trusted"], rules, datetime.fromtimestamp(asked["now"], UTC))
    return {
        "data": dict(decision.data),
        "reason": decision.reason or "",
        "due": decision.due.timestamp(),
        "expires": decision.expires.timestamp(),
    }
