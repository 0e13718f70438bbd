"""What a golden model is, and how each kind of input is made."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import nn
from torch._subclasses.fake_tensor import unset_fake_temporarily

Built = tuple[nn.Module, dict[str, Any], dict[str, Any] | None]
"""A module, its arguments by name, and the dimensions of each that stay symbolic."""

DYNAMIC = torch.export.Dim.DYNAMIC
BATCH = {0: DYNAMIC}
BATCH_AND_LENGTH = {0: DYNAMIC, 1: DYNAMIC}


@dataclass(frozen=True, slots=True, kw_only=True)
class Export:
    name: str
    build: Callable[[], Built]
    task: str = ""
    opset: int = 20
    dtype: str = "float32"
    description: dict[str, Any] = field(default_factory=dict)


class Output(nn.Module):
    """One output of a model, called with options."""

    def __init__(self, model: nn.Module, output: int | str = "logits", **options: Any) -> None:
        super().__init__()
        self.model, self.output, self.options = model, output, options


class Text(Output):
    def forward(self, input_ids: torch.Tensor) -> torch.Tensor:
        return self.model(input_ids=input_ids, **self.options)[self.output]


class MaskedText(Output):
    def forward(self, input_ids: torch.Tensor, attention_mask: torch.Tensor) -> torch.Tensor:
        return self.model(input_ids=input_ids, attention_mask=attention_mask, **self.options)[self.output]


class Waveform(Output):
    def forward(self, input_values: torch.Tensor) -> torch.Tensor:
        return self.model(input_values=input_values, **self.options)[self.output]


class Spectrogram(Output):
    def forward(self, input_features: torch.Tensor) -> torch.Tensor:
        return self.model(input_features, **self.options)[self.output]


class Picture(Output):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.model(x, **self.options)[self.output]


class Speech(Output):
    def forward(self, input_features: torch.Tensor, decoder_input_ids: torch.Tensor) -> torch.Tensor:
        return self.model(input_features=input_features, decoder_input_ids=decoder_input_ids, **self.options)[
            self.output
        ]


class Transcription(Output):
    def forward(self, input_values: torch.Tensor, decoder_input_ids: torch.Tensor) -> torch.Tensor:
        return self.model(input_values=input_values, decoder_input_ids=decoder_input_ids, **self.options)[self.output]


class Translation(Output):
    def forward(self, input_ids: torch.Tensor, decoder_input_ids: torch.Tensor) -> torch.Tensor:
        return self.model(input_ids=input_ids, decoder_input_ids=decoder_input_ids, **self.options)[self.output]


def real(build: Callable[[], nn.Module]) -> nn.Module:
    """A model that reads values while it is built (schedules, widths), so no fake tensor will do."""
    with unset_fake_temporarily(), torch.device("cpu"):
        return build()


def image(build: Callable[[], nn.Module], size: int = 224) -> Built:
    return build(), {"x": torch.zeros(2, 3, size, size)}, {"x": BATCH}


def ids(*shape: int) -> torch.Tensor:
    return torch.zeros(*shape, dtype=torch.long)


def text(model: type[nn.Module], config: Any, output: int | str = "logits", **options: Any) -> Built:
    return Text(model(config), output, **options), {"input_ids": ids(2, 16)}, {"input_ids": BATCH_AND_LENGTH}


def masked_text(model: type[nn.Module], config: Any, output: int | str = "logits", **options: Any) -> Built:
    """With the mask that a tokeniser gives, for code that makes one of its own while it is exported."""
    inputs = {"input_ids": ids(2, 16), "attention_mask": ids(2, 16)}
    return MaskedText(model(config), output, **options), inputs, dict.fromkeys(inputs, BATCH_AND_LENGTH)


def fixed_text(
    model: type[nn.Module], config: Any, output: int | str = "logits", *, length: int = 128, **options: Any
) -> Built:
    return Text(model(config), output, **options), {"input_ids": ids(1, length)}, None


def translation(model: type[nn.Module], config: Any, **options: Any) -> Built:
    inputs = {"input_ids": ids(2, 16), "decoder_input_ids": ids(2, 12)}
    return Translation(model(config), **options), inputs, dict.fromkeys(inputs, BATCH_AND_LENGTH)


def waveform(
    model: type[nn.Module],
    config: Any,
    output: int | str = "last_hidden_state",
    *,
    shape: tuple[int, ...] = (1, 16000),
    free: bool = False,
    **options: Any,
) -> Built:
    """One second at 16 kHz unless said."""
    return (
        Waveform(model(config), output, **options),
        {"input_values": torch.zeros(shape)},
        {"input_values": BATCH} if free else None,
    )


def speech(model: type[nn.Module], config: Any, shape: tuple[int, ...], *, free: bool = False, **options: Any) -> Built:
    """Features for the encoder, four tokens for the decoder."""
    inputs = {"input_features": torch.zeros(shape), "decoder_input_ids": ids(shape[0], 4)}
    return Speech(model(config), use_cache=False, **options), inputs, dict.fromkeys(inputs, BATCH) if free else None
