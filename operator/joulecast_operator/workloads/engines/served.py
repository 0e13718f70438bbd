"""The language model that a pod serves: which engine, which model, where its files lie, and how it is run."""

from __future__ import annotations

import math
import posixpath
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import islice
from typing import Any, Final, Literal

from joulecast_operator.api.objects import Resource, mapping, mappings
from joulecast_operator.workloads.engines.commands import (
    LONGEST_LINE,
    UNKNOWN,
    Command,
    CommandLine,
    command_line,
    commands,
)
from joulecast_operator.workloads.engines.options import ENGINES, Engine, Options, read_options

Source = Literal["uri", "image", "unknown"]

_HUB_NAME: Final = re.compile(r"(?!.*\.\.)[A-Za-z0-9][\w.-]{0,95}(/[\w.-]{1,96})?(:[\w.-]{1,64})?", re.ASCII)
_REVISION: Final = re.compile(r"[A-Za-z0-9][\w./-]{0,127}", re.ASCII)
_BUCKETS: Final = ("s3://", "gs://", "az://", "hf://")
_PYTHON: Final = re.compile(r"python[0-9.]*")
_COUNT: Final = re.compile(r"[1-9][0-9]{0,6}")
_DEGREES: Final = ("pipeline", "data")
"""What a model is divided by, beside tensors, each of which takes as many times the cards."""
_SHOWN: Final = 80  # characters of a tenant's word in a sentence
_MOST_CONTAINERS: Final = 64  # of a pod that are read, the first ones
_MOST_MOUNTS: Final = 256  # of a container that are read, the first ones
_MOST_CHARACTERS: Final = 4 * LONGEST_LINE  # of the command lines of a pod that are read, the first ones
_REMEMBERED: Final = 8  # command lines: a review reads those of an object and of the one before several times


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelPlace:
    """Where the model's files lie.

    - ``uri``: ``hf://org/name@revision`` or ``s3://…``, for ``uri``; ``image`` and ``path`` inside it, for ``image``.
    - ``problem``: why it cannot be said, for ``unknown``: a sentence that names the way out.
    """

    source: Source
    uri: str = ""
    image: str = ""
    path: str = ""
    problem: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class ServedModel:
    """What was understood of a container that serves a language model.

    - ``runtime``: None for an engine that no law prices.
    - ``tensor_parallel``, ``most_sequences``, ``longest``, ``batched_tokens``: None where the engine's default holds.
    - ``dtype``, ``quantisation``, ``cache_dtype``: as written, "" where the files decide.
    - ``cards``: on which it runs, by its degrees of tensor, pipeline and data parallelism; None where the command does
      not state them as whole numbers, or where the engine takes every card that it sees.
    - ``is_divided``: whether the model is split by pipeline or data, beside or in place of by tensor.
    - ``is_spread``: whether the command joins those of other pods, which run parts of the same engine.
    - ``is_part``: whether the engine may read the input of requests or write their output alone.
    - ``used``, ``ignored``: options that were read, and those that may matter and were not.
    - ``problem``: why it cannot be said how many cards share the model, "" where it can: a sentence with the way out.
    """

    engine: str
    runtime: str | None
    container: str
    place: ModelPlace
    tensor_parallel: int | None = None
    most_sequences: int | None = None
    longest: int | None = None
    batched_tokens: int | None = None
    dtype: str = ""
    quantisation: str = ""
    cache_dtype: str = ""
    cards: int | None = None
    is_divided: bool = False
    is_spread: bool = False
    is_part: bool = False
    used: tuple[str, ...] = ()
    ignored: tuple[str, ...] = ()
    problem: str = ""


def served_models(pod: Resource) -> tuple[ServedModel, ...]:
    """Return the model of every container of a pod's spec that starts a known engine, in the pod's order.

    Of a pod with more than 64 containers or 65,536 characters of command lines, and of a container with more than 256
    mounts, only the first are read.
    """
    found = (_served(pod, container, line) for container, line in _lines(pod))
    return tuple(model for model in found if model is not None)


def kept(pod: Resource) -> dict[str, Any]:
    """Return the smallest part of a pod's spec that has the same images and for which ``served_models`` returns the
    same."""
    lines = dict(enumerate(line for _, line in _lines(pod)))
    containers = [_kept_container(each, lines.get(n)) for n, each in enumerate(mappings(pod.get("containers")))]
    serves = any("name" in each for each in containers)
    volumes = [_kept_volume(each) for each in mappings(pod.get("volumes")) if serves or each.get("image")]
    return {"containers": containers, "volumes": volumes}


def _kept_container(container: Resource, line: CommandLine | None) -> dict[str, Any]:
    if line is None or _started(line, _image(container)) is None:
        # with a command that starts nothing known, because the image alone may name an engine
        return {"image": container.get("image")} | ({"command": [""]} if _of_image(_image(container)) else {})
    words = {"command": list(line.command), "args": list(line.args)}
    if line.characters > LONGEST_LINE:
        words = {"args": [" " * LONGEST_LINE]}  # a line that is not read either
    mounts = [
        {name: each[name] for name in ("name", "mountPath", "subPath") if name in each}
        for each in islice(mappings(container.get("volumeMounts")), _MOST_MOUNTS)
    ]
    own = {"name": container.get("name", "")}
    own |= {name: container[name] for name in ("image", "workingDir") if name in container}
    env = [{"name": name, "value": value} for name, value in line.variables]
    return own | {name: value for name, value in (words | {"env": env, "volumeMounts": mounts}).items() if value}


def _kept_volume(volume: Resource) -> dict[str, Any]:
    """Return a volume with its image, or with its kind alone."""
    reference = mapping(volume.get("image")).get("reference")
    own = {"name": volume.get("name")}
    return own | ({"image": {"reference": reference}} if reference else {_kind_of(volume): {}})


def _lines(pod: Resource) -> Iterator[tuple[Resource, CommandLine]]:
    """Yield the containers that are read, with their command lines."""
    left = _MOST_CHARACTERS
    for container in islice(mappings(pod.get("containers")), _MOST_CONTAINERS):
        line = command_line(container)
        left -= min(line.characters, LONGEST_LINE)
        if left < 0:
            return
        yield container, line


def _served(pod: Resource, container: Resource, line: CommandLine) -> ServedModel | None:
    started = _started(line, _image(container))
    if started is None:
        return None
    engine, words, command = started
    options = read_options(engine, words, command.variables)
    return ServedModel(
        engine=engine.name,
        runtime=engine.runtime,
        container=str(container.get("name", "")),
        place=_place(pod, container, engine, options) if line.characters <= LONGEST_LINE else _too_long(container),
        tensor_parallel=_count(options, "tensor_parallel"),
        most_sequences=_count(options, "most_sequences"),
        longest=_count(options, "longest"),
        batched_tokens=_count(options, "batched_tokens"),
        dtype=options.values.get("dtype", ""),
        quantisation=options.values.get("quantisation", ""),
        cache_dtype=options.values.get("cache_dtype", ""),
        cards=_cards(engine, options),
        is_divided=any(options.dividing.get(name, "1") != "1" for name in _DEGREES),
        is_spread="nodes" in options.dividing,
        is_part=options.dividing.get("transfer", "null") != "null",
        used=options.used,
        ignored=options.ignored,
        problem=_degree_problem(container, options),
    )


@lru_cache(maxsize=_REMEMBERED)
def _started(line: CommandLine, image: str) -> tuple[Engine, Sequence[str], Command] | None:
    """Return the engine that a container starts, the words after its program, and the command."""
    found = commands(line)
    for command in found:
        for engine in ENGINES:
            words = _after_program(engine, command.words)
            if words is not None:
                return engine, words, command
    own = None if line.command else _of_image(image)
    if own is None:
        return None
    words = tuple(word for command in found for word in command.words)
    return own, words, Command(words=words, variables=dict(line.variables))


def _image(container: Resource) -> str:
    return str(container.get("image") or "")


def _after_program(engine: Engine, words: Sequence[str]) -> Sequence[str] | None:
    """Return the words after the engine's program; None where the command starts another one."""
    if not words:
        return None
    program = posixpath.basename(words[0])
    if _PYTHON.fullmatch(program):
        module = next((n for n in range(1, len(words) - 1) if words[n] == "-m"), None)
        if module is None or words[module + 1] not in engine.modules:
            return None
        rest = words[module + 2 :]
        return rest[1:] if rest[:1] == (engine.subcommand,) else rest
    if program not in engine.programs or (program == "server" and not words[0].startswith(("/", "./"))):
        return None
    if engine.subcommand is None:
        return words[1:]
    return words[2:] if words[1:2] == (engine.subcommand,) else None


def _of_image(image: str) -> Engine | None:
    """Return the engine that an image of this name starts by itself."""
    repository = image.partition("@")[0].lower()
    return next((engine for engine in ENGINES if any(part in repository for part in engine.images)), None)


def _count(options: Options, name: str) -> int | None:
    text = options.values.get(name, "")
    return int(text) if _COUNT.fullmatch(text) else None


def _cards(engine: Engine, options: Options) -> int | None:
    """Return the product of the degrees. Where attention is split by data, the degree of tensors holds that of data."""
    if engine.runtime is None and "tensor_parallel" not in options.values:
        return None
    counted = _DEGREES[:1] if "attention" in options.dividing else _DEGREES
    written = [options.values.get("tensor_parallel", "1"), *(options.dividing.get(name, "1") for name in counted)]
    return math.prod(map(int, written)) if all(map(_COUNT.fullmatch, written)) else None


def _degree_problem(container: Resource, options: Options) -> str:
    text = options.values.get("tensor_parallel", "")
    if not text or _COUNT.fullmatch(text):
        return ""
    name = str(container.get("name", ""))
    return (
        f"container {name!r} takes the number of cards that share the model from {text[:_SHOWN]!r}, which the pod does"
        " not state as a whole number: write the number into the command"
    )


def _place(pod: Resource, container: Resource, engine: Engine, options: Options) -> ModelPlace:
    hub, model = options.values.get("hub", ""), options.values.get("model", "")
    named = hub or model
    if not named:
        return _unknown(f"names no model to {engine.name}", container)
    if UNKNOWN.search(named) or UNKNOWN.search(options.values.get("revision", "")):
        return _unknown(f"takes the model from {named[:_SHOWN]!r}, whose value the pod does not state", container)
    if named.startswith(("/", "./", "../")) and not hub:
        return _mounted(pod, container, posixpath.normpath(posixpath.join("/", _working_folder(container), named)))
    if named.startswith(_BUCKETS):
        return _bucket(named, container)
    return _on_hub(named, options, container)


def _working_folder(container: Resource) -> str:
    return str(container.get("workingDir") or "/")


def _bucket(named: str, container: Resource) -> ModelPlace:
    if named.startswith(("s3://", "hf://")):
        return ModelPlace(source="uri", uri=named)
    return _unknown(f"takes the model from {named[:_SHOWN]!r}, a store that is not read", container)


def _on_hub(named: str, options: Options, container: Resource) -> ModelPlace:
    name, _, tag = named.partition(":")
    revision = options.values.get("revision", "")
    if not _HUB_NAME.fullmatch(named) or "/" not in name or (revision and not _REVISION.fullmatch(revision)):
        return _unknown(
            f"takes the model from {named[:_SHOWN]!r}, which is neither a path nor ORGANISATION/NAME", container
        )
    uri = f"hf://{name}" + (f"@{revision}" if revision else "")
    return ModelPlace(source="uri", uri=uri, path=options.values.get("file", "") or tag)


def _mounted(pod: Resource, container: Resource, path: str) -> ModelPlace:
    """Return the image that holds ``path``: that of a volume mounted around it, else the container's own."""
    mount = max(_mounts(container, path), key=lambda found: len(found[0]), default=None)
    if mount is None:
        return ModelPlace(source="image", image=_image(container), path=path)
    folder, name, below = mount
    volume = next((each for each in mappings(pod.get("volumes")) if each.get("name") == name), {})
    reference = mapping(volume.get("image")).get("reference")
    inside = posixpath.normpath(posixpath.join("/", below, posixpath.relpath(path, folder)))
    if reference:
        return ModelPlace(source="image", image=str(reference), path=inside)
    kind = _kind_of(volume)
    return _unknown(f"takes the model from {path[:_SHOWN]!r} on a volume of kind {kind}, which is not read", container)


def _kind_of(volume: Resource) -> str:
    return next((key for key in volume if key != "name"), "unknown")


def _mounts(container: Resource, path: str) -> Iterator[tuple[str, str, str]]:
    """Yield the mounts around ``path``: folder, the volume's name, the folder inside the volume."""
    for mount in islice(mappings(container.get("volumeMounts")), _MOST_MOUNTS):
        folder = posixpath.normpath(str(mount.get("mountPath", "")) or "/")
        if path == folder or path.startswith(folder.rstrip("/") + "/"):
            yield folder, str(mount.get("name", "")), str(mount.get("subPath", ""))


def _too_long(container: Resource) -> ModelPlace:
    return _unknown(f"has a command line of more than {LONGEST_LINE} characters, which is not read", container)


def _unknown(problem: str, container: Resource) -> ModelPlace:
    name = str(container.get("name", ""))
    return ModelPlace(
        source="unknown",
        problem=f"container {name!r} {problem}: name the model in the annotation joulecast.dev/model, or in the"
        " spec.model of an InferenceEnergyEstimate",
    )
