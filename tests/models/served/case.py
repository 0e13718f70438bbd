"""A model type at two sizes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from tests.models.served.formulas import Formula

Keys = Mapping[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """A class of transformers with configurations that it is built from.

    - ``family``: as users call it.
    - ``small``: keys of a configuration that is built in a moment, with more than one kind of layer if it has kinds.
    - ``published``: keys of a published one, as its file has them; ``origin``: its repository.
    - ``decodes``: the class keeps a cache, so that one step can be traced.
    - ``formulas``: what goes by formula in every pass; ``step_formulas``: in a step of generation beside these.
    - ``tokens``: of a pass of the published size; ``uncounted``: operators without a rule in the trace.
    - ``within``: share by which the rows may differ from the traced MACs, and ``why`` they do; parameters never may.
    - ``encoder_tokens``: how many tokens of its input the encoder makes, of the small and of the published one; 0
      without an encoder.
    """

    family: str
    architecture: str
    small: Keys
    published: Keys = field(default_factory=dict)
    origin: str = ""
    decodes: bool = True
    within: float = 0.0
    why: str = ""
    encoder_tokens: tuple[int, int] = (0, 0)
    variant: str = ""
    formulas: tuple[Formula, ...] = ()
    step_formulas: tuple[Formula, ...] = ()
    tokens: int = 128
    uncounted: tuple[str, ...] = ()

    @property
    def name(self) -> str:
        return f"{self.architecture}{f'-{self.variant}' if self.variant else ''}"
