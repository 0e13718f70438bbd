"""Search the model in one platform's image: an ONNX file, a folder with a config.json, a GGUF file."""

from __future__ import annotations

import posixpath
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from typing import TYPE_CHECKING

from joulecast.errors import ModelFetchError
from joulecast.sources.facts.choosing import Choice, ambiguous, candidates, choose, named, of_file
from joulecast.sources.facts.collecting import CONFIG
from joulecast.sources.facts.fetching import Origin, fetch_facts
from joulecast.sources.fetched import FetchedModel
from joulecast.sources.images.contents import ImageContents, file_names
from joulecast.sources.images.layer import Layer
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
)
from joulecast.sources.images.overlay import Found, find, survey
from joulecast.sources.skeletons import external
from joulecast.sources.skeletons.skeleton import skeleton
from joulecast.sources.streams.ranges import RangedStream, Windows

if TYPE_CHECKING:
    from joulecast.sources.budget import Meter
    from joulecast.sources.streams.stream import Bytes

MODEL_PATH = "joulecast.dev/model-path"
"""Image label or manifest annotation that names the model's file or folder."""
_MODELS_FOLDER = "models"  # KServe's modelcar images keep the model under /models
_MODEL_SUFFIX = ".onnx"
_NOWHERE = "\0"  # a folder that no archive has: a walk that takes no ONNX file
_MAX_PIECES = 128  # shape constants read from beside a model in an image, each by a request of its own


class ImageSearch:
    """The search for the model in one platform's image."""

    def __init__(self, manifest: Manifest, store: Store, meter: Meter, *, verify: bool) -> None:
        self._manifest = manifest
        self._store = store
        self._meter = meter
        self._name = meter.subject
        self._sealed = [layer for layer in manifest.layers if is_sealed(layer)]
        readable = (layer for layer in reversed(manifest.layers) if is_readable(layer))
        self._layers = [Layer(descriptor, store, meter, verify=verify) for descriptor in readable]
        self._contents = ImageContents(name=self._name, store=store, meter=meter, folder=self._root())

    def fetched(self, path: str | None) -> FetchedModel:
        """Return the model at ``path``, or without a path the one in the place where models are kept.

        Raises ModelFetchError, ModelFormatError.
        """
        with self._telling_of_sealed_layers():
            found = self._found(path)
        return self._graph(found) if isinstance(found, Found) else self._facts(found)

    def _graph(self, found: Found[bytes]) -> FetchedModel:
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

    def _facts(self, choice: Choice) -> FetchedModel:
        file = posixpath.join(choice.path, CONFIG) if choice.kind == "folder" else choice.path
        origin = Origin(
            reference=self._name,
            digest=self._manifest.digest,
            layer_digest=self._contents.layer_of(file),
            total_bytes=self._manifest.image_bytes,
            verification="Manifest",
        )
        return fetch_facts(self._contents, choice, origin, self._meter)

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

    def _found(self, path: str | None) -> Found[bytes] | Choice:
        path = path or self._manifest.annotations.get(MODEL_PATH)
        if path:
            return self._at(path)
        config = self._config()
        labelled = config.labels.get(MODEL_PATH)
        if labelled:
            return self._at(labelled)
        titled = [layer for layer in self._layers if (layer.title or "").lower().endswith(_MODEL_SUFFIX)]
        if len(titled) > 1:
            raise ambiguous(sorted(str(layer.title) for layer in titled), self._name)
        if titled:
            return find(titled, str(titled[0].title), self._take, self._name)
        archives = self._note_files()
        if not candidates(self._contents.names()):
            found = survey(archives, self._groups(config, archives), self._root(), self._take, self._contents)
            if found is not None:
                return found
        return choose(self._contents.names(), None, self._name)

    def _at(self, path: str) -> Found[bytes] | Choice:
        """Find the file or folder at ``path``."""
        place = posixpath.normpath(path.strip("/"))
        if place.lower().endswith(_MODEL_SUFFIX):
            return find(self._layers, path, self._take, self._name)
        archives = self._note_files()
        folder = place if of_file(place) is None else posixpath.dirname(place)
        self._contents.folder, self._contents.takes_root = folder or ".", not folder
        if not named(self._contents.names(), place):
            groups = self._groups(self._config(), archives, place.partition("/")[0])
            survey(archives, groups, _NOWHERE, self._take, self._contents, is_required=False)
        if named(self._contents.names(), place):
            return choose(self._contents.names(), place, self._name)
        return find(self._layers, path, self._take, self._name)

    def _note_files(self) -> list[Layer]:
        """Note the layers that are a file each; return the others."""
        descriptors = [layer.descriptor for layer in self._layers]
        names = file_names(descriptors, [layer.title for layer in self._layers])
        for layer, name in zip(descriptors, names, strict=True):
            if name is not None:
                self._contents.add_layer(posixpath.normpath(name.lstrip("/")), layer)
        return [layer for layer, name in zip(self._layers, names, strict=True) if name is None]

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

    def _groups(self, config: Config, layers: Sequence[Layer], folder: str = _MODELS_FOLDER) -> Iterator[list[Layer]]:
        """Yield the layers whose history names models or ``folder``, then the others, each group top first."""
        digests = [layer.digest for layer in self._manifest.layers]
        hinted = {
            digest
            for digest, step in zip(digests, config.created_by, strict=False)
            if _MODELS_FOLDER in step or _MODEL_SUFFIX in step or folder in step
        }
        yield [layer for layer in layers if layer.descriptor.digest in hinted]
        yield [layer for layer in layers if layer.descriptor.digest not in hinted]


def is_compressed(layer: Layer) -> bool:
    """Decide whether a layer is compressed, by its media type or by what reading it found."""
    return layer.compressed or any(word in layer.descriptor.media_type for word in ("gzip", "zstd"))
