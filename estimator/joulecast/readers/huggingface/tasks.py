"""What a model is for, by the class that its configuration names: the head that it has."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from joulecast.errors import UnsupportedOperatorError
from joulecast.printable import bounded
from joulecast.readers.huggingface.architectures import Architecture
from joulecast.readers.huggingface.architectures.entry import Encoder, EncoderDecoder, TaskName
from joulecast.readers.huggingface.chosen import Chosen
from joulecast.readers.huggingface.configuration import Configuration

_TASKS: dict[str, TaskName] = {
    "ForCausalLM": "generation",
    "LMHeadModel": "generation",
    "ForConditionalGeneration": "generation",
    "Model": "plain",
    "ForSequenceClassification": "classification",
    "ForTokenClassification": "token classification",
    "ForMaskedLM": "masked",
}
"""Task by what a class is called after its family."""

_SHOWN_CHARACTERS = 80  # of the name of a class

_USUAL_LABELS = 2  # of transformers, where neither id2label nor num_labels is given


@dataclass(frozen=True, slots=True, kw_only=True)
class Task:
    """What a model is for; ``labels``: of a classification."""

    name: TaskName
    architecture: str
    labels: int = 0

    @property
    def tokens(self) -> Literal["judged", "all", "sequence"]:
        """The tokens that the head runs on."""
        if self.name == "generation":
            return "judged"
        return "sequence" if self.name in ("classification", "plain") else "all"


def task(found: Chosen) -> Task:
    """Return what the first of ``architectures`` is for; generation where none is named.

    Raises UnsupportedOperatorError for a class whose head is not known.
    """
    named = (found.whole if found.whole.has("architectures") else found.text).value("architectures") or [None]
    name = named[0] if isinstance(named, list) else named
    if not isinstance(name, str | None):
        raise found.whole.refused("architectures", "each of its entries has to be the name of a class")
    if name is None:
        name = found.classes[0] + found.entry.usual
        found.text.taken["architectures"] = [name]
    known = [end for end in _TASKS if _TASKS[end] in _possible(found.entry)]
    ends = (end for end in known if name.endswith(end) and _fits(name.removesuffix(end), found))
    end = max(ends, key=len, default=None)
    if end is None:
        raise UnsupportedOperatorError(
            f"config.json of {found.text.model_type} names the class {bounded(name, 60)!r}, whose head is not known:"
            f" name one of {', '.join(found.classes[0] + end for end in known)} in architectures",
            reason="UnknownArchitecture",
        )
    kind = _TASKS[end]
    return Task(
        name=kind,
        architecture=bounded(name, _SHOWN_CHARACTERS),
        labels=_labels(found.text) if "classification" in kind else 0,
    )


def _fits(name: str, found: Chosen) -> bool:
    return found.renamed or name in found.classes


def _possible(entry: Architecture) -> frozenset[TaskName]:
    """Return the tasks whose heads are known of a family."""
    if isinstance(entry, EncoderDecoder):
        return frozenset({"generation", "plain"})
    if isinstance(entry, Encoder):
        return frozenset({"plain", "token classification", *entry.heads})
    return frozenset({"generation", "plain", "classification", "token classification"})


def _labels(config: Configuration) -> int:
    named = config.part("id2label")
    return len(named) if named else config.count("num_labels", default=_USUAL_LABELS)
