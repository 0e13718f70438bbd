"""The index: what a rebuild found, as compressed JSON beside this module.

``architectures``: every architecture with its counts, what was skipped, the versions traced with. ``layers``: the
ordered sample and the layers of the networks that are summed, each with its call. ``space``: the feature space of all
distinct layers in cells, which the sample is judged by.
"""

from __future__ import annotations

import gzip
import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache, cached_property
from pathlib import Path
from typing import Any

from joulecast.errors import MeasurementError
from joulecast_calibration.files import write_together
from joulecast_calibration.suite.architecture import Architecture, Skip, SuiteNetwork, architecture_from_json
from joulecast_calibration.suite.decoders import Decoders, read_decoders
from joulecast_calibration.suite.layer import Additivity, SuiteLayer, layer_from_json
from joulecast_calibration.suite.ordering import ordered_networks
from joulecast_calibration.suite.selection import anchor_layers, captured_networks, unseen_networks

FOLDER = Path(__file__).parent / "index"
"""The committed index."""

SCHEMA_VERSION = 1
PARTS = ("architectures", "layers", "space")


@dataclass(frozen=True)
class SuiteIndex:
    """An index in ``folder``; each part is read when first used. Raises MeasurementError where one cannot be read."""

    folder: Path

    @cached_property
    def head(self) -> Mapping[str, Any]:
        return self._read("architectures")

    @cached_property
    def architectures(self) -> tuple[Architecture, ...]:
        """Return every architecture of the suite, by task, family and name."""
        return tuple(architecture_from_json(entry) for entry in self.head["architectures"])

    @cached_property
    def skipped(self) -> tuple[Skip, ...]:
        """Return what could not be traced."""
        return tuple(Skip(**entry) for entry in self.head["skipped"])

    @cached_property
    def _body(self) -> Mapping[str, Any]:
        return self._read("layers")

    @cached_property
    def known(self) -> Mapping[str, SuiteLayer]:
        """Return every layer that it can run, by digest."""
        return {entry["digest"]: layer_from_json(entry) for entry in self._body["layers"]}

    @cached_property
    def networks(self) -> tuple[SuiteNetwork, ...]:
        """Return the networks to measure, in order.

        Any prefix covers tasks and families, and long forward passes come last. Networks that do not fit, or must stay
        unseen, are left out.
        """
        return ordered_networks(self.architectures)

    @cached_property
    def layers(self) -> tuple[SuiteLayer, ...]:
        """Return the sample of layers, in order.

        Any prefix covers the feature space, and long layers come last. Layers that do not fit, or that a network which
        must stay unseen has, are left out.
        """
        return tuple(self.known[digest] for digest in self._body["sample"])

    @cached_property
    def llms(self) -> tuple[SuiteNetwork, ...]:
        """Return the language models that contribute no layer to the sample."""
        return unseen_networks(self.architectures)

    @cached_property
    def cudagraphs(self) -> tuple[SuiteNetwork, ...]:
        """Return what is run as CUDA graphs too, each at one batch size."""
        return captured_networks(self.networks)

    @cached_property
    def anchors(self) -> tuple[SuiteLayer, ...]:
        """Return the layers that every run measures at its start and at its end."""
        return anchor_layers(self.layers)

    @cached_property
    def additivity(self) -> tuple[Additivity, ...]:
        """Return the networks whose layers are all measured."""
        return tuple(self._additivity(entry) for entry in self._body["additivity"])

    @property
    def decoders(self) -> Decoders:
        """Return the passes of decoders as they generate, which ``digest`` does not cover."""
        return read_decoders(self.folder)

    @cached_property
    def space(self) -> Mapping[str, Any]:
        """Return columns of cells, see ``joulecast_calibration.suite.survey.space``."""
        return self._read("space")

    @cached_property
    def digest(self) -> str:
        """Return ``sha256:`` and the digest of the content, which does not depend on its compression."""
        content = b"\0".join(self._text(part) for part in PARTS)
        return "sha256:" + hashlib.sha256(content).hexdigest()

    def _additivity(self, entry: Mapping[str, Any]) -> Additivity:
        layers = tuple((self.known[digest], count) for digest, count in entry["layers"])
        return Additivity(**{**entry, "layers": layers})

    def _read(self, part: str) -> Mapping[str, Any]:
        found: Mapping[str, Any] = json.loads(self._text(part))
        if found.get("schema") != SCHEMA_VERSION:
            raise MeasurementError(f"{self.folder} holds an index of another version: rebuild it")
        return found

    def _text(self, part: str) -> bytes:
        path = self.folder / f"{part}.json.gz"
        try:
            return gzip.decompress(path.read_bytes())
        except (OSError, EOFError) as error:
            raise MeasurementError(f"{path} cannot be read ({error}): rebuild the index") from None


def write_index(folder: Path, parts: Mapping[str, Mapping[str, Any]]) -> None:
    """Write ``parts`` into ``folder``, all or none of them: the same bytes for the same content."""
    write_together({folder / f"{part}.json.gz": _packed(parts[part]) for part in PARTS})


def _packed(part: Mapping[str, Any]) -> bytes:
    text = json.dumps({"schema": SCHEMA_VERSION, **part}, separators=(",", ":"), sort_keys=True)
    return gzip.compress(text.encode(), mtime=0)


def existing(folder: Path) -> SuiteIndex | None:
    """Return the index in ``folder`` as it is now, whatever is written there later; None if there is none."""
    if not (folder / f"{PARTS[0]}.json.gz").is_file():
        return None
    index = SuiteIndex(folder)
    _ = index.head, index.architectures
    return index


@cache
def committed() -> SuiteIndex:
    """Return the index that came with the package."""
    return SuiteIndex(FOLDER)
