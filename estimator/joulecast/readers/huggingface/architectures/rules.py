"""Rules by which families derive a size, or the window of each layer, from their keys."""

from __future__ import annotations

from collections.abc import Callable

from joulecast.blocks import Activation
from joulecast.readers.huggingface.configuration import Configuration

_ACTIVATIONS: dict[str, Activation] = {
    "silu": "silu",
    "swish": "silu",
    "relu": "relu",
    "gelu": "gelu",
    "gelu_new": "gelu",
    "gelu_fast": "gelu",
    "gelu_python": "gelu",
    "gelu_pytorch_tanh": "gelu",
    "gelu_python_tanh": "gelu",
    "quick_gelu": "gelu",
}
"""Names of transformers' ``ACT2FN``; any other runs as one elementwise kernel too."""


def activation(config: Configuration, key: str) -> Activation:
    """Return the kind of the activation that ``key`` names."""
    return _ACTIVATIONS.get(config.text(key), "other")


def head_size(config: Configuration) -> int:
    """Return ``head_dim``, or the width shared evenly among the heads where it is left out."""
    own = config.optional_count("head_dim")
    return own if own is not None else even_head_size(config)


def even_head_size(config: Configuration) -> int:
    """Return the width shared evenly among the heads. Raises ModelFormatError where it cannot be."""
    width, heads = config.count("hidden_size"), config.count("num_attention_heads")
    if width % heads:
        raise config.refused("hidden_size", f"{heads} heads cannot share it evenly")
    return width // heads


def shared_heads(config: Configuration) -> int:
    """Return the number of heads of keys and values: as many as of queries where it is left out."""
    own = config.optional_count("num_key_value_heads")
    return own if own is not None else config.count("num_attention_heads")


def as_many_heads(config: Configuration) -> int:
    """Return the number of heads: each has keys and values of its own."""
    return config.count("num_attention_heads")


def four_times(key: str | None = None) -> Callable[[Configuration], int]:
    """Return the rule of an intermediate size under ``key``, four times the width where it is left out."""

    def size(config: Configuration) -> int:
        own = config.optional_count(key) if key else None
        return own if own is not None else 4 * config.count("hidden_size")

    return size


def no_window(config: Configuration, layers: int) -> tuple[int | None, ...]:
    """Return that every layer attends to all tokens."""
    return (None,) * layers


def one_window(config: Configuration, layers: int) -> tuple[int | None, ...]:
    """Return ``sliding_window`` for every layer."""
    return (config.optional_count("sliding_window"),) * layers


def window_after(config: Configuration, layers: int) -> tuple[int | None, ...]:
    """Return ``sliding_window`` for layers from ``max_window_layers`` on, if ``use_sliding_window`` (Qwen2, Qwen3)."""
    window = config.optional_count("sliding_window") if config.flag("use_sliding_window") else None
    if config.has("layer_types"):
        return _typed(config, layers, window)
    first = config.count("max_window_layers", least=0) if window else 0
    return tuple(window if number >= first else None for number in range(layers))


def window_pattern(every: int) -> Callable[[Configuration, int], tuple[int | None, ...]]:
    """Return the rule of windows by ``layer_types``, or else of all layers but each ``every``-th."""

    def windows(config: Configuration, layers: int) -> tuple[int | None, ...]:
        window = config.optional_count("sliding_window")
        if config.has("layer_types"):
            return _typed(config, layers, window)
        pattern = config.count("sliding_window_pattern", default=every)
        return tuple(window if (number + 1) % pattern else None for number in range(layers))

    return windows


def _typed(config: Configuration, layers: int, window: int | None) -> tuple[int | None, ...]:
    types = config.list_of("layer_types", str, layers) or []
    unknown = sorted(set(types) - {"sliding_attention", "full_attention"})
    if unknown:
        raise config.refused("layer_types", f"layers of type {unknown[0]!r} are not known in {config.model_type}")
    if window is None and "sliding_attention" in types:
        raise config.refused("sliding_window", "layer_types has sliding_attention")
    return tuple(window if each == "sliding_attention" else None for each in types)
