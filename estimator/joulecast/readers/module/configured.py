"""The class of transformers that a configuration names, built on the meta device: no weights, and never remote code.

The configuration is untrusted. It is run in a process of its own, with limits (``joulecast.api.traced_models``).
"""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from inspect import signature
from typing import TYPE_CHECKING, Any

from joulecast.errors import ModelFormatError, UnsupportedOperatorError
from joulecast.printable import bounded

if TYPE_CHECKING:
    import torch
    from torch import nn

UNKNOWN = "UnknownArchitecture"

_LEFT_OUT = frozenset(
    {
        "auto_map", "attn_implementation", "experts_implementation", "quantization_config", "compression_config",
        "torch_dtype", "dtype", "use_pretrained_backbone", "use_kernels",
    }
)  # fmt: skip
"""Keys that name code or kernels to load, or what is decided here; and all that begin with an underscore."""

_DTYPES = ("float32", "bfloat16", "float16")


class Traced:
    """A pass of ``module`` over ``tokens`` tokens of each of ``sequences``, as ``generate`` of transformers runs it."""

    def __init__(self, module: nn.Module, *, sequences: int, tokens: int) -> None:
        import torch

        self.module = module
        ids = torch.zeros((sequences, tokens), dtype=torch.int64, device="meta")
        self.inputs: dict[str, torch.Tensor | int | bool] = {"input_ids": ids}
        taken = signature(module.forward).parameters
        if getattr(module.config, "is_encoder_decoder", False):
            self.inputs["decoder_input_ids"] = ids
        if "logits_to_keep" in taken:
            self.inputs["logits_to_keep"] = 1
        if "use_cache" in taken:
            self.inputs["use_cache"] = False


def build(config: Mapping[str, Any]) -> nn.Module:
    """Return the class that ``config`` names, or the usual one of its model type.

    Raises UnsupportedOperatorError (UnknownArchitecture) for a type or class that the installed transformers lacks,
    for weights that are quantised, and for a model whose input is no text; ModelFormatError where its class refuses
    the configuration.
    """
    import torch
    from transformers.models.auto.configuration_auto import CONFIG_MAPPING

    model_type = config.get("model_type")
    if not isinstance(model_type, str) or model_type not in CONFIG_MAPPING:
        raise _unknown(f"the installed transformers has no model type {bounded(str(model_type), 60)!r}")
    if config.get("quantization_config") or config.get("compression_config"):
        raise _unknown(f"weights of {model_type} are quantised, which a trace of its class does not show")
    from joulecast.readers.named.initialisation import Uninitialised

    before = torch.get_default_dtype()
    try:
        torch.set_default_dtype(getattr(torch, _dtype(config)))
        with warnings.catch_warnings(), torch.device("meta"), Uninitialised(), torch.no_grad():
            warnings.simplefilter("ignore")
            own = CONFIG_MAPPING[model_type].from_dict(_cleared(config))
            kind = _class_of(own, config.get("architectures"))
            module: nn.Module = kind(own)
    except UnsupportedOperatorError:
        raise
    except Exception as error:
        told = bounded(" ".join(f"{type(error).__name__}: {error}".split()), 200)
        raise ModelFormatError(f"the class of {model_type} in transformers refuses config.json ({told})") from error
    finally:
        torch.set_default_dtype(before)
    if getattr(kind, "main_input_name", "") != "input_ids":
        raise _unknown(f"{kind.__name__} reads {bounded(str(kind.main_input_name), 40)} and no text")
    return module.eval()


def _dtype(config: Mapping[str, Any]) -> str:
    """Return the dtype of the files; float32, which transformers takes, where none is named."""
    named = str(config.get("dtype") or config.get("torch_dtype") or _DTYPES[0]).removeprefix("torch.")
    if named not in _DTYPES:
        raise ModelFormatError(f"dtype of config.json is {bounded(named, 40)!r}: give one of {', '.join(_DTYPES)}")
    return named


def _cleared(value: Any) -> Any:
    """Return the configuration without keys that name code or kernels, at any depth."""
    if isinstance(value, Mapping):
        kept = {key: own for key, own in value.items() if key not in _LEFT_OUT and not key.startswith("_")}
        return {key: _cleared(own) for key, own in kept.items()}
    return [_cleared(each) for each in value] if isinstance(value, list) else value


def _class_of(config: Any, named: object) -> Any:
    import transformers
    from transformers.models.auto.modeling_auto import MODEL_FOR_CAUSAL_LM_MAPPING, MODEL_MAPPING

    name = named[0] if isinstance(named, list) and named else named
    if name is None or name == []:
        for mapping in (MODEL_FOR_CAUSAL_LM_MAPPING, MODEL_MAPPING):
            if type(config) in mapping:
                found = mapping[type(config)]
                return found[0] if isinstance(found, tuple) else found
    kind = getattr(transformers, name, None) if isinstance(name, str) else None
    is_model = isinstance(kind, type) and issubclass(kind, transformers.PreTrainedModel)
    if not is_model or getattr(kind, "config_class", None) is not type(config):
        raise _unknown(f"the installed transformers has no class {bounded(str(name), 60)!r} of {config.model_type}")
    return kind


def _unknown(what: str) -> UnsupportedOperatorError:
    return UnsupportedOperatorError(what, reason=UNKNOWN)
