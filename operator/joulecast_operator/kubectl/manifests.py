"""Read manifests as kubectl reads them: files, directories and standard input, with several documents each."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import yaml

from joulecast.errors import JoulecastError
from joulecast.printable import bounded
from joulecast_operator.api.objects import Resource, mapping

STANDARD_INPUT: Final = "-"
_SUFFIXES: Final = (".yaml", ".yml", ".json")  # as kubectl reads of a directory
_LOADER: Final = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
_SHOWN: Final = 300  # characters of what a parser says


@dataclass(frozen=True, slots=True, kw_only=True)
class Manifest:
    """One object to apply. ``source``: the file that holds it; ``body``: the object."""

    source: str
    body: Resource

    @property
    def api_version(self) -> str:
        """Return the field apiVersion."""
        return str(self.body["apiVersion"])

    @property
    def kind(self) -> str:
        """Return the field kind."""
        return str(self.body["kind"])

    @property
    def name(self) -> str:
        """Return the object's name."""
        return str(self.body["metadata"]["name"])

    @property
    def namespace(self) -> str | None:
        """Return the namespace that the object names; None if it names none."""
        found = self.body["metadata"].get("namespace")
        return None if found is None else str(found)


def read(names: Sequence[str], *, recursive: bool) -> list[Manifest]:
    """Return the objects in files, directories (``recursive``: and below) and ``-``. Raises JoulecastError."""
    found = [each for name in names for source in _sources(name, recursive=recursive) for each in _objects(source)]
    if not found:
        raise JoulecastError(f"{', '.join(names)}: there is no object in it", reason="NoManifest")
    return found


def _sources(name: str, *, recursive: bool) -> Iterable[str]:
    if name == STANDARD_INPUT or Path(name).is_file():
        return [name]
    if "://" in name:
        raise _wrong(name, "is an address: fetch it first, and give its content by `-f -`")
    if not Path(name).is_dir():
        raise _wrong(name, "is no file or directory: correct the path")
    below = Path(name).rglob("*") if recursive else Path(name).iterdir()
    return sorted(str(each) for each in below if each.suffix in _SUFFIXES and each.is_file())


def _objects(source: str) -> Iterator[Manifest]:
    try:
        text = sys.stdin.read() if source == STANDARD_INPUT else Path(source).read_text(encoding="utf-8")
        documents = list(yaml.load_all(text, Loader=_LOADER))
    except (OSError, UnicodeDecodeError, yaml.YAMLError, RecursionError) as error:
        raise _wrong(source, f"cannot be read: {bounded(' '.join(str(error).split()), _SHOWN)}") from error
    for number, document in enumerate(documents, 1):
        if document is not None:
            yield from _flat(source, number, document)


def _flat(source: str, number: int, document: Any) -> Iterator[Manifest]:
    """Yield the object of a document, or those of a list."""
    where = f"document {number} of {source}"
    if not isinstance(document, dict) or not document.get("apiVersion") or not document.get("kind"):
        raise _wrong(where, "is no object of Kubernetes: it lacks apiVersion or kind")
    items = document.get("items")
    if str(document["kind"]).endswith("List") and isinstance(items, list):
        for each in items:
            yield from _flat(source, number, each)
        return
    if not mapping(document.get("metadata")).get("name"):
        raise _wrong(where, "has no metadata.name: apply needs one")
    yield Manifest(source=source, body=document)


def _wrong(what: str, message: str) -> JoulecastError:
    return JoulecastError(f"{what} {message}", reason="InvalidManifest")
