"""Fetch the facts of a model on a hub."""

from __future__ import annotations

from contextlib import closing
from typing import TYPE_CHECKING

from joulecast.errors import ModelReferenceError
from joulecast.sources.facts.choosing import choose
from joulecast.sources.facts.fetching import Origin, fetch_facts
from joulecast.sources.hubs.reference import parse

if TYPE_CHECKING:
    from joulecast.sources.budget import Meter
    from joulecast.sources.fetched import FetchedModel
    from joulecast.sources.hubs.hub import Hub
    from joulecast.sources.registries.access import RegistryAccess


def fetch_from_hub(reference: str, path: str | None, access: RegistryAccess, meter: Meter) -> FetchedModel:
    """Return the facts of the model that ``reference`` names.

    Raises ModelReferenceError, ModelFetchError, ModelFormatError.
    """
    parsed = parse(reference)
    if path and parsed.path:
        raise ModelReferenceError(f"{reference} names a path already: leave the path out")
    with closing(_hub(reference, access, meter)) as hub:
        revision = hub.revision()
        choice = choose(revision.names, path or parsed.path, hub.name)
        origin = Origin(reference=reference, digest=revision.digest, total_bytes=revision.size_bytes)
        return fetch_facts(hub, choice, origin, meter)


def resolve_at_hub(reference: str, access: RegistryAccess, meter: Meter) -> str:
    """Return the commit that ``reference`` names now, as a digest. Raises ModelReferenceError, ModelFetchError."""
    with closing(_hub(reference, access, meter)) as hub:
        return hub.revision().digest


def _hub(reference: str, access: RegistryAccess, meter: Meter) -> Hub:
    from joulecast.sources.hubs.hub import Hub

    return Hub(parse(reference), access, meter)
