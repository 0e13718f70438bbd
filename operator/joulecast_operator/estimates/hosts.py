"""Name the host that a model is read from: a cached model is one of a host, and the fetchers' queue is one a host."""

from __future__ import annotations

from typing import Final
from urllib.parse import urlsplit

from joulecast.errors import ModelReferenceError
from joulecast.sources.hubs.reference import is_hub
from joulecast.sources.images import reference

_OBJECTS: Final = "s3://"


def host_of(image: str, hub_endpoint: str = "") -> str:
    """Return the host that an image or address is read from.

    It is ``docker.io`` for short names of Docker Hub (``nginx``, ``team/model``), the hub's own for ``hf://``, and one
    and the same for all buckets. A malformed reference, which the fetcher refuses, is returned unchanged.
    """
    if is_hub(image):
        return urlsplit(hub_endpoint).netloc
    if image.startswith(_OBJECTS):
        return _OBJECTS
    try:
        return reference.parse(image).registry
    except ModelReferenceError:
        return image


def queue_name_of(image: str, hub_endpoint: str = "") -> str:
    """Return the name of the queue of an image's host, which is the same for all spellings of it."""
    return host_of(image, hub_endpoint).lower().removesuffix(":443")
