"""Test that of an expression in CEL what compares texts with literals is evaluated, and nothing else is guessed."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from joulecast_operator.workloads.offers.selectors import LONGEST, selects

H100 = {"driver": "gpu.nvidia.com", "gpu.nvidia.com/productName": "H100", "gpu.nvidia.com/type": "gpu"}
PRODUCT = "device.attributes['gpu.nvidia.com'].productName"
YES, NO = f"{PRODUCT} == 'H100'", f"{PRODUCT} == 'L4'"
UNKNOWN = f"{PRODUCT}.startsWith('H')"


@pytest.mark.parametrize(
    ("expression", "value"),
    [
        ("device.driver == 'gpu.nvidia.com'", True),
        ('device.driver=="gpu.nvidia.com"', True),
        ("device.driver != 'gpu.nvidia.com'", False),
        ("'gpu.nvidia.com' == device.driver", True),
        (YES, True),
        (NO, False),
        (f"{PRODUCT} != 'L4'", True),
        ('device.attributes["gpu.nvidia.com"]["productName"] == "H100"', True),
        (f"{PRODUCT} in ['L4', 'H100']", True),
        (f"{PRODUCT} in ['L4', \"A100\",]", False),
        (f"{PRODUCT} in []", False),
        (f"  ( {YES} )  ", True),
        (f"{YES} && {NO}", False),
        (f"{YES} || {NO}", True),
        (f"{NO} || {NO} && {YES}", False),
        (f"({NO} || {YES}) && {YES}", True),
        (f"!({NO})", True),
        (f"!!({NO})", False),
        ("true", True),
        (f"{PRODUCT} == 'H100 || true'", False),
        (f"{PRODUCT} in ['a && b', 'H100']", True),
        # one operand may decide although another is not known, as in CEL
        (f"{UNKNOWN} && {NO}", False),
        (f"{NO} && {UNKNOWN}", False),
        (f"{UNKNOWN} || {YES}", True),
        (f"{UNKNOWN} && {YES}", None),
        (f"{UNKNOWN} || {NO}", None),
        (f"!({UNKNOWN})", None),
        # a missing attribute is an error in CEL
        ("device.attributes['gpu.nvidia.com'].profile == '1g.10gb'", None),
        ("device.attributes['other.example'].productName == 'H100'", None),
        ("device.driver == 'other' && device.attributes['other'].model == 'x'", False),
        # what is not understood
        (UNKNOWN, None),
        (f"!{YES}", None),
        (f"{NO} ? true : {YES}", None),
        (f"{PRODUCT} == 'H' + '100'", None),
        (f"{PRODUCT} == r'H100'", None),
        (f"{PRODUCT} == 'H\\x3100'", None),
        (f"{PRODUCT} == '''H100'''", None),
        (f"{YES} // && {NO}", None),
        (f"{PRODUCT} == {PRODUCT}", None),
        ("device.capacity['gpu.nvidia.com'].memory.compareTo(quantity('40Gi')) >= 0", None),
        ("semver('1.0.0') == device.attributes['gpu.nvidia.com'].driverVersion", None),
        ("['H100'].exists(p, p == device.attributes['gpu.nvidia.com'].productName)", None),
        (f"({YES}", None),
        (f"{YES}) || true", None),
        ("", None),
        ("(" * 40 + YES + ")" * 40, None),
        (YES + " " * LONGEST, None),
    ],
)
def test_what_is_understood_and_what_is_not(expression: str, value: bool | None) -> None:
    assert selects(expression, H100) is value


ATOMS = st.sampled_from([(YES, True), (NO, False), (UNKNOWN, None), ("true", True), (f"'L4' != {PRODUCT}", True)])


def _and(values: list[bool | None]) -> bool | None:
    return False if False in values else None if None in values else True


EXPRESSIONS = st.recursive(
    ATOMS,
    lambda inner: st.one_of(
        st.lists(inner, min_size=2, max_size=3).map(
            lambda parts: (" && ".join(f"({text})" for text, _ in parts), _and([value for _, value in parts]))
        ),
        st.lists(inner, min_size=2, max_size=3).map(
            lambda parts: (
                "||".join(f"({text})" for text, _ in parts),
                None if (found := _and([None if value is None else not value for _, value in parts])) is None
                else not found,
            )
        ),
        inner.map(lambda part: (f"!({part[0]})", None if part[1] is None else not part[1])),
    ),
    max_leaves=8,
)  # fmt: skip


@given(EXPRESSIONS)
def test_combinations_have_the_value_of_their_parts(built: tuple[str, bool | None]) -> None:
    expression, value = built
    assert selects(expression, H100) is value


@given(st.text(alphabet="()[]{}!&|='\" .adevic", max_size=60))
def test_whatever_is_written_is_no_error(expression: str) -> None:
    assert selects(expression, H100) in (True, False, None)


EVALUATED = json.loads((Path(__file__).parent / "evaluated.json").read_text())
"""Expressions with the value for each device that Kubernetes' own evaluator gives; null for an error."""


@pytest.mark.parametrize(("expression", "values"), EVALUATED["values"])
def test_what_is_evaluated_has_the_value_that_kubernetes_gives_it(expression: str, values: list[bool | None]) -> None:
    for device, value in zip(EVALUATED["devices"], values, strict=True):
        assert selects(expression, device) in (value, None)


def test_most_of_these_expressions_are_understood() -> None:
    understood = [
        expression
        for expression, values in EVALUATED["values"]
        if [selects(expression, device) for device in EVALUATED["devices"]] == values
    ]
    assert len(understood) > len(EVALUATED["values"]) / 2
