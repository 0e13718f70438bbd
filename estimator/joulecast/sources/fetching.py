"""Fetch a model without its weights by its reference."""

from __future__ import annotations

import os
import posixpath
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from joulecast.errors import ModelFetchError
from joulecast.sources.budget import FetchBudget, Meter
from joulecast.sources.facts.choosing import candidates
from joulecast.sources.fetched import FetchedModel
from joulecast.sources.files import fetch_file
from joulecast.sources.folders import fetch_folder, language_model_file, listed
from joulecast.sources.hubs.fetching import fetch_from_hub, resolve_at_hub
from joulecast.sources.hubs.reference import is_hub
from joulecast.sources.images.folders import refused
from joulecast.sources.images.layer import Layer
from joulecast.sources.images.layout import LayoutStore, is_layout, split
from joulecast.sources.images.manifest import (
    CONFIG_TYPES,
    MAX_DOCUMENT_BYTES,
    Config,
    Manifest,
    Store,
    is_readable,
    is_sealed,
    misbehaved,
    read_config,
    select,
)
from joulecast.sources.images.manifest import (
    resolve as resolve_manifest,
)
from joulecast.sources.images.overlay import Found, find, survey
from joulecast.sources.images.reference import is_bare, parse, refuse_address
from joulecast.sources.registries.access import RegistryAccess
from joulecast.sources.skeletons import external
from joulecast.sources.skeletons.formats import check_found, check_requested
from joulecast.sources.skeletons.skeleton import skeleton
from joulecast.sources.streams.ranges import RangedStream, Windows

if TYPE_CHECKING:
    from collections.abc import Sequence

    from joulecast.sources.streams.stream import Bytes

MODEL_PATH = "joulecast.dev/model-path"
"""Image label or manifest annotation that names the model's file."""
_MODELS_FOLDER = "models"  # KServe's modelcar images keep the model under /models
_MODEL_SUFFIX = ".onnx"
_MAX_PIECES = 128  # shape constants read from beside a model in an image, each by a request of its own


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
    (``hf://organisation/name[@revision]``); else an image in a registry.
    ``path``: the model inside the image or folder; without it the image's label or manifest annotation
    ``joulecast.dev/model-path``, then the layers' ``org.cncf.model.filepath`` and ``org.opencontainers.image.title``,
    then the one model under ``/models``. ``format``: ``onnx``, ``huggingface`` or ``gguf``, to refuse any other.
    ``verify``: read every layer touched to its end, so that all of it is checked by digest.

    Raises ModelReferenceError, ModelFetchError, ModelFormatError; ``reason`` says what to do about it.
    """
    check_requested(format)
    refuse_address(reference)
    access = access or RegistryAccess()
    meter = Meter(budget or FetchBudget(), reference)
    found = None if is_hub(reference) else _local(reference, path, access, meter)
    if found is None:
        found = _remote(reference, path, access, meter, platform=platform, verify=verify)
    check_found(found, format)
    return found


def _remote(
    reference: str, path: str | None, access: RegistryAccess, meter: Meter, *, platform: str, verify: bool
) -> FetchedModel:
    if is_hub(reference):
        return fetch_from_hub(reference, path, access, meter)
    store, target = _opened(reference, access, meter)
    with closing(store), offering_names(reference):
        manifest = select(store, target, platform, reference)
        return _Image(manifest, store, meter, verify=verify).fetched(path)


def resolve(
    reference: str,
    *,
    access: RegistryAccess | None = None,
    platform: str = "linux/amd64",
    budget: FetchBudget | None = None,
) -> str:
    """Return the digest by which ``fetch`` would identify the model now.

    A registry is asked for manifests only, by HEAD if it can answer that.

    Raises what ``fetch`` raises.
    """
    refuse_address(reference)
    access = access or RegistryAccess()
    meter = Meter(budget or FetchBudget(), reference)
    found = None if is_hub(reference) else _local(reference, None, access, meter)
    if found is not None:
        return found.digest
    if is_hub(reference):
        return resolve_at_hub(reference, access, meter)
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


class _Image:
    """The search for the model in one platform's image."""

    def __init__(self, manifest: Manifest, store: Store, meter: Meter, *, verify: bool) -> None:
        self._manifest = manifest
        self._store = store
        self._meter = meter
        self._name = meter.subject
        self._sealed = [layer for layer in manifest.layers if is_sealed(layer)]
        readable = (layer for layer in reversed(manifest.layers) if is_readable(layer))
        self._layers = [Layer(descriptor, store, meter, verify=verify) for descriptor in readable]

    def fetched(self, path: str | None) -> FetchedModel:
        with self._telling_of_sealed_layers():
            found = self._found(path)
        layer = found.layer
        beside = self._beside(found)
        contents = {piece: content for file in beside for piece, content in file.value.items()}
        is_verified = layer.verified and all(file.layer.verified for file in beside)
        return FetchedModel(
            reference=self._name,
            format="onnx",
            path=found.path,
            digest=self._manifest.digest,
            layer_digest=layer.descriptor.digest,
            skeleton=external.inlined(found.value, contents),
            bytes_fetched=self._meter.fetched_bytes,
            image_bytes=self._manifest.image_bytes,
            verification="Full" if is_verified else "Manifest",
        )

    @contextmanager
    def _telling_of_sealed_layers(self) -> Iterator[None]:
        try:
            yield
        except ModelFetchError as error:
            if not self._sealed or error.reason != "ModelNotFound":
                raise
            raise ModelFetchError(
                f"{self._name} holds no readable model, and {len(self._sealed)} of its"
                f" {len(self._manifest.layers)} layers cannot be ({self._sealed[0].media_type}: encrypted, or kept"
                " outside the registry): push a copy whose model lies in an ordinary layer",
                reason="ModelNotFound",
                transient=False,
            ) from error

    def _beside(self, found: Found[bytes]) -> list[Found[external.Contents]]:
        """Return the shape constants that lie in files beside the model, where layers can be read by ranges.

        A compressed layer would have to be decompressed for a few bytes.
        """
        layers = self._layers if not any(map(is_compressed, self._layers)) else [found.layer]
        if any(map(is_compressed, layers)):
            return []
        by_location: dict[str, list[external.Piece]] = {}
        for piece in external.pieces(found.value)[:_MAX_PIECES]:
            by_location.setdefault(piece.location, []).append(piece)
        files = (self._file_beside(found, layers, wanted) for wanted in by_location.values())
        return [file for file in files if file is not None]

    def _file_beside(
        self, found: Found[bytes], layers: Sequence[Layer], wanted: Sequence[external.Piece]
    ) -> Found[external.Contents] | None:
        def take(content: Bytes, _: str, __: int | None) -> external.Contents:
            return external.read(content, wanted)

        try:
            return find(layers, posixpath.join(posixpath.dirname(found.path), wanted[0].location), take, self._name)
        except ModelFetchError as error:
            if error.reason in ("ModelNotFound", "FetchBudgetExceeded"):
                return None  # its shapes stay unknown, and the reader says which file they wait for
            raise

    def _found(self, path: str | None) -> Found[bytes]:
        path = path or self._manifest.annotations.get(MODEL_PATH)
        if path:
            return find(self._layers, path, self._take, self._name)
        config = self._config()
        labelled = config.labels.get(MODEL_PATH)
        if labelled:
            return find(self._layers, labelled, self._take, self._name)
        titled = [layer for layer in self._layers if (layer.title or "").lower().endswith(_MODEL_SUFFIX)]
        if len(titled) > 1:
            raise self._ambiguous(titled)
        if titled:
            return find(titled, str(titled[0].title), self._take, self._name)
        return survey(self._layers, self._groups(config), self._root(), self._take, self._name)

    def _take(self, content: Bytes, path: str, size: int | None) -> bytes:
        limit = self._meter.budget.skeleton_bytes
        return skeleton(content, name=f"{self._name}, /{path}", size=size, limit_bytes=limit)

    def _config(self) -> Config:
        descriptor = self._manifest.config
        if descriptor is None or descriptor.media_type not in CONFIG_TYPES:
            return Config()
        name = f"{self._name}, config {descriptor.digest[:19]}"
        if descriptor.size > MAX_DOCUMENT_BYTES:
            raise misbehaved(name, f"is larger than {MAX_DOCUMENT_BYTES:,} bytes")
        windows = Windows(first_bytes=MAX_DOCUMENT_BYTES)
        with closing(self._store.ranges(descriptor)) as ranges:
            stream = RangedStream(
                ranges, name=name, size=descriptor.size, meter=self._meter, windows=windows, digest=descriptor.digest
            )
            content = stream.read(descriptor.size)
            stream.drain()
        return read_config(content, len(self._manifest.layers), name)

    def _root(self) -> str:
        """Return where a model may lie: in an image under /models, in an artifact of bare files anywhere."""
        config = self._manifest.config
        return _MODELS_FOLDER if config and config.media_type in CONFIG_TYPES else ""

    def _groups(self, config: Config) -> Iterator[list[Layer]]:
        """Yield the layers whose history names models, then the others, each group top first."""
        digests = [layer.digest for layer in self._manifest.layers]
        hinted = {
            digest
            for digest, step in zip(digests, config.created_by, strict=False)
            if _MODELS_FOLDER in step or _MODEL_SUFFIX in step
        }
        yield [layer for layer in self._layers if layer.descriptor.digest in hinted]
        yield [layer for layer in self._layers if layer.descriptor.digest not in hinted]

    def _ambiguous(self, layers: list[Layer]) -> ModelFetchError:
        titles = ", ".join(sorted(str(layer.title) for layer in layers)[:20])
        return ModelFetchError(
            f"{self._name} holds {len(layers)} models: {titles}; name one as the path",
            reason="AmbiguousModel",
            transient=False,
        )


def is_compressed(layer: Layer) -> bool:
    """Decide whether a layer is compressed, by its media type or by what reading it found."""
    return layer.compressed or any(word in layer.descriptor.media_type for word in ("gzip", "zstd"))
