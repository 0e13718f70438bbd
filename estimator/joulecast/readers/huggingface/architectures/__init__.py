"""The table of architectures: a new Llama-like family is one entry, never code of its own."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from joulecast.readers.huggingface.architectures import experts, latent, recurrent
from joulecast.readers.huggingface.architectures.decoders import COMPOSITES as DENSE_COMPOSITES
from joulecast.readers.huggingface.architectures.decoders import DECODERS
from joulecast.readers.huggingface.architectures.encoder_decoders import ENCODER_DECODERS
from joulecast.readers.huggingface.architectures.encoders import ENCODERS
from joulecast.readers.huggingface.architectures.entry import Composite, Decoder, EncoderDecoder
from joulecast.readers.huggingface.architectures.hybrids import GRANITE_HYBRID

Architecture = Decoder | EncoderDecoder

ARCHITECTURES: Mapping[str, Architecture] = MappingProxyType(
    {
        each.model_type: each
        for each in (
            *DECODERS,
            *ENCODERS,
            *ENCODER_DECODERS,
            *experts.EXPERTS,
            *latent.LATENT,
            *recurrent.RECURRENT,
            GRANITE_HYBRID,
        )
    }
    | latent.SECOND_NAMES
)
"""Entry by model type."""

COMPOSITES: Mapping[str, Composite] = MappingProxyType(
    {
        each.model_type: each
        for each in (*DENSE_COMPOSITES, *experts.COMPOSITES, *latent.COMPOSITES, *recurrent.COMPOSITES)
    }
)
"""Model types that hold a text model beside others (images, sound)."""
