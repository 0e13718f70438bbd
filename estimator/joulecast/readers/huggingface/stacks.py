"""The stacks of a model: one, or an encoder and a decoder that attends to it."""

from __future__ import annotations

from dataclasses import dataclass, replace

from joulecast.blocks import Embedding, Stack
from joulecast.readers.huggingface.architectures import Architecture
from joulecast.readers.huggingface.architectures.entry import Decoder, EncoderDecoder
from joulecast.readers.huggingface.configuration import Configuration
from joulecast.readers.huggingface.decoder import decoder
from joulecast.readers.huggingface.tasks import Task


@dataclass(frozen=True, slots=True, kw_only=True)
class Stacks:
    """``decoder``: the stack that generates, or the only one; ``encoder_tokens``: as of ``LanguageModel``."""

    decoder: Stack
    encoder: Stack | None = None
    encoder_tokens: int | None = None


def stacks(config: Configuration, entry: Architecture, task: Task) -> Stacks:
    """Return the stacks of the model that ``config`` describes."""
    if not isinstance(entry, EncoderDecoder):
        return Stacks(decoder=decoder(config, entry, task))
    second = decoder(_of(config, entry.decoder), entry.decoder, task)
    if entry.shared and second.embedding is not None:
        second = replace(second, embedding=replace(second.embedding, shared=True))
    return Stacks(
        decoder=second,
        encoder=_encoder(config, entry, task),
        encoder_tokens=config.count(entry.encoder_tokens) if entry.encoder_tokens else None,
    )


def _of(config: Configuration, entry: Decoder) -> Configuration:
    """Return the configuration with the names that one stack has for its sizes."""
    known = replace(config.known, names={**config.known.names, **entry.names})
    return replace(config, known=known)


def _encoder(config: Configuration, entry: EncoderDecoder, task: Task) -> Stack:
    own = _of(config, entry.encoder)
    stack = decoder(own, entry.encoder, replace(task, name="plain"))
    if entry.frames is None or stack.embedding is None:
        return stack
    positions = stack.embedding.positions
    front = Embedding(
        path=entry.encoder.embedding, rows=0, width=stack.width, positions=positions, frames=entry.frames(own)
    )
    return replace(stack, embedding=front)
