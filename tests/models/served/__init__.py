"""Language models whose engine rows are held to the traced classes of transformers, at a small and a published size."""

from __future__ import annotations

from tests.models.served.decoders import DECODERS
from tests.models.served.encoder_decoders import ENCODER_DECODERS
from tests.models.served.encoders import ENCODERS
from tests.models.served.experts import EXPERTS
from tests.models.served.latent import LATENT
from tests.models.served.recurrent import RECURRENT

CASES = (*DECODERS, *ENCODERS, *ENCODER_DECODERS)

MIXTURES = (*EXPERTS, *LATENT, *RECURRENT)
"""Those that are compared outside what goes by formula."""
