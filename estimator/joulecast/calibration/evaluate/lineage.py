"""What is known of an architecture by its name alone: its family, its task, whether it is a large language model."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from functools import cache

from joulecast.calibration.rows.networks import NetworkRow
from joulecast.readers.named.catalogue import listed
from joulecast.readers.named.entry import Entry

TASKS = ("vision", "nlp", "audio")

_HEAD = re.compile(r"(model|for[A-Z]\w*|lmhead\w*)$", re.IGNORECASE)
_SIZE = re.compile(r"[\d._-]+[a-z]?\d*$")


def family_of(architecture: str) -> str:
    """The lineage across libraries, where the suite's lists have one of its relatives; else the name without its
    size."""
    entry = _entry(architecture)
    return entry.family if entry else _stem(architecture)


def task_of(row: NetworkRow) -> str:
    """vision, nlp or audio: as the suite's lists have it, else by whether the network reads tokens."""
    entry = _entry(row.architecture)
    if entry:
        return entry.task
    return "vision" if row.sequence is None else "nlp"


def is_language_model(architecture: str) -> bool:
    """Whether it generates text: a relative of it is listed as a causal language model."""
    return family_of(architecture) in _generating()


def _entry(architecture: str) -> Entry | None:
    known = _relatives()
    return known.get(architecture.lower()) or known.get(_class_stem(architecture)) or known.get(_stem(architecture))


@cache
def _relatives() -> Mapping[str, Entry]:
    """A listed network by every name that a relative of it may bear: its own, its class's, both without their size."""
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


@cache
def _generating() -> frozenset[str]:
    return frozenset(e.family for e in listed() if re.search("CausalLM|LMHead", e.model_class))


def _class_stem(name: str) -> str:
    """``BertForMaskedLM`` and ``bertmodel`` are both ``bert``."""
    return _HEAD.sub("", name).lower()


def _stem(name: str) -> str:
    """``resnet101`` is ``resnet``."""
    return _SIZE.sub("", name.lower()) or name.lower()
