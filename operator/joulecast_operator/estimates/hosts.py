"""Name the host that a model is read from: a cached model is one of a host, and the fetchers' queue is one a host."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal
from urllib.parse import urlsplit

from joulecast.errors import ModelReferenceError
from joulecast.sources.hubs.reference import is_hub
from joulecast.sources.images import reference
from joulecast.sources.objects.reference import is_object

Kind = Literal["hub", "objects", "image"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Endpoints:
    """The addresses that the administrator set: of the hub (``hf://``) and of the object store (``s3://``)."""

    hub: str = ""
    objects: str = ""


def kind_of(image: str) -> Kind:
    """Return what an image or address names: a model of the hub, of the object store, or an image."""
    if is_hub(image):
        return "hub"
    return "objects" if is_object(image) else "image"


def host_of(image: str, endpoints: Endpoints = Endpoints()) -> str:
    """Return the host that an image or address is read from.

    It is ``docker.io`` for short names of Docker Hub (``nginx``, ``team/model``), the hub's own for ``hf://``, and the
    object store's own for all buckets. A malformed reference, which the fetcher refuses, is returned unchanged.
    """
    kind = kind_of(image)
    if kind != "image":
        return urlsplit(endpoints.hub if kind == "hub" else endpoints.objects).netloc
    try:
        return reference.parse(image).registry
    except ModelReferenceError:
        return image


def queue_name_of(image: str, endpoints: Endpoints = Endpoints()) -> str:
    """Return the name of the queue of an image's host, which is the same for all spellings of it."""
    return host_of(image, endpoints).lower().removesuffix(":443")
