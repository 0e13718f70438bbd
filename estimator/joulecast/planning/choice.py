"""The choice among candidates: which setting to run, or which measurement would decide."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from joulecast.planning.candidates import Candidate, Excluded, missed
from joulecast.planning.comparison import Measurement, Saving, deciding, rivals, saving
from joulecast.planning.settings import Objective, Setting, Unit

RUNNERS_UP = 3
WORTH_SAVING = 0.1
"""Share of today's joules that a choice has to save, at the lower end of its interval, to be worth a warning."""
SLO = "MissesObjective"


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What to run a model on.

    - ``unit``: what joules are counted by.
    - ``candidates``: all that keep the objective, the fewest joules first.
    - ``choice``: the first of them, if the intervals tell it from all others; else None.
    - ``rivals``: those that the intervals do not tell from the first.
    - ``deciding``: the measurements that would tell them apart.
    - ``today``: how the model runs now; ``saving``: what the choice saves of its joules, or without a choice what the
      one of ``leaders`` that saves least does.
    - ``reason``: why this choice, or why none, in one sentence.
    """

    unit: Unit
    objective: Objective
    candidates: tuple[Candidate, ...]
    choice: Candidate | None
    rivals: tuple[Candidate, ...]
    deciding: tuple[Measurement, ...]
    excluded: tuple[Excluded, ...]
    reason: str
    today: Candidate | None = None
    saving: Saving | None = None

    @property
    def runners_up(self) -> tuple[Candidate, ...]:
        """The three candidates after the first."""
        return self.candidates[1 : 1 + RUNNERS_UP]

    @property
    def leaders(self) -> tuple[Candidate, ...]:
        """The choice, or all that may be it."""
        return (*self.candidates[:1], *self.rivals)

    @property
    def worth_a_warning(self) -> bool:
        """Whether so much of today's joules is saved that even the lower end of the interval is worth telling."""
        return self.saving is not None and self.saving.lower >= WORTH_SAVING


def decide(
    unit: Unit,
    objective: Objective,
    candidates: Iterable[Candidate],
    excluded: Iterable[Excluded] = (),
    today: Candidate | None = None,
) -> Plan:
    """Return the plan of ``candidates``, whose joules are counted by ``unit``. Those that miss a limit are excluded."""
    kept, late = [], []
    for each in candidates:
        why = missed(each, objective)
        if why:
            late.append(_late(each, why))
        else:
            kept.append(each)
    ranked = tuple(sorted(kept, key=lambda each: each.joules))
    others = rivals(ranked[0], ranked[1:]) if ranked else ()
    choice = ranked[0] if ranked and not others else None
    told = deciding(ranked[0], others) if others else ()
    savings = [saving(each, today) for each in (*ranked[:1], *others)] if today else []
    return Plan(
        unit=unit,
        objective=objective,
        candidates=ranked,
        choice=choice,
        rivals=others,
        deciding=told,
        excluded=(*excluded, *late),
        reason=_reason(ranked, others, told),
        today=today,
        saving=min(savings, key=lambda each: each.lower, default=None),
    )


def _late(candidate: Candidate, why: Sequence[str]) -> Excluded:
    message = f"{candidate.setting}: {'; '.join(why)}"
    accelerator = candidate.setting.accelerator
    return Excluded(accelerator=accelerator, setting=candidate.setting, why="slo", reason=SLO, message=message)


def _reason(ranked: Sequence[Candidate], others: Sequence[Candidate], told: Sequence[Measurement]) -> str:
    if not ranked:
        return "nothing that can be forecast keeps what is asked"
    if not others:
        return _clear(ranked)
    shared = _shared([ranked[0], *others])
    settled = f"; the accelerator is settled, {shared}" if shared else ""
    between = f"the intervals do not tell {ranked[0].setting} from {_listed([each.setting for each in others])}"
    return f"{between}{settled}: {_way_out(told)}"


def _clear(ranked: Sequence[Candidate]) -> str:
    if len(ranked) == 1:
        return "the only one that can be forecast and keeps what is asked"
    extra = ranked[1].joules / ranked[0].joules - 1
    return f"the next one, {ranked[1].setting}, costs {100 * extra:.3g} % more, which is beyond the intervals"


def _way_out(told: Sequence[Measurement]) -> str:
    if not told:
        return "their joules differ by less than a measurement can tell, so take either"
    settings = [setting for each in told for setting in each.settings]
    return f"joules measured at {_listed(settings, 'and')} would decide"


_LISTED = 3


def _listed(settings: Sequence[Setting], word: str = "or") -> str:
    shown = f" {word} ".join(map(str, settings[:_LISTED]))
    rest = len(settings) - _LISTED
    return f"{shown} {word} {rest} {'other' if rest == 1 else 'others'}" if rest > 0 else shown


def _shared(leaders: Sequence[Candidate]) -> str:
    """Return the accelerator that all ``leaders`` run on, or an empty text where they differ in it."""
    cards = {each.setting.accelerator for each in leaders}
    return cards.pop() if len(cards) == 1 else ""
