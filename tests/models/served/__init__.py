"""Language models whose engine rows are held to the traced classes of transformers, at a small and a published size."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import pytest

from tests.models.served.case import Case
from tests.models.served.decoders import DECODERS
from tests.models.served.encoder_decoders import ENCODER_DECODERS
from tests.models.served.encoders import ENCODERS
from tests.models.served.experts import EXPERTS
from tests.models.served.latent import LATENT
from tests.models.served.recurrent import RECURRENT

CASES = (*DECODERS, *ENCODERS, *ENCODER_DECODERS)

MIXTURES = (*EXPERTS, *LATENT, *RECURRENT)
"""Those that are compared outside what goes by formula."""

QUICK = frozenset(
    {
        "LlamaForCausalLM", "Qwen3ForCausalLM", "Gemma2ForCausalLM", "BertModel", "MixtralForCausalLM",
        "GptOssForCausalLM", "DeepseekV2ForCausalLM", "MambaForCausalLM",
    }
)  # fmt: skip
"""Classes of one architecture of each kind, which are traced in the quick loop too."""


def quick_or_slow(cases: Iterable[Case]) -> list[Any]:
    """Return the cases as parameters of a test that builds their classes; those not in ``QUICK`` are slow."""
    return [pytest.param(case, id=case.name, marks=() if case.name in QUICK else pytest.mark.slow) for case in cases]
