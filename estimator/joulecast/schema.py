"""Check documents from outside against the annotations of the dataclass that they become.

Types, bounds and choices are declared once.

    @dataclass(frozen=True, slots=True, kw_only=True)
    class Law:
        byte_joules: Annotated[float, Within(0, 1e-6, "J")]

``read(Law, document)`` gives a ``Law``, or raises DocumentError with every fault: "byte_joules is -1: give a finite
number from 0 to 1e-06 J". Types are those of JSON and are not converted: a number in quotes and a ``true`` are not
numbers, and infinity and NaN are refused. It needs the standard library alone, because a measuring machine may have
nothing else.

Annotations understood: ``bool``, ``int``, ``float``, ``str``, ``Any``, ``Literal``, ``X | None``, ``tuple[X, ...]``,
``tuple[X, Y]``, ``Mapping[str, X]``, dataclasses, and ``Annotated`` with ``Within``, ``Text`` or ``Keys``.
"""

from __future__ import annotations

import json
import math
import re
import sys
from collections.abc import Callable, Iterable, Mapping
from dataclasses import MISSING, dataclass, fields, is_dataclass
from difflib import get_close_matches
from functools import cache
from types import NoneType, UnionType
from typing import Annotated, Any, Literal, TypeVar, Union, get_args, get_origin, get_type_hints

from joulecast.errors import DocumentError

T = TypeVar("T")

_SHOWN_CHARACTERS = 40  # of a value in a message
_LISTED = 3  # faults in a message; the rest are counted


@dataclass(frozen=True, slots=True)
class Within:
    """Bounds of a number.

    - ``low``, ``high``: the smallest and largest number that is accepted.
    - ``above``: a bound that the number must be greater than.
    """

    low: float = -math.inf
    high: float = math.inf
    unit: str = ""
    above: float = -math.inf

    def holds(self, value: float) -> bool:
        return self.low <= value <= self.high and value > self.above

    def __str__(self) -> str:
        limits = [
            f" above {self.above:g}" if math.isfinite(self.above) else "",
            f" from {self.low:g}" if math.isfinite(self.low) else "",
            f" to {self.high:g}" if math.isfinite(self.high) else "",
            f" {self.unit}" if self.unit else "",
        ]
        return "".join(limits)


@dataclass(frozen=True, slots=True)
class Text:
    """Bounds of a text in characters, and a regular expression that it has to match as a whole."""

    longest: int
    shortest: int = 1
    pattern: str = ""

    def holds(self, value: str) -> bool:
        within = self.shortest <= len(value) <= self.longest
        return within and (not self.pattern or re.fullmatch(self.pattern, value) is not None)

    def __str__(self) -> str:
        matching = f" that match {self.pattern}" if self.pattern else ""
        return f" of {self.shortest} to {self.longest} characters{matching}"


@dataclass(frozen=True, slots=True)
class Keys:
    """Which keys a mapping may have, any where none are named, and how many entries it has at ``least``."""

    names: tuple[str, ...] = ()
    least: int = 0


@dataclass(frozen=True, slots=True)
class Fault:
    """One fault.

    - ``path``: where, as ``.law.byte_joules`` or ``[0].origin``.
    - ``says``: what is wrong and what to give.
    """

    path: str
    says: str

    def __str__(self) -> str:
        return f"{self.path.removeprefix('.') or 'it'} {self.says}"


@dataclass(frozen=True, slots=True)
class Faults:
    """All faults of a document, at least one."""

    every: tuple[Fault, ...]

    @property
    def field(self) -> str:
        """The field of the document in which the first fault lies, at any depth."""
        return re.split(r"[.\[]", self.every[0].path.removeprefix("."))[0]

    def __str__(self) -> str:
        return listed(str(fault) for fault in self.every)


@dataclass(frozen=True, slots=True)
class _Shape:
    """A value that can be read.

    - ``wanted``: what a value has to be, in words.
    - ``read``: returns the value as Python has it, or adds faults.
    """

    wanted: str
    read: Callable[[Any, list[Fault]], Any]


def parse(text: str) -> Any:
    """Parse the JSON document in ``text``. Raises DocumentError where it is not JSON."""
    try:
        return json.loads(text)
    except RecursionError:
        raise DocumentError("it is nested too deeply for a document") from None
    except ValueError as error:
        raise DocumentError(f"it is not JSON: {error}") from None


def read(kind: type[T], document: object, *, open_: bool = False) -> T:
    """Read ``document`` as a ``kind``. Raises DocumentError with every fault.

    ``open_``: fields that ``kind`` does not have are left out instead of refused, for documents to which a later
    version may add some.
    """
    found = read_or_faults(kind, document, open_=open_)
    if isinstance(found, Faults):
        raise DocumentError(str(found))
    return found


def read_or_faults(kind: type[T], document: object, *, open_: bool = False) -> T | Faults:
    """Read like ``read``, but return the faults instead of raising, for callers that go on with other documents."""
    faults: list[Fault] = []
    found: T = _record(kind, open_).read(document, faults)  # type: ignore[arg-type]  # classes can be hashed
    return Faults(tuple(faults)) if faults else found


def listed(sentences: Iterable[str]) -> str:
    """Join the first few sentences and say how many more there are."""
    told = list(sentences)
    more = f"; and {len(told) - _LISTED} more" if len(told) > _LISTED else ""
    return "; ".join(told[:_LISTED]) + more


@cache
def _record(kind: type[Any], open_: bool) -> _Shape:
    """Return an object shape with the fields of the dataclass ``kind``; those with a default may be left out."""
    hints = get_type_hints(kind, include_extras=True)
    shapes = {own.name: _shape(hints[own.name], open_) for own in fields(kind)}
    members = [
        (own.name, shapes[own.name].read, shapes[own.name].wanted, MISSING is own.default is own.default_factory)
        for own in fields(kind)
    ]

    def read(value: Any, faults: list[Fault]) -> Any:
        if not isinstance(value, Mapping):
            return _refused(value, "an object", faults)
        before, found = len(faults), {}
        for name, own, wanted, required in members:
            if name in value:
                known_faults = len(faults)
                found[name] = own(value[name], faults)
                if len(faults) > known_faults:
                    _deepen(f".{name}", faults, known_faults)
            elif required:
                faults.append(Fault(f".{name}", f"is missing: give {wanted}"))
        if not open_:
            faults += [_unknown(str(name), shapes) for name in value if name not in shapes]
        return kind(**found) if len(faults) == before else None

    return _Shape("an object", read)


def _shape(hint: Any, open_: bool) -> _Shape:
    origin, arguments = get_origin(hint), get_args(hint)
    if origin is Annotated:
        return _bounded(arguments[0], arguments[1], open_)
    if origin in (Union, UnionType):
        return _optional(*arguments, open_=open_)
    if origin is Literal:
        return _choice(arguments)
    if origin is tuple:
        return _sequence(arguments, open_)
    if origin is not None and issubclass(origin, Mapping):
        return _mapping(_shape(arguments[1], open_), Keys())
    if is_dataclass(hint):
        return _record(hint, open_)  # type: ignore[arg-type]
    return _plain(hint)


def _bounded(hint: Any, bound: Any, open_: bool) -> _Shape:
    if isinstance(bound, Keys):
        return _mapping(_shape(get_args(hint)[1], open_), bound)
    return _text(bound) if isinstance(bound, Text) else _number(hint, bound)


def _plain(hint: Any) -> _Shape:
    if hint is bool:
        return _exactly(bool, "true or false")
    if hint is str:
        return _exactly(str, "text")
    if hint in (int, float):
        return _number(hint, Within())
    if hint is Any:
        return _Shape("a value", lambda value, _: value)
    raise TypeError(f"no schema for the annotation {hint!r}")


def _exactly(kind: type[Any], wanted: str) -> _Shape:
    return _Shape(wanted, lambda value, faults: value if type(value) is kind else _refused(value, wanted, faults))


def _number(kind: Any, bound: Within) -> _Shape:
    wanted = f"a {'whole' if kind is int else 'finite'} number{bound}"
    allowed = (int,) if kind is int else (int, float)
    most, holds = sys.float_info.max, bound.holds

    def read(value: Any, faults: list[Fault]) -> Any:
        if type(value) in allowed and -most <= value <= most and holds(value):
            return value
        return _refused(value, wanted, faults)

    return _Shape(wanted, read)


def _text(bound: Text) -> _Shape:
    wanted = f"text{bound}"

    def read(value: Any, faults: list[Fault]) -> Any:
        return value if type(value) is str and bound.holds(value) else _refused(value, wanted, faults)

    return _Shape(wanted, read)


def _choice(choices: tuple[Any, ...]) -> _Shape:
    wanted = str(choices[0]) if len(choices) == 1 else f"one of {', '.join(map(str, choices))}"

    def read(value: Any, faults: list[Fault]) -> Any:
        known = any(value == choice and type(value) is type(choice) for choice in choices)
        return value if known else _refused(value, wanted, faults)

    return _Shape(wanted, read)


def _optional(*hints: Any, open_: bool) -> _Shape:
    (inner,) = (_shape(hint, open_) for hint in hints if hint is not NoneType)
    wanted, own = f"{inner.wanted}, or null", inner.read

    def read(value: Any, faults: list[Fault]) -> Any:
        return None if value is None else own(value, faults)

    return _Shape(wanted, read)


def _sequence(hints: tuple[Any, ...], open_: bool) -> _Shape:
    """Return the shape of a list of any length, or of as many entries as there are ``hints``."""
    size = None if hints[-1] is Ellipsis else len(hints)
    shapes = [_shape(hint, open_) for hint in hints if hint is not Ellipsis]
    wanted = f"a list, each {shapes[0].wanted}" if size is None else f"a list of {size}, each {shapes[0].wanted}"

    def read(value: Any, faults: list[Fault]) -> Any:
        if not isinstance(value, list | tuple) or (size is not None and len(value) != size):
            return _refused(value, wanted, faults)
        own = shapes * len(value) if size is None else shapes
        pairs = enumerate(zip(own, value, strict=True))
        return tuple(_inside(f"[{place}]", shape, entry, faults) for place, (shape, entry) in pairs)

    return _Shape(wanted, read)


def _mapping(inner: _Shape, keys: Keys) -> _Shape:
    named = f" by {', '.join(keys.names)}" if keys.names else ""
    wanted = f"an object{f' of {keys.least} or more entries' if keys.least else ''}{named}"

    def read(value: Any, faults: list[Fault]) -> Any:
        if not isinstance(value, Mapping) or len(value) < keys.least:
            return _refused(value, wanted, faults)
        if keys.names:
            faults += [_unknown(str(name), keys.names) for name in value if name not in keys.names]
        return {name: _inside(f".{name}", inner, entry, faults) for name, entry in value.items()}

    return _Shape(wanted, read)


def _inside(step: str, shape: _Shape, value: Any, faults: list[Fault]) -> Any:
    """Read ``value`` as ``shape``; faults that are found lie one ``step`` deeper."""
    before = len(faults)
    found = shape.read(value, faults)
    _deepen(step, faults, before)
    return found


def _deepen(step: str, faults: list[Fault], start: int) -> None:
    """Put the faults from ``start`` on one ``step`` deeper."""
    faults[start:] = [Fault(step + fault.path, fault.says) for fault in faults[start:]]


def _refused(value: object, wanted: str, faults: list[Fault]) -> None:
    faults.append(Fault("", f"is {_shown(value)}: give {wanted}"))


def _unknown(name: str, known: Iterable[str]) -> Fault:
    near = get_close_matches(name, list(known), 1)
    hint = f"is {near[0]} meant? else take it out" if near else "take it out"
    return Fault(f".{name[:_SHOWN_CHARACTERS]}", f"is unknown: {hint}")


def _shown(value: object) -> str:
    if isinstance(value, Mapping):
        return f"an object of {len(value)} entries"
    if isinstance(value, list | tuple):
        return f"a list of {len(value)}"
    if isinstance(value, int) and not isinstance(value, bool) and abs(value) > sys.float_info.max:
        return "a whole number too large for any use"
    text = json.dumps(value, ensure_ascii=False, default=repr)
    return text if len(text) <= _SHOWN_CHARACTERS else f"{text[:_SHOWN_CHARACTERS]}…"
