"""The commands that a container starts, as words: Kubernetes' ``command`` and ``args``, shells looked through.

Nothing is executed. A variable is replaced only where the container states its value; any other stays in the word, so
that whoever needs the word can see that it is unknown. Whoever may write a pod may write a megabyte of words, so a long
command line is not read at all, and a long value replaces no variable: values that double would else fill the memory.
"""

from __future__ import annotations

import posixpath
import re
import shlex
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import dropwhile, islice
from typing import Final

from joulecast_operator.api.objects import Resource, mappings

_SHELLS: Final = frozenset({"sh", "bash", "ash", "dash", "zsh", "ksh"})
LONGEST_LINE: Final = 16_384
"""Characters of a command line or script that is read; a longer one is a program."""
_LONGEST_VALUE: Final = 1_024  # characters of a variable that is replaced; names of models and paths are shorter
_MOST_VARIABLES: Final = 1_000  # of a container that are read, the first ones
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


@dataclass(frozen=True, slots=True, kw_only=True)
class CommandLine:
    """What a container states about the process that it starts.

    - ``command``, ``args``: as in the container; words alone, whatever else is in the lists.
    - ``variables``: environment variables whose value stands in the container, without those of long values.
    """

    command: tuple[str, ...]
    args: tuple[str, ...]
    variables: tuple[tuple[str, str], ...]

    @property
    def characters(self) -> int:
        """Return its length, each word with the space after it."""
        return sum(len(word) + 1 for word in (*self.command, *self.args))


def command_line(container: Resource) -> CommandLine:
    """Return the command line of a container."""
    return CommandLine(
        command=tuple(_words(container.get("command"))),
        args=tuple(_words(container.get("args"))),
        variables=tuple(_literals(container)),
    )


def commands(line: CommandLine) -> tuple[Command, ...]:
    """Return the commands that ``line`` starts, in order; its ``args`` alone where it names no command."""
    if line.characters > LONGEST_LINE:
        return ()
    variables = dict(line.variables)
    words = [_expanded(word, variables) for word in (*line.command, *line.args)]
    return tuple(_looked_through(words, variables, depth=0))


def _literals(container: Resource) -> Iterator[tuple[str, str]]:
    for each in islice(mappings(container.get("env")), _MOST_VARIABLES):
        name, value = each.get("name"), each.get("value")
        if isinstance(name, str) and isinstance(value, str) and _is_short(name) and _is_short(value):
            yield name, value


def _is_short(value: str) -> bool:
    return len(value) <= _LONGEST_VALUE


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
    if len(script) > LONGEST_LINE:
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
    """Return the words after assignments, whose values are remembered; a long one makes its variable unknown."""
    words = words[1:] if words[:1] == ["export"] else words
    left = list(dropwhile(_ASSIGNMENT.match, words))
    for word in words[: len(words) - len(left)]:
        name, _, value = word.partition("=")
        known.pop(name, None)
        if _is_short(value):
            known[name] = value
    return left


def _without_prefixes(words: Sequence[str]) -> list[str]:
    return list(dropwhile(_is_prefix, words))


def _is_prefix(word: str) -> bool:
    return posixpath.basename(word) in _PREFIXES or _ASSIGNMENT.match(word) is not None
