"""What can be measured (a network, layer, window or set of constants), and how its row is recognised again."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from joulecast_calibration.suite.decoders import Phase

PARENT = "JOULECAST_PARENT"
"""Environment variable: id of the process that a measuring process ends with."""

SLICES = (
    "constants", "smoke", "llm", "networks", "cudagraph", "layers", "repeats", "additivity", "crosscheck", "serving",
    "bf16", "compile", "hot",
)  # fmt: skip
"""Names of slices, in the order in which each begins in a run."""

RUNTIMES = ("torch-eager", "torch-cudagraph", "torch-compile", "onnxruntime-cuda")
PRECISIONS = ("default", "tf32", "bf16", "fp16")

Kind = Literal["constants", "network", "layer", "window"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Configuration:
    """One row to be measured.

    - ``name``: a named source, or the function of a layer.
    - ``digest``: the index's digest of the graph or of the call.
    - ``batch_size``: 0 where it is part of a layer's shapes.
    - ``phase``, ``context_tokens``: of a pass of a decoder that generates, and the tokens that each sequence attends
      to; a forward pass has neither.
    - ``repeat``: 1 for a second measurement of the same configuration.
    - ``anchor``: ``start`` or ``end`` of a run.
    - ``window``: how a cross-check differs: ``long`` (8 s) or ``codecarbon``.
    - ``counts``: columns as the index has them.
    - ``forward_seconds``, ``forward_joules``: prediction of one execution, for order and budget only.
    - ``expected_seconds``: of the whole row.
    """

    kind: Kind
    slice: str
    name: str
    digest: str = ""
    batch_size: int = 0
    sequence_length: int | None = None
    audio_seconds: float | None = None
    phase: Phase | Literal[""] = ""
    context_tokens: int | None = None
    task: str = ""
    runtime: str = "torch-eager"
    precision: str = "default"
    l2_state: str = ""
    repeat: int = 0
    anchor: str = ""
    window: str = ""
    op_type: str = ""
    counts: Mapping[str, int] = field(default_factory=dict, hash=False)
    forward_seconds: float = 0.0
    forward_joules: float = 0.0
    expected_seconds: float = 0.0

    @property
    def identity(self) -> str:
        """Return the identity that all measurements of one configuration share, whichever slice asked for it."""
        which = self.digest if self.op_type else self.name
        fed = [f"b{self.batch_size}" if self.batch_size else "", f"t{self.sequence_length}" if self.sequence_length
               else "", f"a{self.audio_seconds:g}" if self.audio_seconds else "", self.phase,
               f"c{self.context_tokens}" if self.context_tokens else ""]  # fmt: skip
        parts = [self.kind, which, *fed, self.runtime, self.precision, self.l2_state, self.window]
        return "|".join(part for part in parts if part)

    @property
    def key(self) -> str:
        """Return the key of a row: the identity, with repeat and anchor, which are rows of their own."""
        marks = [f"repeat{self.repeat}" if self.repeat else "", f"anchor-{self.anchor}" if self.anchor else ""]
        return "|".join([self.identity, *(mark for mark in marks if mark)])

    @property
    def group(self) -> str:
        """Return the group of the row; rows of one group share a build."""
        return f"{self.name}|{self.sequence_length}|{self.audio_seconds}|{self.precision}"

    @property
    def label(self) -> str:
        """Return a name for display."""
        which = f"{self.op_type} {self.digest}" if self.op_type else self.name
        batch = f" batch {self.batch_size}" if self.batch_size else ""
        served = f" {self.phase} of {self.context_tokens} tokens" if self.phase else ""
        extra = [word for word in (self.l2_state if self.l2_state == "hot" else "", self.anchor, self.window) if word]
        how = "" if self.kind == "constants" else f" {self.runtime} {self.precision}"
        return f"{which}{served}{batch}{how}{''.join(f' ({word})' for word in extra)}"

    def columns(self) -> dict[str, Any]:
        """Return the columns of the row that are known before it runs."""
        return {
            "key": self.key,
            "name": self.name,
            "slice": self.slice,
            "task": self.task,
            "repeat": self.repeat,
            "anchor": self.anchor or None,
            "window": self.window or None,
            "runtime": self.runtime,
            "precision": self.precision,
            "batch_size": self.batch_size or None,
            "sequence_length": self.sequence_length,
            "audio_seconds": self.audio_seconds,
            "l2_state": self.l2_state or None,
            "digest": self.digest or None,
            "op_type": self.op_type or None,
            "predicted_seconds": self.forward_seconds,
            "predicted_joules": self.forward_joules,
            **({"phase": self.phase, "context_tokens": self.context_tokens} if self.phase else {}),
            **self.counts,
        }
