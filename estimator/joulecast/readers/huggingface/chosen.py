"""Which entry of the table of architectures a configuration is read by."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from difflib import get_close_matches
from typing import Any

from joulecast.errors import ModelFormatError, UnsupportedOperatorError
from joulecast.printable import bounded
from joulecast.readers.huggingface.architectures import ARCHITECTURES, COMPOSITES, Architecture
from joulecast.readers.huggingface.architectures.entry import Composite, EncoderDecoder
from joulecast.readers.huggingface.configuration import Configuration
from joulecast.readers.huggingface.known import known

_TIED = "tie_word_embeddings"

UNKNOWN = "UnknownArchitecture"
"""Reason of a configuration that no entry can read."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Chosen:
    """An entry with the configuration to read by it.

    - ``text``: of the text model; ``whole``: the document that holds it, the same where there is but one model.
    - ``classes``: of transformers, without the part that names the head, the usual one first.
    - ``renamed``: it is read as another model type than it names, so that its class may be called anything.
    """

    entry: Architecture
    text: Configuration
    whole: Configuration
    classes: tuple[str, ...]
    renamed: bool = False
    notes: tuple[str, ...] = ()


def chosen(config: Mapping[str, Any], architecture: str | None) -> Chosen:
    """Return the entry for ``config``, or for the model type ``architecture`` where one is given.

    Raises UnsupportedOperatorError for a model type without an entry, ModelFormatError where none is named.
    """
    named = config.get("model_type") if architecture is None else architecture
    if not isinstance(named, str) or not named:
        raise ModelFormatError("config.json has no model_type: it is no configuration of a transformers model")
    if named in COMPOSITES:
        return _composite(config, COMPOSITES[named])
    if named not in ARCHITECTURES:
        raise _unknown(config, named)
    entry = ARCHITECTURES[named]
    own = Configuration(values=config, model_type=named, known=known(entry.model_type, entry.names))
    return Chosen(
        entry=entry,
        text=own,
        whole=own,
        classes=_classes(entry),
        renamed=architecture is not None,
        notes=entry.notes,
    )


def _classes(entry: Architecture | Composite) -> tuple[str, ...]:
    return (entry.classes,) if isinstance(entry.classes, str) else entry.classes


def _composite(config: Mapping[str, Any], composite: Composite) -> Chosen:
    whole = Configuration(values=config, model_type=composite.model_type, known=known(composite.model_type))
    values = dict(whole.part("text_config") or {})
    if whole.has(_TIED):  # of the whole, whose head it is
        values[_TIED] = config[_TIED]
    named = values.get("model_type", composite.text)
    if not isinstance(named, str) or named not in ARCHITECTURES:
        raise _unknown(config, str(named))
    entry = ARCHITECTURES[named]
    if isinstance(entry, EncoderDecoder):
        raise _unknown(config, named)
    layer = f"{composite.modules}.{entry.layer.partition('.')[2]}"
    embedding = f"{composite.modules}.{entry.embedding.partition('.')[2]}"
    text = Configuration(
        values=values, model_type=named, known=known(entry.model_type, entry.names), prefix="text_config."
    )
    return Chosen(
        entry=replace(entry, layer=layer, embedding=embedding, head=composite.head),
        text=text,
        whole=whole,
        classes=(*_classes(composite), *_classes(entry)),
        notes=(
            f"{composite.left_out} of {composite.model_type} is not priced: only its text model is read",
            *entry.notes,
        ),
    )


def _unknown(config: Mapping[str, Any], named: str) -> UnsupportedOperatorError:
    shown = bounded(named, 60)
    near = get_close_matches(named[:60], ARCHITECTURES, 1)
    hint = f" (is {near[0]} meant?)" if near else ""
    if config.get("auto_map"):
        return UnsupportedOperatorError(
            f"model_type {shown!r} of config.json has code of its own (auto_map), which is never run: if the model is"
            f" built like one of {', '.join(sorted(ARCHITECTURES))}, name that as its architecture",
            reason=UNKNOWN,
        )
    return UnsupportedOperatorError(
        f"model_type {shown!r} of config.json is not among the known architectures{hint}: if the model is built like"
        f" one of {', '.join(sorted(ARCHITECTURES))}, name that as its architecture",
        reason=UNKNOWN,
    )
