"""A model's files in a bucket."""

from __future__ import annotations

import posixpath
from typing import TYPE_CHECKING

from joulecast.errors import ModelFetchError
from joulecast.sources.objects.signing import SignedAddresses
from joulecast.sources.registries.endpoint import endpoint
from joulecast.sources.registries.exchange import Exchange
from joulecast.sources.registries.remote import RemoteFile, RemoteRanges
from joulecast.sources.registries.service import Service

if TYPE_CHECKING:
    from joulecast.sources.budget import Meter
    from joulecast.sources.objects.reference import ObjectReference
    from joulecast.sources.registries.access import RegistryAccess
    from joulecast.sources.registries.object_access import ObjectAccess

FIRST_BYTES = 8 << 10
"""Of an object, with the request that finds out whether it is there."""


class ObjectKeys:
    """``Authority`` of an object store: addresses are signed already, so there is nothing to send beside them."""

    def __init__(self, access: ObjectAccess, label: str) -> None:
        self._is_signed = bool(access.access_key_id)
        self._label = label

    def headers(self) -> dict[str, str]:
        return {}

    def answer(self, header: str) -> bool:  # noqa: ARG002 - whatever the challenge
        return False

    def refused(self, what: str) -> ModelFetchError:
        """Return the error for a 403; a store answers so for a key that does not exist to whoever may not list."""
        given = "to the keys given" if self._is_signed else "without keys"
        return ModelFetchError(
            f"{what} in {self._label} is not given out {given}: check bucket and key, the region, and that the keys may"
            " read it (s3:GetObject)",
            reason="Unauthorized",
            transient=False,
        )


class Bucket:
    """``ModelFolder`` over the objects whose keys begin with a reference's key; they are not listed."""

    def __init__(self, reference: ObjectReference, access: RegistryAccess, meter: Meter) -> None:
        """Prepare; nothing is asked yet. Raises ModelReferenceError if no object store may be used."""
        place = endpoint(access.objects.endpoint, "object store", access)
        service = Service(kind="object store", host=place.netloc)
        self._exchange = Exchange(
            service,
            access=access,
            meter=meter,
            authority=ObjectKeys(access.objects, service.label),
            origin=f"{place.scheme}://{place.netloc}",
        )
        self._addresses = SignedAddresses(access.objects, reference.bucket)
        self._key = reference.key
        self._was_read = False
        self.name = f"s3://{reference.bucket}/{reference.key}".rstrip("/")

    def names(self) -> None:
        """Return None: a listing would need a right that reading does not."""

    def open(self, name: str) -> RemoteFile | None:
        """Open an object; None if there is none, which a store tells only those who may list.

        So once an object could be read, one that is refused counts as absent.
        """
        url = self._exchange.url(self._addresses.address(posixpath.join(self._key, name)))
        ranges = RemoteRanges(self._exchange, url, f"{self.name}/{name}", is_constant=False)
        try:
            file = RemoteFile(ranges, FIRST_BYTES)
        except ModelFetchError as error:
            if error.reason != "NotFound" and not (error.reason == "Unauthorized" and self._was_read):
                raise
            return None
        self._was_read = True
        return file

    def close(self) -> None:
        self._exchange.close()
