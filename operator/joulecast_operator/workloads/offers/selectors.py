"""Evaluate a selector of devices, an expression in CEL, as far as it compares texts with literals; pure.

Understood are ``device.driver`` and attributes of a device, compared by ``==``, ``!=`` and ``in [...]`` with literal
texts, combined by ``&&``, ``||``, ``!`` and parentheses. Whatever else stands in an expression is unknown: its value is
None, as is a missing attribute, for which CEL has an error.

Source: kubernetes/staging/src/k8s.io/dynamic-resource-allocation/cel/compile.go.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from typing import Final

LONGEST: Final = 10_240
"""Characters of an expression, as in Kubernetes' CELSelectorExpressionMaxLength."""

DRIVER: Final = "driver"
"""The key of the driver among the attributes of a device; other keys are DOMAIN/NAME."""

_DEEPEST: Final = 32  # parentheses within parentheses
_BEYOND: Final = re.compile(r"\\|\?|//|'''|\"\"\"|\r")
"""What changes how the text around it is read: escapes, conditions, comments, long texts."""

_TEXT: Final = r"""(?:"[^"\n]*"|'[^'\n]*')"""
_NAME: Final = r"[A-Za-z_][A-Za-z0-9_]*"
_OPERAND: Final = (
    rf"device\s*\.\s*(?:driver|attributes\s*\[\s*(?P<domain>{_TEXT})\s*\]\s*"
    rf"(?:\.\s*(?P<name>{_NAME})|\[\s*(?P<quoted>{_TEXT})\s*\]))"
)
_COMPARISON: Final = re.compile(rf"{_OPERAND}\s*(?P<operator>==|!=)\s*(?P<text>{_TEXT})")
_REVERSED: Final = re.compile(rf"(?P<text>{_TEXT})\s*(?P<operator>==|!=)\s*{_OPERAND}")
_MEMBER: Final = re.compile(rf"{_OPERAND}\s+in\s*\[(?P<texts>\s*{_TEXT}\s*(?:,\s*{_TEXT}\s*)*,?\s*)?\]")
_CLOSING: Final = {"(": ")", "[": "]", "{": "}"}

Attributes = Mapping[str, str]


def selects(expression: str, device: Attributes) -> bool | None:
    """Return whether a device fulfils an expression; None if that is not known."""
    if len(expression) > LONGEST or _BEYOND.search(expression):
        return None
    return _value(expression.strip(), device, depth=0)


def _value(expression: str, device: Attributes, depth: int) -> bool | None:
    if depth > _DEEPEST:
        return None
    for operator, decisive in (("||", True), ("&&", False)):
        parts = list(_split(expression, operator))
        if len(parts) > 1:
            return _combined([_value(part, device, depth + 1) for part in parts], decisive=decisive)
    if expression.startswith("!") and not expression.startswith("!="):
        found = _value(expression[1:].strip(), device, depth + 1) if _is_primary(expression[1:].strip()) else None
        return None if found is None else not found
    if _is_enclosed(expression):
        return _value(expression[1:-1].strip(), device, depth + 1)
    return (
        {"true": True, "false": False}[expression] if expression in ("true", "false") else _compared(expression, device)
    )


def _combined(values: list[bool | None], *, decisive: bool) -> bool | None:
    """Return the value of a chain of operands, of which one that is ``decisive`` decides whatever the others are."""
    if decisive in values:
        return decisive
    return None if None in values else not decisive


def _compared(expression: str, device: Attributes) -> bool | None:
    """Return the value of one comparison with literals; None for anything else, and for a missing attribute."""
    found = _COMPARISON.fullmatch(expression) or _REVERSED.fullmatch(expression) or _MEMBER.fullmatch(expression)
    if found is None:
        return None
    held = device.get(_key(found))
    if held is None:
        return None
    given = found.groupdict()
    if "operator" not in given:
        return held in [_unquoted(each) for each in re.findall(_TEXT, given["texts"] or "")]
    return (held == _unquoted(given["text"])) is (given["operator"] == "==")


def _key(found: re.Match[str]) -> str:
    if found["domain"] is None:
        return DRIVER
    return f"{_unquoted(found['domain'])}/{found['name'] or _unquoted(found['quoted'])}"


def _unquoted(text: str) -> str:
    return text[1:-1]


def _split(expression: str, operator: str) -> Iterator[str]:
    """Yield the operands of a chain of ``operator`` outside of texts and brackets; all if brackets do not fit."""
    start = 0
    for place in _outside(expression, lambda place: expression.startswith(operator, place)):
        yield expression[start:place].strip()
        start = place + len(operator)
    yield expression[start:].strip()


def _outside(expression: str, wanted: Callable[[int], bool]) -> list[int]:
    """Return the places outside of texts and brackets where ``wanted`` holds; [] if brackets do not fit."""
    found: list[int] = []
    closing: list[str] = []
    quote = ""
    for place, character in enumerate(expression):
        if quote:
            quote = "" if character == quote else quote
        elif character in "\"'":
            quote = character
        elif character in _CLOSING:
            closing.append(_CLOSING[character])
        elif character in _CLOSING.values():
            if not closing or character != closing.pop():
                return []
        elif not closing and wanted(place):
            found.append(place)
    return [] if quote or closing else found


def _is_enclosed(expression: str) -> bool:
    """Tell whether one pair of parentheses encloses the whole expression."""
    if not (expression.startswith("(") and expression.endswith(")")):
        return False
    return not _outside(expression, lambda place: not expression[place].isspace() and place > 0)


def _is_primary(expression: str) -> bool:
    """Tell whether a negation before the expression is of the whole expression."""
    return expression.startswith("!") or _is_enclosed(expression) or expression in ("true", "false")
