"""Images as registries and layouts describe them: descriptors, indexes, manifests, configs (OCI image specification,
Docker schema 2)."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol

from joulecast.errors import ModelFetchError
from joulecast.sources.budget import MIB
from joulecast.sources.images.reference import is_digest

if TYPE_CHECKING:
    from joulecast.sources.streams.ranges import Ranges

INDEX_TYPES = (
    "application/vnd.oci.image.index.v1+json",
    "application/vnd.docker.distribution.manifest.list.v2+json",
)
MANIFEST_TYPES = (
    "application/vnd.oci.image.manifest.v1+json",
    "application/vnd.docker.distribution.manifest.v2+json",
)
CONFIG_TYPES = (
    "application/vnd.oci.image.config.v1+json",
    "application/vnd.docker.container.image.v1+json",
)
MAX_DOCUMENT_BYTES = 4 * MIB  # distribution specification: the manifest size that registries must at least support
_MAX_NESTED_INDEXES = 4
_MAX_LAYERS = 1024  # container runtimes stop at 127 (overlayfs); artifacts may have more files
_ATTESTATION = "vnd.docker.reference.type"  # BuildKit: an index entry that describes another one
_UNREADABLE = ("+encrypted", "nondistributable", ".foreign.")
_EMPTY_TYPE = "application/vnd.oci.empty.v1+json"


@dataclass(frozen=True, slots=True, kw_only=True)
class Descriptor:
    """What a document says of another blob.

    - ``platform``: ``os/architecture[/variant]``, "" if it says none.
    """

    media_type: str
    digest: str
    size: int
    annotations: Mapping[str, str] = field(default_factory=dict)
    platform: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Document:
    """A manifest or index as received.

    - ``digest``: computed over ``content``.
    """

    content: bytes = field(repr=False)
    digest: str
    media_type: str


class Store(Protocol):
    """Where one repository's documents and blobs come from: a registry or a layout folder."""

    def document(self, target: str | None) -> Document:
        """Return the manifest or index of a tag or digest (None: the only one), verified if named by digest."""

    def digest(self, target: str | None) -> tuple[str, str] | None:
        """Return (digest, media type) of what ``target`` names without fetching it; None if the store cannot say it."""

    def ranges(self, descriptor: Descriptor) -> Ranges:
        """Return a blob's bytes by position."""

    def close(self) -> None: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Manifest:
    """One platform's image.

    - ``layers``: bottom first, as filed.
    """

    digest: str
    config: Descriptor | None
    layers: tuple[Descriptor, ...]
    annotations: Mapping[str, str]

    @property
    def image_bytes(self) -> int:
        return sum(layer.size for layer in self.layers)


@dataclass(frozen=True, slots=True, kw_only=True)
class Config:
    """The parts of an image's config that are used.

    - ``created_by``: a history line per layer, bottom first; empty if the history does not fit the layers.
    """

    labels: Mapping[str, str] = field(default_factory=dict)
    created_by: tuple[str, ...] = ()


def select(store: Store, target: str | None, platform: str, name: str) -> Manifest:
    """Return the manifest for ``platform`` that ``target`` names.

    Raises ModelFetchError; messages begin with ``name``.
    """
    document = store.document(target)
    for _ in range(_MAX_NESTED_INDEXES):
        content = _object(document.content, name)
        if not _is_index(content, document.media_type):
            return _manifest(content, document, name)
        chosen = _for_platform(_descriptors(content, "manifests", name), platform, name)
        document = store.document(chosen.digest)
    raise misbehaved(name, "nests indexes without end")


def resolve(store: Store, target: str | None, platform: str, name: str) -> str:
    """Return the digest of the manifest that ``select`` would return, if possible without fetching one."""
    known = store.digest(target)
    if known and known[1] in MANIFEST_TYPES:
        return known[0]
    document = store.document(target)
    for _ in range(_MAX_NESTED_INDEXES):
        content = _object(document.content, name)
        if not _is_index(content, document.media_type):
            return document.digest
        chosen = _for_platform(_descriptors(content, "manifests", name), platform, name)
        if chosen.media_type in MANIFEST_TYPES:
            return chosen.digest
        document = store.document(chosen.digest)
    raise misbehaved(name, "nests indexes without end")


def read_config(content: bytes, layers: int, name: str) -> Config:
    """Read labels and history of a config blob for an image of ``layers`` layers."""
    document = _object(content, name)
    inner = document.get("config")
    labels = _strings(inner.get("Labels")) if isinstance(inner, dict) else {}
    history = document.get("history")
    steps = [step for step in history if isinstance(step, dict)] if isinstance(history, list) else []
    created_by = tuple(str(step.get("created_by", "")) for step in steps if not step.get("empty_layer"))
    return Config(labels=labels, created_by=created_by if len(created_by) == layers else ())


def verified(content: bytes, digest: str, name: str) -> bytes:
    """Return ``content`` if it has ``digest``. Raises ModelFetchError (DigestMismatch)."""
    algorithm, _, value = digest.partition(":")
    if hashlib.new(algorithm, content).hexdigest() != value:
        raise ModelFetchError(
            f"{name} does not have the content that its digest promises: do not trust this copy, push it again",
            reason="DigestMismatch",
            transient=False,
        )
    return content


def is_readable(layer: Descriptor) -> bool:
    """Decide whether a layer can be read: not encrypted, not kept outside the registry, not the empty blob."""
    return layer.media_type != _EMPTY_TYPE and not is_sealed(layer)


def is_sealed(layer: Descriptor) -> bool:
    """Decide whether a layer is encrypted or kept outside the registry."""
    return any(word in layer.media_type for word in _UNREADABLE)


def misbehaved(name: str, problem: str) -> ModelFetchError:
    """Return the error for a registry or image that violates the specification."""
    return ModelFetchError(
        f"{name} {problem}: push the image again, or ask who runs the registry",
        reason="RegistryMisbehaved",
        transient=True,
    )


def _is_index(content: Mapping[str, Any], media_type: str) -> bool:
    declared = content.get("mediaType") or media_type
    return declared in INDEX_TYPES or (declared not in MANIFEST_TYPES and "manifests" in content)


def _manifest(content: Mapping[str, Any], document: Document, name: str) -> Manifest:
    declared = content.get("mediaType") or document.media_type
    if not isinstance(content.get("layers"), list):
        raise ModelFetchError(
            f"{name} is of media type {str(declared)[:100]!r}, not an image that can be read: push it as an OCI "
            "or Docker schema 2 image",
            reason="UnsupportedMediaType",
            transient=False,
        )
    layers = _descriptors(content, "layers", name)
    config = _descriptor(content["config"], name) if isinstance(content.get("config"), dict) else None
    if len(layers) > _MAX_LAYERS:
        raise misbehaved(name, f"has more than {_MAX_LAYERS:,} layers")
    annotations = _strings(content.get("annotations"))
    return Manifest(digest=document.digest, config=config, layers=layers, annotations=annotations)


def _for_platform(candidates: tuple[Descriptor, ...], platform: str, name: str) -> Descriptor:
    images = [
        candidate
        for candidate in candidates
        if _ATTESTATION not in candidate.annotations and not candidate.platform.startswith("unknown/")
    ]
    exact = [image for image in images if image.platform == platform]
    variants = [image for image in images if image.platform.startswith(platform + "/")]
    chosen = exact or variants or [image for image in images if not image.platform]
    if chosen:
        return chosen[0]
    if len(images) == 1:  # a model is the same on every platform; it only has to be there
        return images[0]
    known = ", ".join(image.platform for image in images[:10]) or "no image at all"
    raise ModelFetchError(
        f"{name} is not built for platform {platform} but for {known}: name one of those",
        reason="PlatformNotFound",
        transient=False,
    )


def _descriptors(content: Mapping[str, Any], key: str, name: str) -> tuple[Descriptor, ...]:
    entries = content.get(key)
    if not isinstance(entries, list):
        raise misbehaved(name, f"has a document without {key}")
    return tuple(_descriptor(entry, name) for entry in entries)


def _descriptor(entry: Any, name: str) -> Descriptor:
    if not isinstance(entry, dict):
        raise misbehaved(name, "has a malformed descriptor")
    size, digest = entry.get("size"), entry.get("digest")
    if not isinstance(size, int) or isinstance(size, bool) or size < 0 or not is_digest(digest):
        raise misbehaved(name, "has a descriptor without a valid digest and size")
    return Descriptor(
        media_type=str(entry.get("mediaType", "")),
        digest=str(digest),
        size=size,
        annotations=_strings(entry.get("annotations")),
        platform=_platform(entry.get("platform")),
    )


def _platform(entry: Any) -> str:
    if not isinstance(entry, dict) or not entry.get("os"):
        return ""
    parts = (entry.get(key) for key in ("os", "architecture", "variant"))
    return "/".join(str(part) for part in parts if part)


def _strings(entry: Any) -> dict[str, str]:
    if not isinstance(entry, dict):
        return {}
    return {key: value for key, value in entry.items() if isinstance(value, str)}


def _object(content: bytes, name: str) -> dict[str, Any]:
    try:
        document = json.loads(content)
    except (ValueError, RecursionError):
        document = None
    if not isinstance(document, dict):
        raise misbehaved(name, "has a document that is not a JSON object")
    return document
