"""Read a ``config.json`` from outside: bounded, every value of its type, and with a record of what was read.

A configuration is untrusted. What is read is checked here, so that the builders of blocks work with plausible numbers.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from joulecast.errors import ModelFormatError
from joulecast.printable import bounded

LARGEST_BYTES = 1 << 20
"""Longest configuration that is read. Published ones are below 100 kB, lists of unquantised modules included."""

LARGEST_COUNT = 1 << 24
"""Largest plausible size: vocabularies reach 262,208 rows (Gemma 3) and 10 million tokens of context (Llama 4)."""

MOST_LAYERS = 1024
"""Most layers of a stack: Llama 3.1 405B has 126. It bounds the work that a configuration can ask for."""

_SHOWN = 60  # characters of a value in a message


def parse(data: bytes) -> Mapping[str, Any]:
    """Return the object that the bytes of a ``config.json`` hold. Raises ModelFormatError where they hold none."""
    if len(data) > LARGEST_BYTES:
        raise ModelFormatError(f"config.json has {len(data):,} bytes; at most {LARGEST_BYTES:,} are read")
    try:
        document = json.loads(data, object_pairs_hook=_object)
    except RecursionError:
        raise ModelFormatError("config.json is nested too deeply for a configuration") from None
    except ValueError as error:  # UnicodeDecodeError and JSONDecodeError among them
        raise ModelFormatError(f"config.json is not JSON: {bounded(str(error), 200)}") from None
    if not isinstance(document, dict):
        raise ModelFormatError(f"config.json holds {_shown(document)} in place of an object")
    return document


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        seen: set[str] = set()
        twice = next(key for key, _ in pairs if key in seen or seen.add(key))  # type: ignore[func-returns-value]
        raise ModelFormatError(f"config.json has the key {_shown(twice)} twice: keep one of them")
    return found


@dataclass(frozen=True, slots=True, kw_only=True)
class Known:
    """What the class of transformers for a model type knows.

    - ``defaults``: value by key, where the configuration says nothing.
    - ``names``: of a key that has two names, the one that the class stores, by the general one (``attribute_map``).
    """

    defaults: Mapping[str, Any] = field(default_factory=dict)
    names: Mapping[str, str] = field(default_factory=dict)


@dataclass(slots=True, kw_only=True)
class Configuration:
    """The keys of one configuration, read by type and with defaults.

    - ``prefix``: where it lies in its document (``text_config.``), for messages.
    - ``taken``: defaults that were used, by key; ``used``: keys of the document that were read.
    """

    values: Mapping[str, Any]
    model_type: str
    known: Known = field(default_factory=Known)
    prefix: str = ""
    taken: dict[str, object] = field(default_factory=dict)
    used: set[str] = field(default_factory=set)

    def has(self, key: str) -> bool:
        """Decide whether the document says anything but null for ``key``."""
        return any(self.values.get(name) is not None for name in self._spellings(key))

    def count(self, key: str, *, least: int = 1, most: int = LARGEST_COUNT, default: int | None = None) -> int:
        """Return the whole number under ``key``. Raises ModelFormatError where it is none or out of bounds."""
        value = self._value(key, default)
        if type(value) is int and least <= value <= most:
            return value
        raise self._refused(key, value, f"a whole number from {least:,} to {most:,}")

    def layers(self, key: str = "num_hidden_layers") -> int:
        """Return the number of layers of a stack."""
        return self.count(key, most=MOST_LAYERS)

    def optional_count(self, key: str, *, least: int = 1, default: int | None = None) -> int | None:
        """Return the whole number under ``key``, or None where it is null or left out without a default."""
        return self.count(key, least=least) if self.value(key, default) is not None else None

    def flag(self, key: str, *, default: bool = False) -> bool:
        """Return the truth value under ``key``; null counts as false."""
        value = self._value(key, default)
        if value is None or type(value) is bool:
            return bool(value)
        raise self._refused(key, value, "true or false")

    def number(self, key: str, *, low: float, high: float, default: float | None = None) -> float:
        """Return the number under ``key``, between ``low`` and ``high``."""
        value = self._value(key, default)
        if type(value) in (int, float) and low <= value <= high:
            return float(value)
        raise self._refused(key, value, f"a number from {low:g} to {high:g}")

    def text(self, key: str, *, default: str | None = None) -> str:
        """Return the text under ``key``."""
        value = self._value(key, default)
        if type(value) is str:
            return value
        raise self._refused(key, value, "text")

    def list_of(self, key: str, kind: type, length: int) -> list[Any] | None:
        """Return the list of ``length`` values of ``kind`` under ``key``, or None where it is null or left out."""
        value = self.value(key, None)
        if value is None:
            return None
        if isinstance(value, list) and len(value) == length and all(type(each) is kind for each in value):
            return value
        raise self._refused(key, value, f"a list of {length} values of type {kind.__name__}")

    def part(self, key: str) -> Mapping[str, Any] | None:
        """Return the object under ``key``, or None where it is null or left out."""
        value = self.value(key, None)
        if value is None or isinstance(value, dict):
            return value
        raise self._refused(key, value, "an object")

    def value(self, key: str, default: object = None) -> Any:
        """Return what stands under ``key``: of the document, of the class's defaults, or ``default``.

        What the document leaves out is recorded with the value taken, except for None.
        """
        for name in self._spellings(key):
            if name in self.values:
                self.used.add(name)
                return self.values[name]
        known = (self.known.defaults.get(name) for name in self._spellings(key))
        found = next((value for value in known if value is not None), default)
        if found is not None:
            self.taken[self.prefix + key] = found
        return found

    def _value(self, key: str, default: object) -> Any:
        value = self.value(key, default)
        if value is None and default is None and not any(name in self.values for name in self._spellings(key)):
            raise ModelFormatError(
                f"config.json of {self.model_type} has no {self.prefix}{key}, and {self.model_type} has no default for"
                " it: add it"
            )
        return default if value is None else value

    def _spellings(self, key: str) -> tuple[str, ...]:
        stored = self.known.names.get(key)
        return (key,) if stored is None else (stored, key)

    def _refused(self, key: str, value: object, wanted: str) -> ModelFormatError:
        return ModelFormatError(
            f"{self.prefix}{key} of config.json is {_shown(value)}, which {self.model_type} cannot have: give {wanted}"
        )

    def refused(self, key: str, why: str) -> ModelFormatError:
        """Return the error for a value of ``key`` that contradicts the rest of the configuration."""
        return ModelFormatError(
            f"{self.prefix}{key} of config.json is {_shown(self.value(key))}, but {why}: correct one of them"
        )


Rule = Callable[[Configuration], Any]
"""A value that follows from a configuration."""


def _shown(value: object) -> str:
    if isinstance(value, dict | list):
        return f"{'an object' if isinstance(value, dict) else 'a list'} of {len(value)} entries"
    if type(value) is int and abs(value) > 1 << 64:
        return "a whole number too large for any use"
    return bounded(json.dumps(value, ensure_ascii=False, default=str), _SHOWN)
