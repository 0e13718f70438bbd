"""Find annotations under joulecast.dev/ that have no effect where they are written, and suggest what was meant."""

from __future__ import annotations

import difflib
from collections.abc import Callable, Iterable, Mapping
from typing import Any, Final

from joulecast_operator.api.annotations import (
    ACCELERATOR,
    FOR_ACCELERATOR,
    INPUT_KEYS,
    OUTPUT_KEYS,
    PREFIX,
    REFRESH,
    REST_UNTIL,
    RESTING_UNTIL,
    annotations_of,
)
from joulecast_operator.api.kinds import ANNOTATED, CALIBRATIONS, CUSTOM, ESTIMATES, PLANS
from joulecast_operator.api.objects import Resource
from joulecast_operator.workloads.dimensions import excluded
from joulecast_operator.workloads.discovery import top_owner
from joulecast_operator.workloads.pods import inner_annotations

_KNOWN: Final = INPUT_KEYS | OUTPUT_KEYS | {REST_UNTIL, RESTING_UNTIL}
_INPUT_NAMES: Final = sorted(key.removeprefix(PREFIX) for key in INPUT_KEYS)
_OWN_KINDS: Final = frozenset({ESTIMATES.kind, PLANS.kind, CALIBRATIONS.kind})
_ANNOTATED: Final = ", ".join(f"{kind}s" for kind in ANNOTATED)
_NAMED: Final = (
    4  # keys that get a sentence each; a tenant may write thousands, and each costs a search for similar names
)


def warnings(kind: str, new: Resource, old: Resource) -> tuple[str, ...]:
    """Return a sentence for each annotation of ``new``, an object of ``kind``, that has no effect.

    ``old``: the object that it replaces. Objects that a controller owns get no warning, because nobody would read it.
    """
    if top_owner(new) is not None:
        return ()
    keys = _ours(annotations_of(new))
    if kind in ANNOTATED:
        misplaced = _sentences(_ours(inner_annotations(new)), lambda key: _on_template(key, kind))
        return (*_sentences(keys - _KNOWN, _unknown), *misplaced, *_output_as_input(new, old), *_excluded(new))
    if kind in _OWN_KINDS:
        return _sentences(keys - {REFRESH}, lambda key: f"{key} has no effect on an {kind}: only {REFRESH} has one")
    return ((_by_target(kind, keys) if kind in CUSTOM else _uncovered(kind, keys)),) if keys else ()


def _sentences(keys: Iterable[str], sentence: Callable[[str], str]) -> tuple[str, ...]:
    listed = sorted(keys)
    more = len(listed) - _NAMED
    said = tuple(map(sentence, listed[:_NAMED]))
    return (*said, f"{more} more annotations under {PREFIX} have no effect either") if more > 0 else said


def _unknown(key: str) -> str:
    near = difflib.get_close_matches(key[len(PREFIX) :].lower(), _INPUT_NAMES, n=1)
    if near:
        return f"unknown annotation {key}: did you mean {PREFIX}{near[0]}?"
    return f"unknown annotation {key}: joulecast reads {', '.join(sorted(INPUT_KEYS))}"


def _on_template(key: str, kind: str) -> str:
    return f"{key} has no effect on the pod template: write it into the {kind}'s own metadata.annotations"


def _output_as_input(new: Resource, old: Resource) -> tuple[str, ...]:
    """Return a sentence if the output `accelerator` is set as if it were an input."""
    given = annotations_of(new).get(ACCELERATOR)
    if given is None or old or FOR_ACCELERATOR in annotations_of(new):
        return ()
    return (f"joulecast does not read {ACCELERATOR}: to choose an accelerator, write {FOR_ACCELERATOR}",)


def _excluded(new: Resource) -> Iterable[str]:
    """Return a sentence for each input that another one excludes."""
    for key, rival in excluded(annotations_of(new)).items():
        yield (
            f"{key} has no effect beside {rival}: batch sizes are of one forward pass, concurrency and output tokens"
            " of a generation"
        )


def _by_target(kind: str, keys: set[str]) -> str:
    listed, verb = ", ".join(sorted(keys)[:_NAMED]), "has" if len(keys) == 1 else "have"
    return (
        f"{listed} {verb} no effect on an {kind} by itself, which joulecast never writes: apply an {ESTIMATES.kind}"
        " whose spec.targetRef names it, and give there how the model is run"
    )


def _uncovered(kind: str, keys: set[str]) -> str:
    listed, verb = ", ".join(sorted(keys)[:_NAMED]), "has" if len(keys) == 1 else "have"
    return (
        f"{listed} {verb} no effect on a {kind}, because joulecast reads them on {_ANNOTATED} alone:"
        f" apply an {ESTIMATES.kind} whose spec.model names the image"
    )


def _ours(annotations: Mapping[str, Any]) -> set[str]:
    """Return the keys under joulecast's prefix, which Kubernetes also accepts in capitals."""
    return {key for key in annotations if str(key).lower().startswith(PREFIX)}
