"""Which object store may be asked, and with whose keys."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

DEFAULT_REGION = "us-east-1"


@dataclass(frozen=True, slots=True, kw_only=True)
class ObjectAccess:
    """How objects are read.

    - ``endpoint``: address of the store, ``https://host[:port]``; empty: none may be used. By plain HTTP only for a
      host that is listed as insecure.
    - ``region``: as signatures name it.
    - ``access_key_id``, ``secret_access_key``, ``session_token``: empty to ask without a signature.
    """

    endpoint: str = ""
    region: str = DEFAULT_REGION
    access_key_id: str = ""
    secret_access_key: str = field(default="", repr=False)
    session_token: str = field(default="", repr=False)


def of_environment(environment: Mapping[str, str]) -> ObjectAccess:
    """Return what the ``AWS_*`` variables say. Files and metadata services are not asked."""
    region = environment.get("AWS_REGION") or environment.get("AWSDEFAULT_REGION") or DEFAULT_REGION
    endpoint = environment.get("AWS_ENDPOINT_URL_S3") or environment.get("AWS_ENDPOINT_URL")
    return ObjectAccess(
        endpoint=(endpoint or f"https://s3.{region}.amazonaws.com").rstrip("/"),
        region=region,
        access_key_id=environment.get("AWS_ACCESS_KEY_ID", ""),
        secret_access_key=environment.get("AWS_SECRET_ACCESS_KEY", ""),
        session_token=environment.get("AWS_SESSION_TOKEN", ""),
    )
