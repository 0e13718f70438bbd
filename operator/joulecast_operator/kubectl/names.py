"""Understand which object a command line names, as kubectl writes names; pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from joulecast.errors import JoulecastError
from joulecast.printable import bounded
from joulecast_operator.api.kinds import ESTIMATES, PLANS, TARGETS, Kind

_SHORT: Final = {
    "estimate": ESTIMATES.kind, "estimates": ESTIMATES.kind, "iee": ESTIMATES.kind, "plan": PLANS.kind,
    "plans": PLANS.kind, "eplan": PLANS.kind, "deploy": "Deployment", "sts": "StatefulSet", "ds": "DaemonSet",
    "cj": "CronJob", "isvc": "InferenceService", "llmisvc": "LLMInferenceService", "lws": "LeaderWorkerSet",
}  # fmt: skip
"""Names that kubectl takes for a kind beside its singular and its plural."""
_PLAIN: Final = {ESTIMATES.kind: "estimate", PLANS.kind: "plan"}
"""How messages name joulecast's own kinds."""
_LONGEST: Final = 128  # characters of a wrong name that a message repeats


@dataclass(frozen=True, slots=True, kw_only=True)
class Named:
    """One object. ``kind``: its kind; ``name``: its name."""

    kind: Kind
    name: str


def known_kinds() -> tuple[Kind, ...]:
    """Return the kinds that have a forecast: estimates and workloads."""
    return ESTIMATES, *TARGETS.values()


def named(words: Sequence[str], kinds: Sequence[Kind] | None = None) -> Named:
    """Return the object that ``KIND/NAME`` or ``KIND NAME`` names, of ``kinds`` or else of those that have a forecast.

    Raises JoulecastError.
    """
    kind, _, name = words[0].partition("/") if len(words) == 1 else (words[0], "/", words[1])
    if len(words) > 2 or not kind or not name or "/" in name:
        said = bounded(" ".join(words), _LONGEST)
        raise JoulecastError(
            f"{said!r} does not name one object: write KIND/NAME, such as deployment/web or estimate/detector",
            reason="InvalidName",
        )
    return Named(kind=kind_named(kind, known_kinds() if kinds is None else kinds), name=name)


def named_plan(words: Sequence[str]) -> Named | None:
    """Return the plan or workload that a command line names; None if it names none. Raises JoulecastError."""
    if not words:
        return None
    if len(words) == 1 and "/" not in words[0]:
        return Named(kind=PLANS, name=words[0])
    return named(words, kinds=(PLANS, *known_kinds()[1:]))


def kind_named(text: str, kinds: Sequence[Kind]) -> Kind:
    """Return the kind of a name such as ``deploy``, ``Deployment`` or ``deployments.apps``. Raises JoulecastError."""
    word, _, group = text.lower().partition(".")
    wanted = _SHORT.get(word, word).lower()
    for kind in kinds:
        groups = ("", kind.group, f"{kind.version}.{kind.group}")
        if wanted in (kind.kind.lower(), kind.plural) and group in groups:
            return kind
    listed = ", ".join(_PLAIN.get(each.kind, each.kind.lower()) for each in kinds)
    raise JoulecastError(f"unknown kind {bounded(text, _LONGEST)!r}; name one of {listed}", reason="UnknownKind")
