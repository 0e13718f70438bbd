"""Names of modules as quantised configurations write them: paths, globs and regular expressions.

Configurations are not trusted, and a regular expression can take forever. Only a part of the language is taken, whose
time is bounded: literals, ``.``, ``.*``, digits, and alternatives in parentheses that are not repeated.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cache

from joulecast.errors import UnsupportedOperatorError
from joulecast.printable import bounded

_REGEX = "re:"
_LONGEST = 256  # of a published one: 120 characters
_MOST_STARS = 4  # each multiplies the time by the length of a path, at most 100 characters
_TAKEN = re.compile(r"(?:[A-Za-z0-9_\-/^$|()]|\\[.d_\-]|\\d\+|\[0-9\]\+?|\.\*|\.\+|\.)*")


@dataclass(frozen=True, slots=True, kw_only=True)
class Pattern:
    """``text``: as in the configuration."""

    text: str

    def matches(self, path: str) -> bool:
        """Decide whether the module at ``path``, or one around it, is meant."""
        return _compiled(self.text).search(path) is not None


def pattern(text: str) -> Pattern:
    """Return the pattern that ``text`` writes.

    ``re:`` begins a regular expression, which matches from the start of a path; a ``*`` stands for any characters; a
    plain name means whole parts of a path, wherever they stand. Raises UnsupportedOperatorError
    (UnsupportedQuantisation) for an expression whose time cannot be bounded.
    """
    found = Pattern(text=text)
    _compiled(text)
    return found


@cache
def _compiled(text: str) -> re.Pattern[str]:
    if len(text) > _LONGEST:
        raise _refused(text)
    if text.startswith(_REGEX):
        return _expression(text.removeprefix(_REGEX), text)
    if "*" in text:
        return _expression(".*".join(re.escape(part) for part in re.split(r"\*+", text)) + "$", text)
    return re.compile(rf"(?:^|\.){re.escape(text)}(?:\.|$)")


def _expression(expression: str, text: str) -> re.Pattern[str]:
    stars = expression.count("*") + expression.count("+")
    if stars > _MOST_STARS or not _TAKEN.fullmatch(expression) or re.search(r"\)[*+?{]", expression):
        raise _refused(text)
    try:
        return re.compile(f"^(?:{expression})")
    except re.error:
        raise _refused(text) from None


def _refused(text: str) -> UnsupportedOperatorError:
    return UnsupportedOperatorError(
        f"config.json names quantised modules by {bounded(text, 60)!r}, which is not taken: write paths, or expressions"
        f" of literals, '.' and at most {_MOST_STARS} repetitions",
        reason="UnsupportedQuantisation",
    )
