"""The models of the set, as their published configurations state them, and how bitsandbytes stores their weights."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from types import MappingProxyType
from typing import Any

from joulecast.api.eager_generation import EagerModel
from joulecast.readers import huggingface
from joulecast.readers.decoding.tracing import Decoder
from joulecast.serving.eager.bitsandbytes import Options
from joulecast.serving.passes import decode
from joulecast.serving.rows import rows

DTYPE = "float16"
_FOUR = {"quant_method": "bitsandbytes", "load_in_4bit": True, "bnb_4bit_quant_type": "nf4"}
_EIGHT = {"quant_method": "bitsandbytes", "load_in_8bit": True}
QUANTISATIONS: Mapping[str, Mapping[str, Any] | None] = MappingProxyType(
    {
        "fp16": None,
        "int8_default": {**_EIGHT, "llm_int8_threshold": 6.0},
        "int8_pure": {**_EIGHT, "llm_int8_threshold": 0.0},
        "nf4": {**_FOUR, "bnb_4bit_compute_dtype": DTYPE},
        "nf4_dq": {**_FOUR, "bnb_4bit_compute_dtype": DTYPE, "bnb_4bit_use_double_quant": True},
    }
)
"""``quantization_config`` by the word of the rows."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Configured:
    """``lineage``: models of one shape or maker, which are left out together."""

    lineage: str
    config: Mapping[str, Any]


@cache
def configurations() -> Mapping[str, Configured]:
    """Return every model of the table by its name."""
    text = files("joulecast_calibration.evaluate.serving.eager").joinpath("configurations.json").read_text("utf-8")
    return {name: Configured(**entry) for name, entry in json.loads(text).items()}


@cache
def eager_model(name: str, quantisation: str) -> EagerModel:
    """Return a model with its class; the class is built once, whatever its weights are stored in.

    Raises what ``EagerModel.of`` raises.
    """
    own = configurations()[name].config
    stored = QUANTISATIONS[quantisation]
    config = {**own, "quantization_config": stored} if stored else own
    return EagerModel(decoder=_decoder(name), model=huggingface.read(config), options=Options.of(config))


@cache
def _decoder(name: str) -> Decoder:
    return Decoder(configurations()[name].config, DTYPE)


@cache
def parameters_read(name: str) -> int:
    """Return the parameters that one token is multiplied with."""
    return sum(each.macs for each in rows(huggingface.read(configurations()[name].config), decode(1, 1)))
