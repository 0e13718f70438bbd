"""The networks that the project lists, read from the data files beside this module."""

from __future__ import annotations

import tomllib
from collections.abc import Iterator, Mapping
from functools import cache
from importlib.resources import files
from typing import Any

from joulecast.readers.named.entry import Entry, Size, Task
from joulecast.readers.named.reference import Library

_IMAGE: tuple[Size, ...] = ("batch", 3)
_SEQUENCE_LENGTHS = {"encoder": (128,), "decoder": (128, 512), "text-to-text": (128,)}
"""Tokens by kind of text model: a language model is also asked for 512."""
_DECODER_TOKENS = 8  # of an encoder-decoder: a few, as in the middle of a generation


def entries() -> tuple[Entry, ...]:
    """Return the networks of the calibration suite, in the order of the files."""
    return tuple(entry for entry in listed() if entry.suite)


@cache
def listed() -> tuple[Entry, ...]:
    """Return every listed network, in the order of the files."""
    found = [*_images("torchvision"), *_images("timm"), *_images("torchvision", "torchvision-more", suite=False)]
    found += [*_configured(_document("text"), "nlp"), *_configured(_document("audio"), "audio")]
    return tuple(found)


def known(library: Library | None = None) -> tuple[str, ...]:
    """Return the named sources that the project lists, of one library or of all."""
    return tuple(entry.source for entry in listed() if library in (None, entry.library))


@cache
def by_source() -> Mapping[str, Entry]:
    """Return each listed network by its named source, those of transformers also by their published repository and by
    the name under which it is recorded.
    """
    published = {f"transformers:{entry.origin}": entry for entry in listed() if entry.origin}
    recorded = {entry.recorded: entry for entry in listed()}
    return published | recorded | {entry.source: entry for entry in listed()}


def _document(name: str) -> dict[str, Any]:
    return tomllib.loads(files(__package__).joinpath("listed", f"{name}.toml").read_text("utf-8"))


def _images(library: Library, document: str = "", *, suite: bool = True) -> Iterator[Entry]:
    """Yield the networks of families by the size of their input: ``224``, or ``16x112x112`` frames."""
    for family, sizes in _document(document or library).items():
        for size, names in sizes.items():
            dimensions = tuple(int(part) for part in size.split("x"))
            shape = (*_IMAGE, *(dimensions if len(dimensions) > 1 else dimensions * 2))
            for name in names.split():
                yield Entry(
                    library=library,
                    name=name,
                    task="vision",
                    family=family,
                    inputs={"x": shape},
                    positional=True,
                    suite=suite,
                )


def _configured(document: Mapping[str, Any], task: Task) -> Iterator[Entry]:
    for family, models in document.items():
        for origin, described in models.items():
            yield _of_transformers(origin, family, task, described)


def _of_transformers(origin: str, family: str, task: Task, described: Mapping[str, Any]) -> Entry:
    rest = {name: described[name] for name in ("suite", "zero_shot", "largest_batch", "rates") if name in described}
    return Entry(
        library="transformers",
        name=described.get("name", origin.rpartition("/")[2]),
        task=task,
        family=family,
        origin=origin,
        model_class=described["class"],
        config=described.get("config", {}),
        inputs={name: tuple(shape) for name, shape in _inputs(task, described).items()},
        sequence_lengths=tuple(described.get("sequence_lengths", _lengths(described))) if task == "nlp" else (),
        seconds=tuple(described.get("seconds", (1, 10))) if task == "audio" else (),
        **rest,
    )


def _inputs(task: Task, described: Mapping[str, Any]) -> Mapping[str, tuple[Size, ...]]:
    """Return the inputs as described, else those that models of the task take."""
    if "inputs" in described:
        return dict(described["inputs"])
    if task == "audio":
        return {"input_values": ("batch", "samples")}
    text: dict[str, tuple[Size, ...]] = {"input_ids": ("batch", "tokens")}
    return text | ({"decoder_input_ids": ("batch", _DECODER_TOKENS)} if _kind(described) == "text-to-text" else {})


def _lengths(described: Mapping[str, Any]) -> tuple[int, ...]:
    return _SEQUENCE_LENGTHS[_kind(described)]


def _kind(described: Mapping[str, Any]) -> str:
    """Return the kind of a model: a language model's class tells it, and others are encoders."""
    name = described["class"]
    if name.endswith(("ConditionalGeneration", "MTModel")):
        return "text-to-text"
    return "decoder" if name.endswith(("ForCausalLM", "LMHeadModel")) else "encoder"
