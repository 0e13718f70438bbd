"""Fetch the facts of a model in an object store."""

from __future__ import annotations

import posixpath
from contextlib import closing
from dataclasses import replace
from typing import TYPE_CHECKING

from joulecast.sources.facts.choosing import Choice, of_file
from joulecast.sources.facts.collecting import CONFIG
from joulecast.sources.facts.fetching import Origin, fetch_facts
from joulecast.sources.objects.reference import parse

if TYPE_CHECKING:
    from joulecast.sources.budget import Meter
    from joulecast.sources.fetched import FetchedModel
    from joulecast.sources.registries.access import RegistryAccess


def fetch_object(reference: str, path: str | None, access: RegistryAccess, meter: Meter) -> FetchedModel:
    """Return the facts of the model that ``reference`` names: a folder with a config.json, or one file.

    ``path``: of the model below the reference's key. The digest is that of the facts. Raises ModelReferenceError,
    ModelFetchError, ModelFormatError.
    """
    from joulecast.sources.objects.bucket import Bucket

    parsed = parse(posixpath.join(reference, path.strip("/")) if path else reference)
    choice = of_file(posixpath.basename(parsed.key)) if parsed.key else None
    if choice is not None and choice.path == CONFIG:
        choice = None
        parsed = replace(parsed, key=posixpath.dirname(parsed.key))
    elif choice is not None:
        parsed = replace(parsed, key=posixpath.dirname(parsed.key))
    with closing(Bucket(parsed, access, meter)) as bucket:
        return fetch_facts(bucket, choice or Choice(kind="folder", path=""), Origin(reference=reference), meter)
