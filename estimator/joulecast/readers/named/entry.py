"""The facts about one named network before it is built."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from joulecast.readers.named.reference import Library

Task = Literal["vision", "nlp", "audio"]

Size = int | str
"""One dimension of an input: a number, or ``batch``, ``tokens``, ``samples``, ``frames``, ``decoder_tokens``."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """A network of a library at a pinned, published configuration.

    - ``family``: lineage across libraries, for holding out relatives.
    - ``suite``: whether the calibration suite takes it, or leaves it for a relative that costs less.
    - ``zero_shot``: its layers are never taken into a sample.
    - ``largest_batch``: the largest of 1, 32 and 128 that is known to fit 70 GB; None: 128 fits, as far as known.
    - ``inputs``: shape by name.
    - ``sequence_lengths``: tokens; the first is the default.
    - ``seconds``: of audio; the first is the default.
    - ``rates``: samples and frames per second.
    - ``positional``: whether ``forward`` gets its inputs by position.
    - ``model_class``, ``config``, ``origin``: of transformers: its class, the settings that differ from that class's
      own, and the published repository that has them.
    """

    library: Library
    name: str
    task: Task
    family: str
    inputs: Mapping[str, tuple[Size, ...]]
    suite: bool = True
    zero_shot: bool = False
    largest_batch: int | None = None
    sequence_lengths: tuple[int, ...] = ()
    seconds: tuple[float, ...] = ()
    rates: Mapping[str, float] = field(default_factory=dict)
    positional: bool = False
    model_class: str = ""
    config: Mapping[str, Any] = field(default_factory=dict)
    origin: str = ""

    @property
    def source(self) -> str:
        """The named source: ``timm:vit_base_patch16_224``."""
        return f"{self.library}:{self.name}"

    @property
    def recorded(self) -> str:
        """The name under which the suite and measurements keep it, with the prefix of the first ones: ``hf:gpt2``."""
        prefix = "hf" if self.library == "transformers" else self.library
        return f"{prefix}:{self.name}"
