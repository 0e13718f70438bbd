"""Collect what the workload leaves open, with an example in place of each, so that one error asks for all of it."""

from __future__ import annotations

import re
import shlex
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from joulecast.errors import UnresolvedShapeError
from joulecast.workloads import BATCH

if TYPE_CHECKING:
    from collections.abc import Sequence

    from joulecast.graph import Shape

SHAPE, CONTENT = "--input", "--value"

EXAMPLE_PIXELS = 224
EXAMPLE_STEPS = 128
"""Sizes that stand in for open dimensions: those that vision and text models are usually measured at."""

_PIXELS = re.compile(r"h|w|.*(height|width|image|pixel).*", re.IGNORECASE)
_MAX_TOLD = 8
"""Problems that a message describes; the options name all."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Question:
    """One value to ask for: ``option`` ``name``=``example``.

    - ``sound``: False where the example only shows the form.
    """

    problem: str
    option: str
    name: str
    example: str
    form: str

    def text(self, *, sound: bool) -> str:
        right = self.example if sound else self.form
        is_plain = shlex.quote(self.name) == self.name
        return (
            f"{self.option} {self.name}={right}" if is_plain else f"{self.option} {shlex.quote(f'{self.name}={right}')}"
        )


@dataclass(slots=True)
class Asked:
    """The questions in the order in which they came up, one a name."""

    found: dict[str, Question] = field(default_factory=dict)

    def shape(
        self,
        name: str,
        known: Sequence[int | None],
        problem: str,
        declared: Sequence[Any] | None = None,
        batch: Sequence[int] = (),
    ) -> Shape:
        """Fill what is not ``known`` with examples and note it as asked for.

        ``batch``: positions that are the batch size, for which the options use the word.
        """
        rank = len(known)
        symbols = declared or (None,) * rank
        shape = tuple(
            _example(symbol, place, rank) if number is None else number
            for place, (symbol, number) in enumerate(zip(symbols, known, strict=True))
        )
        form = ["…" if number is None else str(number) for number in known]
        example = list(map(str, shape))
        for position in batch:
            form[position] = example[position] = BATCH
        self._note(problem, SHAPE, name, ",".join(example), ",".join(form))
        return shape

    def content(self, name: str, problem: str, example: int) -> int:
        """Return ``example`` and note it as asked for as the content of ``name``."""
        self._note(problem, CONTENT, name, str(example), str(example))
        return example

    def open_content(self, name: str, problem: str) -> None:
        """Note that the content of ``name`` must be said, for which no example will do."""
        self._note(problem, CONTENT, name, "…", "…")

    def error(self, *, sound: bool) -> UnresolvedShapeError:
        """Return one error with all questions. ``sound``: whether the model was read to its end with the examples."""
        questions = list(self.found.values())
        sound = sound and not any("…" in question.example for question in questions)
        told = "; ".join(dict.fromkeys(question.problem for question in questions[:_MAX_TOLD]))
        more = f"; and {len(questions) - _MAX_TOLD} more" if len(questions) > _MAX_TOLD else ""
        options = tuple(question.text(sound=sound) for question in questions)
        how = "with your own numbers" if sound else "with a number in place of each …"
        return UnresolvedShapeError(f"{told}{more}; give {' '.join(options)} ({how})", options=options)

    def _note(self, problem: str, option: str, name: str, example: str, form: str) -> None:
        self.found.setdefault(name, Question(problem=problem, option=option, name=name, example=example, form=form))


def _example(symbol: Any, place: int, rank: int) -> int:
    is_pixels = _PIXELS.fullmatch(symbol) if isinstance(symbol, str) else place >= 2 and rank >= 4
    return EXAMPLE_PIXELS if is_pixels else EXAMPLE_STEPS
