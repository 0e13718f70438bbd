"""Addresses of objects, signed for reading where there are keys.

obstore only computes signatures here. It opens no connection, and it takes neither keys nor addresses from the
environment or from a metadata service, because all of them are given to it.
"""

from __future__ import annotations

from datetime import timedelta
from functools import cached_property
from importlib import import_module
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from joulecast.errors import JoulecastError

if TYPE_CHECKING:
    from joulecast.sources.registries.object_access import ObjectAccess

_VALID = timedelta(minutes=15)
"""How long an address can be used: longer than a fetch, and shorter than a leak would last."""


class SignedAddresses:
    """The addresses of the objects in one bucket."""

    def __init__(self, access: ObjectAccess, bucket: str) -> None:
        self._access = access
        self._bucket = bucket

    def address(self, key: str) -> str:
        """Return where to read an object. Raises JoulecastError if keys are given and obstore is not installed."""
        if not self._access.access_key_id:
            return f"{self._access.endpoint}/{self._bucket}/{quote(key)}"
        return str(self._obstore.sign(self._store, "GET", key, _VALID))

    @cached_property
    def _obstore(self) -> Any:
        try:
            return import_module("obstore")
        except ImportError as error:
            raise JoulecastError(
                f"reading s3:// with keys needs the Python package obstore ({error}): pip install 'joulecast[s3]'",
                reason="MissingDependency",
            ) from error

    @cached_property
    def _store(self) -> Any:
        return import_module("obstore.store").S3Store(
            self._bucket,
            endpoint=self._access.endpoint,
            region=self._access.region,
            credential_provider=self._keys,  # keys by name would be completed by AWS_SESSION_TOKEN
            virtual_hosted_style_request=False,
            skip_signature=False,
            client_options={"allow_http": True},  # the address is checked by the one who connects
        )

    def _keys(self) -> dict[str, Any]:
        return {
            "access_key_id": self._access.access_key_id,
            "secret_access_key": self._access.secret_access_key,
            "token": self._access.session_token or None,
            "expires_at": None,
        }
