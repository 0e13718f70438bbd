"""The commands that a container starts, as words: Kubernetes' ``command`` and ``args``, shells looked through.

Nothing is executed. A variable is replaced only where the container states its value; any other stays in the word, so
that whoever needs the word can see that it is unknown.
"""

from __future__ import annotations

import posixpath
import re
import shlex
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

from joulecast_operator.api.objects import Resource, mappings

_SHELLS: Final = frozenset({"sh", "bash", "ash", "dash", "zsh", "ksh"})
_LONGEST_SCRIPT: Final = 16_384  # characters; a longer one is a program, not a command line
_MOST_WORDS: Final = 2_000
_MOST_COMMANDS: Final = 200
_NESTED_SHELLS: Final = 3
_PREFIXES: Final = frozenset({"exec", "env", "nohup", "time", "tini", "dumb-init", "--", "sudo", "command", "nice"})
"""Programs that run the rest of their words."""
_OPERATORS: Final = ";&|"
"""Characters that end a command of a shell."""
_KEYWORDS: Final = frozenset({"(", ")", "{", "}", "if", "then", "do", "else", "fi", "done", "while"})
_ASSIGNMENT: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_]*=")
_OF_KUBERNETES: Final = re.compile(r"\$\$|\$\(([A-Za-z_][A-Za-z0-9_.-]*)\)")
_OF_SHELL: Final = re.compile(r"\$(?:([A-Za-z_][A-Za-z0-9_]*)|\{([A-Za-z_][A-Za-z0-9_]*)\})")
UNKNOWN: Final = re.compile(r"\$[({A-Za-z_]|`")
"""What is left in a word of a variable or command whose value is not stated."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Command:
    """One command: its program and words, and the variables with literal values that it sees."""

    words: tuple[str, ...]
    variables: Mapping[str, str] = field(default_factory=dict)

    @property
    def program(self) -> str:
        """The program's name without its folder."""
        return posixpath.basename(self.words[0]) if self.words else ""


def commands(container: Resource) -> tuple[Command, ...]:
    """Return the commands that the container starts, in order; its ``args`` alone where it names no command."""
    variables = literal_variables(container)
    words = [_expanded(word, variables) for name in ("command", "args") for word in _words(container.get(name))]
    return tuple(_looked_through(words[:_MOST_WORDS], variables, depth=0))


def literal_variables(container: Resource) -> dict[str, str]:
    """Return the environment variables whose value stands in the container."""
    stated = ((each.get("name"), each.get("value")) for each in mappings(container.get("env")))
    return {str(name): str(value) for name, value in stated if name and value is not None}


def _words(value: object) -> Iterator[str]:
    if isinstance(value, list):
        yield from (word for word in value if isinstance(word, str))


def _expanded(word: str, variables: Mapping[str, str]) -> str:
    """Replace ``$(NAME)`` as Kubernetes does: unknown names stay, ``$$`` is a dollar sign."""

    def value(found: re.Match[str]) -> str:
        return "$" if found[0] == "$$" else variables.get(found[1], found[0])

    return _OF_KUBERNETES.sub(value, word)


def _looked_through(words: Sequence[str], variables: Mapping[str, str], depth: int) -> Iterator[Command]:
    """Yield the command that ``words`` are, or those of the script that they give to a shell."""
    words = _without_prefixes(words)
    script = _script(words)
    if script is None:
        yield Command(words=tuple(words), variables=variables)
    elif depth < _NESTED_SHELLS:
        for each in _of_script(script, variables):
            yield from _looked_through(each, variables, depth + 1)


def _script(words: Sequence[str]) -> str | None:
    """Return the text that a shell is given by ``-c``, None where the words are no such call."""
    if not words or posixpath.basename(words[0]) not in _SHELLS:
        return None
    for position, word in enumerate(words[1:], 1):
        if re.fullmatch(r"-[a-z]*c", word) and position + 1 < len(words):
            return words[position + 1]
        if not word.startswith("-"):
            return None
    return None


def _of_script(script: str, variables: Mapping[str, str]) -> Iterator[list[str]]:
    """Yield the simple commands of a shell script, each as words with literal variables replaced."""
    if len(script) > _LONGEST_SCRIPT:
        return
    known = dict(variables)
    for number, line in enumerate(_split(script.replace("\\\n", " "))):
        if number >= _MOST_COMMANDS:
            return
        words = [_OF_SHELL.sub(lambda found: known.get(found[1] or found[2], found[0]), word) for word in line]
        words = _assigned(words, known)
        if words:
            yield words


def _split(script: str) -> Iterator[list[str]]:
    """Yield the words of each simple command; a script whose quotes do not close yields none."""
    lexer = shlex.shlex(script.replace("\n", " ; "), posix=True, punctuation_chars=_OPERATORS)
    lexer.whitespace_split = True
    lexer.commenters = ""
    current: list[str] = []
    try:
        for word in lexer:
            if word in _KEYWORDS or (word and set(word) <= set(_OPERATORS)):
                yield current
                current = []
            else:
                current.append(word)
    except ValueError:
        return
    yield current


def _assigned(words: list[str], known: dict[str, str]) -> list[str]:
    """Return the words after assignments, whose values are remembered."""
    words = words[1:] if words[:1] == ["export"] else words
    while words and _ASSIGNMENT.match(words[0]):
        name, _, value = words[0].partition("=")
        known[name] = value
        words = words[1:]
    return words


def _without_prefixes(words: Sequence[str]) -> list[str]:
    left = list(words)
    while left and (posixpath.basename(left[0]) in _PREFIXES or _ASSIGNMENT.match(left[0])):
        left = left[1:]
    return left
