"""Language models whose engine rows are held to the traced classes of transformers, at a small and a published size."""

from __future__ import annotations

from tests.models.served.decoders import DECODERS

CASES = (*DECODERS,)
