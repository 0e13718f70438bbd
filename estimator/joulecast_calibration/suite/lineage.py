"""Identify a network: its family, its task, whether it is a language model, whether it has to stay unseen.

Only the lists of named networks are used, so that the same rule applies to published sets and to rows of this project,
whatever name they use for a network.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from functools import cache

from joulecast.readers.named.catalogue import by_source, listed
from joulecast.readers.named.entry import Entry
from joulecast_calibration import suite
from joulecast_calibration.rows.networks import ForecastRow
from joulecast_calibration.suite.index import committed

TASKS = ("vision", "nlp", "audio")

_HEAD = re.compile(r"(model|for[A-Z]\w*|lmhead\w*)$", re.IGNORECASE)
_SIZE = re.compile(r"[\d._-]+[a-z]?\d*$")
_GENERATES = re.compile("CausalLM|LMHead")
"""Part of a class's name if its head predicts the next token."""


def family_of(architecture: str) -> str:
    """Return the lineage of a network or relative in the suite's lists, else its name without its size."""
    entry = _entry(architecture)
    return entry.family if entry else _stem(architecture)


def task_of(row: ForecastRow) -> str:
    """Return vision, nlp or audio, from the suite's lists, else by whether the network reads tokens."""
    entry = _entry(row.architecture)
    if entry:
        return entry.task
    return "vision" if row.sequence is None else "nlp"


def is_language_model(architecture: str) -> bool:
    """Return whether a network generates text, which is so if a relative of it is a listed causal language model."""
    return family_of(architecture) in language_models()


@cache
def language_models() -> frozenset[str]:
    """Return the families of decoders that read and write text, and neither write sound nor read images."""
    return frozenset(e.family for e in listed() if e.task == "nlp" and _GENERATES.search(e.model_class))


@cache
def zero_shot_names() -> frozenset[str]:
    """Return the language models that contribute no layer to the suite's sample, by their recorded names."""
    return frozenset(entry.recorded for entry in listed() if entry.zero_shot)


@cache
def kin() -> Mapping[str, frozenset[str]]:
    """Return for each family of the suite those that it shares more than half of its work with: docs/suite.md."""
    found: dict[str, set[str]] = {entry.family: {entry.family} for entry in suite.committed().architectures}
    for pair in committed().head["kinships"]:
        one, other = pair["families"]
        found[one].add(other)
        found[other].add(one)
    return {family: frozenset(related) for family, related in found.items()}


def _entry(architecture: str) -> Entry | None:
    known = _relatives()
    return (
        by_source().get(architecture)
        or known.get(architecture.lower())
        or known.get(_class_stem(architecture))
        or known.get(_stem(architecture))
    )


@cache
def _relatives() -> Mapping[str, Entry]:
    """Return a listed network by every name of a relative: its own and its class's, with and without their size."""
    found: dict[str, Entry] = {}
    for entry in listed():
        for name in _names(entry):
            found.setdefault(name, entry)
    return found


def _names(entry: Entry) -> Iterable[str]:
    if entry.model_class:
        yield _class_stem(entry.model_class)
        return
    yield from (entry.name.lower(), _stem(entry.name), entry.name.lower().split("_")[0])


def _class_stem(name: str) -> str:
    """Reduce a class's name to its stem: ``BertForMaskedLM`` and ``bertmodel`` are both ``bert``."""
    return _HEAD.sub("", name).lower()


def _stem(name: str) -> str:
    """Remove the size from a name: ``resnet101`` is ``resnet``."""
    return _SIZE.sub("", name.lower()) or name.lower()
