"""What a document has to be before anything is made of it, and what is said of one that is not."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any, Literal

import pytest

from joulecast.errors import DocumentError
from joulecast.schema import Faults, Keys, Text, Within, parse, read, read_or_faults


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    origin: Literal["measured", "public"]
    seconds: Annotated[float, Within(0, 1, "s")]


@dataclass(frozen=True, slots=True, kw_only=True)
class Whole:
    name: Annotated[str, Text(8, pattern="[a-z]+")]
    rows: Annotated[int, Within(1, 10)]
    joules: Annotated[float, Within(above=0, unit="J")]
    sure: bool
    parts: tuple[Part, ...]
    ends: tuple[float, float]
    shares: Annotated[Mapping[str, Annotated[float, Within(0, 1)]], Keys(("fp32", "bf16"), least=1)]
    anything: Mapping[str, Any]
    clock_mhz: float | None
    note: str = ""


WHOLE: dict[str, Any] = {
    "name": "a",
    "rows": 1,
    "joules": 0.5,
    "sure": True,
    "parts": [{"origin": "public", "seconds": 0}],
    "ends": [1, 2.5],
    "shares": {"fp32": 1},
    "anything": {"x": [1]},
    "clock_mhz": None,
}


def test_a_document_becomes_its_dataclass() -> None:
    assert read(Whole, WHOLE) == Whole(
        name="a",
        rows=1,
        joules=0.5,
        sure=True,
        parts=(Part(origin="public", seconds=0),),
        ends=(1, 2.5),
        shares={"fp32": 1},
        anything={"x": [1]},
        clock_mhz=None,
    )


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"joules": -1}, "joules is -1: give a finite number above 0 J"),
        ({"joules": 0}, "joules is 0: give a finite number above 0 J"),
        ({"joules": math.nan}, "joules is NaN: give a finite number above 0 J"),
        ({"joules": math.inf}, "joules is Infinity: give a finite number above 0 J"),
        ({"joules": 10**400}, "joules is a whole number too large for any use: give a finite number above 0 J"),
        ({"joules": "1"}, 'joules is "1": give a finite number above 0 J'),
        ({"joules": True}, "joules is true: give a finite number above 0 J"),
        ({"rows": 1.0}, "rows is 1.0: give a whole number from 1 to 10"),
        ({"rows": True}, "rows is true: give a whole number from 1 to 10"),
        ({"sure": 1}, "sure is 1: give true or false"),
        ({"name": ""}, 'name is "": give text of 1 to 8 characters that match [a-z]+'),
        ({"name": "A"}, 'name is "A": give text of 1 to 8 characters that match [a-z]+'),
        ({"name": "a\n"}, r'name is "a\n": give text of 1 to 8 characters that match [a-z]+'),
        ({"note": "x" * 99, "rows": 0}, "rows is 0: give a whole number from 1 to 10"),
        ({"parts": {}}, "parts is an object of 0 entries: give a list, each an object"),
        ({"parts": [{"origin": "foo", "seconds": 2}]}, 'parts[0].origin is "foo": give one of measured, public'),
        ({"parts": [{"origin": "public", "seconds": 2}]}, "parts[0].seconds is 2: give a finite number from 0 to 1 s"),
        ({"parts": [{"seconds": 1}]}, "parts[0].origin is missing: give one of measured, public"),
        ({"ends": [1]}, "ends is a list of 1: give a list of 2, each a finite number"),
        ({"shares": {}}, "shares is an object of 0 entries: give an object of 1 or more entries by fp32, bf16"),
        ({"shares": {"fp32": 2}}, "shares.fp32 is 2: give a finite number from 0 to 1"),
        ({"shares": {"fp32": 1, "bf_16": 1}}, "shares.bf_16 is unknown: is bf16 meant? else take it out"),
        ({"clock_mhz": "900"}, 'clock_mhz is "900": give a finite number'),
        ({"jouls": 1}, "jouls is unknown: is joules meant? else take it out"),
        ({"%%": 1}, "%% is unknown: take it out"),
    ],
)
def test_a_fault_says_where_what_and_what_to_give(change: dict[str, Any], said: str) -> None:
    with pytest.raises(DocumentError) as caught:
        read(Whole, WHOLE | change)
    assert str(caught.value).startswith(said)


def test_all_faults_come_at_once_and_many_are_counted() -> None:
    with pytest.raises(DocumentError, match=r"^rows is 0: .*; joules is 0: [^;]*$"):
        read(Whole, WHOLE | {"rows": 0, "joules": 0})
    with pytest.raises(DocumentError, match=r"; and 6 more$"):
        read(Whole, {})


@pytest.mark.parametrize("document", [[], None, 3, "text"])
def test_what_is_no_object_is_refused(document: object) -> None:
    with pytest.raises(DocumentError, match=r"^it is .*: give an object$"):
        read(Whole, document)


def test_fields_of_a_later_version_may_be_left_out() -> None:
    assert read(Whole, WHOLE | {"more": math.nan}, open_=True) == read(Whole, WHOLE)


@pytest.mark.parametrize("text", ["", "{", "[" * 100_000, "1" * 5000])
def test_what_is_no_json_is_refused(text: str) -> None:
    with pytest.raises(DocumentError, match=r"^it is n"):
        parse(text)


def test_an_annotation_without_a_meaning_is_a_mistake_of_ours() -> None:
    @dataclass
    class Odd:
        value: bytes

    Odd.__annotations__["value"] = bytes
    with pytest.raises(TypeError, match="no schema"):
        read(Odd, {})


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"rows": 0, "joules": 0}, "rows"),
        ({"parts": [{"origin": "foo", "seconds": 0}]}, "parts"),
        ({"shares": {"fp32": 2}}, "shares"),
    ],
)
def test_faults_are_counted_by_the_field_of_the_first(change: dict[str, Any], field: str) -> None:
    found = read_or_faults(Whole, WHOLE | change)
    assert isinstance(found, Faults)
    assert found.field == field
    assert isinstance(read_or_faults(Whole, WHOLE), Whole)
