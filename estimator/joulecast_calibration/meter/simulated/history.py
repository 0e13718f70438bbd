"""Store power over time as pieces that repeat a pattern, so that the joules between any two moments are exact."""

from __future__ import annotations

from bisect import bisect_right
from dataclasses import dataclass
from itertools import accumulate


@dataclass(frozen=True, slots=True, kw_only=True)
class Pattern:
    """Power of one execution as steps, repeated for ever: ``seconds`` and ``watts`` (steps,)."""

    seconds: tuple[float, ...]
    watts: tuple[float, ...]

    @property
    def period(self) -> float:
        return sum(self.seconds)

    @property
    def joules(self) -> float:
        return sum(s * w for s, w in zip(self.seconds, self.watts, strict=True))

    @property
    def mean_watts(self) -> float:
        return self.joules / self.period

    def joules_until(self, elapsed: float) -> float:
        """Return the joules from the start of an execution; before it (``elapsed`` < 0) the pattern ran as well."""
        if len(self.watts) == 1:
            return self.watts[0] * elapsed
        executions, rest = divmod(elapsed, self.period)
        total = executions * self.joules
        for seconds, watts in zip(self.seconds, self.watts, strict=True):
            if rest <= seconds:
                return total + rest * watts
            total += seconds * watts
            rest -= seconds
        return total

    def step_at(self, elapsed: float) -> tuple[int, float]:
        """Return the running step, and the share of it that is done."""
        rest = elapsed % self.period
        for number, seconds in enumerate(self.seconds):
            if rest < seconds:
                return number, rest / seconds
            rest -= seconds
        return 0, 0.0

    def elapsed_at(self, step: int, share: float) -> float:
        """Return the seconds from the start of an execution to ``share`` of ``step``, the inverse of ``step_at``."""
        return tuple(accumulate(self.seconds, initial=0.0))[step] + share * self.seconds[step]


def constant(watts: float) -> Pattern:
    return Pattern(seconds=(1.0,), watts=(watts,))


@dataclass(frozen=True, slots=True, kw_only=True)
class _Piece:
    pattern: Pattern
    elapsed: float
    before: float  # joules of the pattern up to ``elapsed``


class PowerHistory:
    """Power from time 0 on; before it, and after the last piece began, the pattern there continues."""

    def __init__(self, watts: float) -> None:
        self._starts = [0.0]
        self._joules = [0.0]
        self._pieces = [_Piece(pattern=constant(watts), elapsed=0.0, before=0.0)]

    def begin(self, at: float, pattern: Pattern, elapsed: float = 0.0) -> None:
        """Run ``pattern`` from ``at`` seconds on, ``elapsed`` seconds into an execution. Pieces begin in order."""
        joules = self.joules(at)
        if at == self._starts[-1]:
            for pile in (self._starts, self._joules, self._pieces):
                pile.pop()
        self._starts.append(at)
        self._joules.append(joules)
        self._pieces.append(_Piece(pattern=pattern, elapsed=elapsed, before=pattern.joules_until(elapsed)))

    def joules(self, at: float) -> float:
        """Return the joules from time 0 to ``at``, negative before 0."""
        number = max(bisect_right(self._starts, at) - 1, 0)
        piece, since = self._pieces[number], at - self._starts[number]
        return self._joules[number] + piece.pattern.joules_until(piece.elapsed + since) - piece.before

    def mean_watts(self, start: float, end: float) -> float:
        return (self.joules(end) - self.joules(start)) / (end - start)
