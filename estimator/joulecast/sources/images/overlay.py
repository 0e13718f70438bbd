"""A model's file in a stack of layers: whiteouts, opaque folders and links as a container runtime applies them.

Layers are searched from the top down and each is read forward, so that reading can stop at the first hit. Nothing is
written to disk.
"""

from __future__ import annotations

import posixpath
from collections.abc import Callable, Iterable, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Generic, TypeVar

from joulecast.errors import ModelFetchError, ModelFormatError
from joulecast.sources.facts.choosing import ambiguous
from joulecast.sources.images.contents import EnoughError
from joulecast.sources.skeletons.formats import is_weights
from joulecast.sources.streams.tarstream import Member, inside

if TYPE_CHECKING:
    from joulecast.sources.images.contents import ImageContents
    from joulecast.sources.images.layer import Layer
    from joulecast.sources.streams.stream import Bytes

T = TypeVar("T")
Take = Callable[["Bytes", str, int | None], T]
"""Reads what it needs of a file: (its content, its path in the image, its size if known)."""

WHITEOUT = ".wh."
OPAQUE = ".wh..wh..opq"  # both: OCI image specification, layer.md, "Whiteouts"
_MAX_LINKS = 40  # Linux MAXSYMLINKS
_MAX_LISTED = 20
_MAX_REMEMBERED = 20_000  # names kept while walking; of 4 KiB at most, so 80 MiB
_MODEL_SUFFIX = ".onnx"


@dataclass(frozen=True, slots=True, kw_only=True)
class Found(Generic[T]):
    """A file that was found.

    - ``value``: what ``Take`` made of it.
    """

    path: str
    layer: Layer
    value: T


@dataclass(frozen=True, slots=True, kw_only=True)
class _Link:
    """Look for ``path`` instead, from layer ``start`` (0: the top) on."""

    path: str
    start: int


@dataclass(slots=True)
class _Search:
    """What the layers above say about one path."""

    path: str
    parents: frozenset[str]
    folders: set[str] = field(default_factory=set)
    hidden: bool = False

    def observe(self, member: Member) -> None:
        """Take in a member that is not the path itself: what hides it in the layers below."""
        base = posixpath.basename(member.path)
        folder = posixpath.dirname(member.path)
        if base == OPAQUE:
            self.hidden |= folder in self.parents
        elif base.startswith(WHITEOUT):
            victim = posixpath.join(folder, base.removeprefix(WHITEOUT))
            self.hidden |= victim == self.path or victim in self.parents
        elif member.path in self.parents and member.kind not in ("folder", "symlink"):
            self.hidden = True


def _parents(path: str) -> frozenset[str]:
    parts = path.split("/")
    return frozenset("/".join(parts[:count]) for count in range(len(parts)))


def find(layers: Sequence[Layer], path: str, take: Take[T], name: str) -> Found[T]:
    """Find the file at ``path`` in ``layers`` (top first), through links. Reads no further than necessary.

    Raises ModelFetchError (ModelNotFound), listing ONNX files that were seen on the way, or ModelFormatError for a
    circle of links.
    """
    link = _Link(path=inside(path, name), start=0)
    seen: dict[str, None] = {}
    for _ in range(_MAX_LINKS):
        outcome = _search(layers, link, take, seen)
        if outcome is None:
            raise _absent(path, seen, name)
        if isinstance(outcome, Found):
            return outcome
        link = outcome
    raise ModelFormatError(
        f"{name}: /{path.lstrip('/')} leads through more than {_MAX_LINKS} links: name the file itself"
    )


def _search(layers: Sequence[Layer], link: _Link, take: Take[T], seen: dict[str, None]) -> Found[T] | _Link | None:
    search = _Search(link.path, _parents(link.path))
    for depth in range(link.start, len(layers)):
        outcome = _search_layer(layers[depth], depth, search, take, seen)
        if outcome is not None or search.hidden:
            return outcome
    return None


def _search_layer(
    layer: Layer, depth: int, search: _Search, take: Take[T], seen: dict[str, None]
) -> Found[T] | _Link | None:
    folders: set[str] = set()
    with closing(layer.members()) as members:
        for member, content in members:
            if member.path == search.path and member.kind == "file":
                found = _taken(layer, member, content, take)
                layer.finish()
                return found
            link = _followed(member, search, depth)
            if link:
                layer.finish()
                return link
            search.observe(member)
            if member.path in search.parents and member.kind == "folder":
                folders.add(member.path)
            if is_model(member.path) and len(seen) < _MAX_LISTED:
                seen[member.path] = None
        layer.finish()
    search.folders |= folders
    return None


def _taken(layer: Layer, member: Member, content: Bytes, take: Take[T]) -> Found[T]:
    if not member.readable:
        raise ModelFormatError(
            f"/{member.path} in {layer.name} is a sparse tar member: build the image without tar's --sparse"
        )
    return Found(path=member.path, layer=layer, value=take(content, member.path, member.size))


def _followed(member: Member, search: _Search, depth: int) -> _Link | None:
    """Return where ``member`` redirects the search, if it is a link that no folder of a higher layer replaces."""
    on_the_way = member.path == search.path or (member.path in search.parents and member.path not in search.folders)
    if not on_the_way or member.kind not in ("symlink", "hardlink") or not member.path:
        return None
    if member.kind == "hardlink":
        return _Link(path=inside(member.target, "a hard link"), start=depth) if member.path == search.path else None
    rest = search.path.removeprefix(member.path).lstrip("/")
    return _Link(path=_joined(posixpath.dirname(member.path), member.target, rest), start=0)


def _joined(folder: str, target: str, rest: str) -> str:
    """Return a symlink's target as a path from the root; ``..`` above the root stays there, as in a container."""
    absolute = posixpath.normpath(posixpath.join("/", folder, target, rest))
    return absolute.lstrip("/")


def survey(
    layers: Sequence[Layer],
    groups: Iterable[Sequence[Layer]],
    root: str,
    take: Take[T],
    contents: ImageContents,
    *,
    is_required: bool = True,
) -> Found[T] | None:
    """Return the one ONNX file under ``root`` (``""``: anywhere) in the first of ``groups`` of layers that has any.

    Other files on the way are noted in ``contents``; None if they make up a model, or if none ``is_required``.
    Raises ModelFetchError: AmbiguousModel, listing them, if there are several; ModelNotFound, listing others elsewhere,
    if there is none.
    """
    name = contents.name
    elsewhere: dict[str, None] = {}
    foreign: dict[str, None] = {}
    target: str | None = None
    for group in groups:
        walk = _Survey(root, elsewhere, contents)
        candidates, first = walk.run(group, take)
        foreign |= walk.foreign
        target = target or walk.target
        if target and not candidates:
            candidates = [path for path in elsewhere if path.startswith(target + "/")]
        if len(candidates) > 1:
            raise ambiguous([f"/{path}" for path in sorted(candidates)], name)
        if first is not None:
            return first
        if candidates:  # a link to a file of another name
            return find(layers, candidates[0], take, name)
        if contents.is_found():
            return None
    if not is_required:
        return None
    raise _no_model(root, elsewhere, foreign, name)


class _Survey:
    """Walks every member of a group of layers once.

    The first candidate is read on the way, because coming back may cost a layer.

    - ``target``: where the root leads, if it is a link.
    - ``foreign``: models in formats that are not read.
    """

    def __init__(self, root: str, elsewhere: dict[str, None], contents: ImageContents) -> None:
        self._root = root
        self._contents = contents
        self._elsewhere = elsewhere
        self._files: dict[str, None] = {}
        self._links: dict[str, str] = {}
        self._gone: set[str] = set()
        self.foreign: dict[str, None] = {}
        self.target: str | None = None

    def run(self, layers: Sequence[Layer], take: Take[T]) -> tuple[list[str], Found[T] | None]:
        """Return (candidates, the first one that is a file)."""
        first: Found[T] | None = None
        for layer in layers:
            try:
                found = self._walk(layer, take, is_wanted=first is None)
            except EnoughError:
                break
            first = first or found
        # a link to a candidate is that candidate under another name
        links = [path for path, target in self._links.items() if target not in self._files]
        return [*self._files, *links], first

    def _walk(self, layer: Layer, take: Take[T], *, is_wanted: bool) -> Found[T] | None:
        found: Found[T] | None = None
        gone: set[str] = set()
        with closing(layer.members()) as members:
            for member, content in members:
                gone |= _whited_out(member)
                self._check_memory(layer, gone)
                if self._is_new_file(member) and is_wanted and found is None:
                    found = _taken(layer, member, content, take)
                elif self._is_noted(member):
                    self._contents.add_member(layer, member, content)
            layer.finish()
        self._gone |= gone
        return found

    def _check_memory(self, layer: Layer, gone: set[str]) -> None:
        if len(self._files) + len(self._links) + len(self._gone) + len(gone) > _MAX_REMEMBERED:
            raise ModelFormatError(
                f"{layer.name} brings the image to more than {_MAX_REMEMBERED:,} models and deleted files: "
                "name the model's path"
            )

    def _is_new_file(self, member: Member) -> bool:
        path = member.path
        if path == self._root and member.kind == "symlink" and self.target is None:
            self.target = _joined(posixpath.dirname(path), member.target, "")
        if posixpath.basename(path).startswith(WHITEOUT) or member.kind == "folder":
            return False
        if not is_model(path):
            self._note_foreign(path)
            return False
        known = path in self._files or path in self._links
        if known or path in self._gone or not _parents(path).isdisjoint(self._gone):
            return False
        if self._root and not path.startswith(self._root + "/"):
            if len(self._elsewhere) < _MAX_LISTED:
                self._elsewhere[path] = None
            return False
        return self._record(member)

    def _is_noted(self, member: Member) -> bool:
        """Decide whether a file that is not an ONNX model is visible, and where files of models are."""
        path = member.path
        if member.kind in ("folder", "other") or is_model(path) or posixpath.basename(path).startswith(WHITEOUT):
            return False
        return self._contents.wants(path) and path not in self._gone and _parents(path).isdisjoint(self._gone)

    def _note_foreign(self, path: str) -> None:
        if is_weights(path) and len(self.foreign) < _MAX_LISTED:
            self.foreign[path] = None

    def _record(self, member: Member) -> bool:
        if member.kind == "file":
            self._files[member.path] = None
        elif member.kind == "hardlink":
            self._links[member.path] = inside(member.target, "a hard link")
        elif member.kind == "symlink":
            self._links[member.path] = _joined(posixpath.dirname(member.path), member.target, "")
        return member.kind == "file"


def _whited_out(member: Member) -> set[str]:
    base, folder = posixpath.basename(member.path), posixpath.dirname(member.path)
    if base == OPAQUE:
        return {folder}
    if base.startswith(WHITEOUT):
        return {posixpath.join(folder, base.removeprefix(WHITEOUT))}
    return set()


def _listed(paths: Iterable[str]) -> str:
    listed = [f"/{path}" for path in paths]
    more = ", …" if len(listed) > _MAX_LISTED else ""
    return ", ".join(listed[:_MAX_LISTED]) + more


def is_model(path: str) -> bool:
    """Decide whether a name is that of an ONNX file, in any case."""
    return path.lower().endswith(_MODEL_SUFFIX)


def _no_model(root: str, elsewhere: Iterable[str], foreign: Iterable[str], name: str) -> ModelFetchError:
    """Return the error for an image without a model under ``root``: what was looked for, and what lies elsewhere.

    ``elsewhere``: ONNX files outside ``root``; ``foreign``: weights and GGUF files, wherever they are.
    """
    inside = [path for path in foreign if not root or path.startswith(root + "/")]
    outside = [path if path.lower().endswith(".gguf") else posixpath.dirname(path) or "." for path in foreign]
    others = dict.fromkeys([*elsewhere, *(outside if not inside else ())])
    place = (
        f" under /{root}, where models are looked for unless a path is given" if root and (others or not inside) else ""
    )
    if others:
        told = f": files of models lie at {_listed(others)}, name the model's file or folder as the path"
    elif inside:
        told = (
            f" but {_listed(inside)}, which is not read alone: add the model's config.json, or the model exported to"
            " ONNX, to the image"
        )
    else:
        told = ": name the folder in which the model lies as the path, or check the image"
    return ModelFetchError(
        f"{name} holds no ONNX or GGUF file and no config.json{place}{told}", reason="ModelNotFound", transient=False
    )


def _absent(path: str, seen: Iterable[str], name: str) -> ModelFetchError:
    listed = _listed(seen)
    way_out = f"it has {listed}, name one as the path" if listed else "check the path, or name the model's path"
    return ModelFetchError(f"{name} holds no /{path.lstrip('/')}: {way_out}", reason="ModelNotFound", transient=False)
