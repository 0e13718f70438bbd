"""Fetch a model without its weights by its reference."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

from joulecast.errors import ModelFetchError
from joulecast.sources.budget import FetchBudget, Meter
from joulecast.sources.facts.choosing import candidates
from joulecast.sources.fetched import FetchedModel
from joulecast.sources.files import fetch_file
from joulecast.sources.folders import fetch_folder, language_model_file, listed
from joulecast.sources.hubs.fetching import fetch_from_hub, resolve_at_hub
from joulecast.sources.hubs.reference import is_hub
from joulecast.sources.images.folders import refused
from joulecast.sources.images.layout import LayoutStore, is_layout, split
from joulecast.sources.images.manifest import Store, select
from joulecast.sources.images.manifest import resolve as resolve_manifest
from joulecast.sources.images.reference import is_bare, parse, refuse_address
from joulecast.sources.images.searching import ImageSearch
from joulecast.sources.objects.fetching import fetch_object
from joulecast.sources.objects.reference import is_object
from joulecast.sources.registries.access import RegistryAccess
from joulecast.sources.skeletons.formats import check_found, check_requested

_MODEL_SUFFIX = ".onnx"


def fetch(
    reference: str,
    *,
    path: str | None = None,
    format: str | None = None,  # noqa: A002 - the word users write
    budget: FetchBudget | None = None,
    access: RegistryAccess | None = None,
    platform: str = "linux/amd64",
    verify: bool = False,
) -> FetchedModel:
    """Fetch the model that ``reference`` names, without its weights.

    ``reference``: path of an ONNX file, of a folder with a ``config.json``, of a configuration, a safetensors or a GGUF
    file; an OCI image-layout folder (``FOLDER``, ``FOLDER:tag``, ``FOLDER@sha256:…``); a model of a hub
    (``hf://organisation/name[@revision]``) or of an object store (``s3://bucket/folder``); else an image in a registry.
    ``path``: the model inside the image or folder; without it the image's label or manifest annotation
    ``joulecast.dev/model-path``, then the layers' ``org.cncf.model.filepath`` and ``org.opencontainers.image.title``,
    then the one model under ``/models``. ``format``: ``onnx``, ``huggingface`` or ``gguf``, to refuse any other.
    ``verify``: read every layer of an ONNX file's image that is touched to its end, so that all of it is checked by
    digest; the weights of a language model are never read.

    Raises ModelReferenceError, ModelFetchError, ModelFormatError; ``reason`` says what to do about it.
    """
    check_requested(format)
    refuse_address(reference)
    access = access or RegistryAccess()
    meter = Meter(budget or FetchBudget(), reference)
    found = None if is_hub(reference) or is_object(reference) else _local(reference, path, access, meter)
    if found is None:
        found = _remote(reference, path, access, meter, platform=platform, verify=verify)
    check_found(found, format)
    return found


def _remote(
    reference: str, path: str | None, access: RegistryAccess, meter: Meter, *, platform: str, verify: bool
) -> FetchedModel:
    if is_hub(reference):
        return fetch_from_hub(reference, path, access, meter)
    if is_object(reference):
        return fetch_object(reference, path, access, meter)
    store, target = _opened(reference, access, meter)
    with closing(store), offering_names(reference):
        manifest = select(store, target, platform, reference)
        return ImageSearch(manifest, store, meter, verify=verify).fetched(path)


def resolve(
    reference: str,
    *,
    path: str | None = None,
    access: RegistryAccess | None = None,
    platform: str = "linux/amd64",
    budget: FetchBudget | None = None,
) -> str:
    """Return the digest by which ``fetch`` would identify the model now.

    A registry is asked for manifests only, by HEAD if it can answer that, and a hub for a commit. In a local folder or
    an object store, where nothing else pins it, the model at ``path`` is read as ``fetch`` reads it.

    Raises what ``fetch`` raises.
    """
    refuse_address(reference)
    access = access or RegistryAccess()
    meter = Meter(budget or FetchBudget(), reference)
    found = None if is_hub(reference) or is_object(reference) else _local(reference, path, access, meter)
    if found is not None:
        return found.digest
    if is_hub(reference):
        return resolve_at_hub(reference, access, meter)
    if is_object(reference):
        return fetch_object(reference, path, access, meter).digest
    store, target = _opened(reference, access, meter)
    with closing(store), offering_names(reference):
        return resolve_manifest(store, target, platform, reference)


def _local(reference: str, path: str | None, access: RegistryAccess, meter: Meter) -> FetchedModel | None:
    """Fetch a model out of a file or a model folder of this machine; None where the reference means an image.

    Raises ModelReferenceError for a folder that is neither a model's nor an image layout.
    """
    file = _local_file(reference, access)
    if file is not None:
        found = language_model_file(file, reference=reference, meter=meter)
        return found or fetch_file(file, reference=reference, meter=meter)
    folder = split(reference) if access.local_paths else None
    if folder is None or folder[1] is not None or is_layout(folder[0]):
        return None
    if not path and not candidates(tuple(listed(folder[0]))):
        raise refused(folder[0])
    return fetch_folder(folder[0], path, reference=reference, meter=meter)


def _local_file(reference: str, access: RegistryAccess) -> Path | None:
    """Return the local file that ``reference`` means; None if it means a folder or an image."""
    if not access.local_paths:
        return None
    path = os.path.expanduser(reference)  # noqa: PTH111 - pathlib raises for names that cannot be a file's
    is_path = reference.startswith(("/", "./", "../", "~")) or reference.lower().endswith(_MODEL_SUFFIX)
    if os.path.lexists(path) and not os.path.isdir(path):  # noqa: PTH112
        return Path(path)
    if is_path and split(reference) is None:
        return Path(path)  # reading it gives the error
    return None


def _opened(reference: str, access: RegistryAccess, meter: Meter) -> tuple[Store, str | None]:
    local = split(reference) if access.local_paths else None
    if local is not None:
        return LayoutStore(local[0], meter), local[1]
    image = parse(reference)
    from joulecast.sources.registries.registry import RegistryStore

    return RegistryStore(image, access, meter), image.target


@contextmanager
def offering_names(reference: str) -> Iterator[None]:
    """Add to an error for a single word how a network of a library is written."""
    try:
        yield
    except ModelFetchError as error:
        if not is_bare(reference) or error.reason not in ("NotFound", "Unauthorized", "RegistryUnavailable"):
            raise
        raise ModelFetchError(
            f"{error}; a network of an installed library is written torchvision:{reference} or timm:{reference}, a file"
            f" ./{reference}",
            reason=error.reason,
            transient=error.transient,
        ) from error
